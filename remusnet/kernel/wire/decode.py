"""Netlink objects as the plan's own types.

Layouts: linux/if_link.h, linux/pkt_sched.h, linux/pkt_cls.h, linux/gen_stats.h,
linux/tc_act/tc_mirred.h. What no plan of ours could have made is not interpreted: a filter with an
unknown attribute, another action or another kind comes out as a `SeenFilter` without a match.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from socket import htons
from struct import Struct

from remusnet.kernel.wire.matches import KINDS
from remusnet.kernel.wire.messages import (
    BYPASS_CLASSID,
    IFF_UP,
    IFINFOMSG,
    IFLA_IFALIAS,
    IFLA_IFNAME,
    IFLA_INFO_KIND,
    IFLA_LINKINFO,
    IFLA_TXQLEN,
    MIRRED,
    TC_ACT_PIPE,
    TC_ACT_STOLEN,
    TCA_ACT_COOKIE,
    TCA_ACT_KIND,
    TCA_ACT_OPTIONS,
    TCA_EGRESS_MIRROR,
    TCA_EGRESS_REDIR,
    TCA_KIND,
    TCA_MIRRED_PARMS,
    TCA_OPTIONS,
    TCMSG,
)
from remusnet.kernel.wire.netlink import attributes
from remusnet.kernel.wire.objects import Counters, Device, Qdisc, SeenFilter
from remusnet.policy.verdict import Verdict

_TCA_STATS2, _TCA_CHAIN, _TCA_INGRESS_BLOCK, _TCA_ACT_STATS = 7, 11, 13, 4
_TCA_STATS_BASIC, _TCA_STATS_QUEUE, _TCA_STATS_PKT64 = 1, 3, 8
_BASIC = Struct("=QI")  # bytes, packets
_QUEUE = Struct("=IIIII")  # qlen, backlog, drops, requeues, overlimits
_UINT = Struct("=I")
# IFLA_XDP_PROG_ID: the one that is attached, or none where each of the others has its own.
_IFLA_XDP, _XDP_PROGRAMS = 43, (4, 5, 6, 7)
_ULONG = Struct("=Q")


def device(body: bytes) -> Device:
    """From the body of an RTM_NEWLINK."""
    _, _, index, flags, _ = IFINFOMSG.unpack_from(body)
    found = attributes(body[IFINFOMSG.size :])
    info = attributes(found.get(IFLA_LINKINFO, b""))
    xdp = attributes(found.get(_IFLA_XDP, b""))
    return Device(
        index=index,
        name=_text(found.get(IFLA_IFNAME, b"")),
        kind=_text(info.get(IFLA_INFO_KIND, b"")),
        alias=_text(found.get(IFLA_IFALIAS, b"")),
        up=bool(flags & IFF_UP),
        xdp=tuple(sorted({_UINT.unpack(xdp[each])[0] for each in _XDP_PROGRAMS if each in xdp})),
        queue=_UINT.unpack(found.get(IFLA_TXQLEN, bytes(_UINT.size)))[0],
    )


def qdisc(body: bytes) -> tuple[int, int, Qdisc]:
    """From the body of an RTM_NEWQDISC: the device's number, the parent, the qdisc."""
    _, index, handle, parent, _ = TCMSG.unpack_from(body)
    found = attributes(body[TCMSG.size :])
    kind = _text(found.get(TCA_KIND, b""))
    block = _UINT.unpack(found.get(_TCA_INGRESS_BLOCK, bytes(4)))[0]
    return index, parent, Qdisc(kind, handle, counters(found.get(_TCA_STATS2, b"")), block)


def counters(data: bytes) -> Counters:
    """From the attributes in a TCA_STATS2 or a TCA_ACT_STATS."""
    found = attributes(data)
    count, packets = _BASIC.unpack_from(found.get(_TCA_STATS_BASIC, bytes(_BASIC.size)))
    if _TCA_STATS_PKT64 in found:
        packets = _ULONG.unpack_from(found[_TCA_STATS_PKT64])[0]
    queue = found.get(_TCA_STATS_QUEUE, bytes(_QUEUE.size))
    qlen, backlog, drops, _, overlimits = _QUEUE.unpack_from(queue)
    return Counters(packets, count, qlen, backlog, drops, overlimits)


def filter_(body: bytes) -> SeenFilter | None:
    """From the body of an RTM_NEWTFILTER; None for what a classifier shows beside its filters."""
    _, _, handle, _, info = TCMSG.unpack_from(body)
    found = attributes(body[TCMSG.size :])
    kind = _text(found.get(TCA_KIND, b""))
    pref, protocol = info >> 16, htons(info & 0xFFFF)
    unknown = SeenFilter(kind, pref, protocol)
    if TCA_OPTIONS not in found:
        # Each preference begins with an entry that has nothing but its kind.
        return None if handle == 0 and kind in KINDS else unknown
    options = attributes(found[TCA_OPTIONS])
    if kind not in KINDS or any(found.get(_TCA_CHAIN, b"")):
        return unknown
    classifier = KINDS[kind]
    if classifier.is_table(options):
        return None
    match = classifier.decode(options, protocol)
    action = _actions(options.get(classifier.action, b""))
    if match is None or action is None:
        return SeenFilter(kind, pref, protocol, cookie=action.cookie if action else b"")
    classid = _UINT.unpack(options.get(classifier.classid, bytes(4)))[0]
    if action.redirects and not classid:
        verdict = Verdict.HOLD
    elif not action.redirects and classid == BYPASS_CLASSID:
        verdict = Verdict.BYPASS
    else:
        return unknown
    return SeenFilter(
        kind,
        pref,
        protocol,
        match,
        verdict,
        action.target,
        action.cookie,
        action.sink,
        action.counters,
        action.uncopied,
    )


@dataclass(frozen=True, slots=True)
class _Actions:
    """The actions of a filter, if they are what ours are: none, or a redirection, which a mirroring
    may come before.
    """

    redirects: bool = False
    target: int = 0
    cookie: bytes = b""
    sink: int | None = None
    counters: Counters = field(default_factory=Counters)
    uncopied: int = 0


def _actions(data: bytes) -> _Actions | None:
    """From the attributes of an action list; None for what no filter of ours does."""
    listed = sorted(attributes(data).items())
    if not listed:
        return _Actions()
    *mirrored, redirected = (_mirred(each) for _, each in listed)
    if redirected is None or redirected.does != (TC_ACT_STOLEN, TCA_EGRESS_REDIR):
        return None
    found = _Actions(True, redirected.target, redirected.cookie, None, redirected.counters)
    match mirrored:
        case []:
            return found
        case [_Mirred((after, what), target, b"", counted)]:
            if (after, what) == (TC_ACT_PIPE, TCA_EGRESS_MIRROR):
                return replace(found, sink=target, uncopied=counted.overlimits)
    return None


@dataclass(frozen=True, slots=True)
class _Mirred:
    """One action: what ``does`` mirred (what comes after it, and what it is), and to whom."""

    does: tuple[int, int]
    target: int
    cookie: bytes
    counters: Counters


def _mirred(data: bytes) -> _Mirred | None:
    """From the attributes of an action; None for one of another kind."""
    found = attributes(data)
    options = attributes(found.get(TCA_ACT_OPTIONS, b""))
    if _text(found.get(TCA_ACT_KIND, b"")) != "mirred" or TCA_MIRRED_PARMS not in options:
        return None
    _, _, after, _, _, what, target = MIRRED.unpack_from(options[TCA_MIRRED_PARMS])
    cookie = found.get(TCA_ACT_COOKIE, b"")
    return _Mirred((after, what), target, cookie, counters(found.get(_TCA_ACT_STATS, b"")))


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode(errors="replace")
