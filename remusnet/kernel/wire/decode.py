"""Netlink objects as the plan's own types.

What no plan of ours could have made is not interpreted: a filter with an unknown attribute, another
action or another kind comes out as a `SeenFilter` without a match.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from socket import htons
from typing import Any

from remusnet.kernel.wire.codec import (
    ACTION,
    BYPASS_CLASSID,
    IFF_UP,
    IFINFOMSG,
    LINK,
    MIRRED,
    QDISC,
    TC_ACT_PIPE,
    TC_ACT_STOLEN,
    TCA_EGRESS_MIRROR,
    TCA_EGRESS_REDIR,
    TCA_KIND,
    TCA_OPTIONS,
    TCMSG,
    UINT,
    XDP_PROGRAMS,
    attributes,
)
from remusnet.kernel.wire.matches import KINDS
from remusnet.kernel.wire.objects import Counters, Device, Qdisc, SeenFilter
from remusnet.policy.verdict import Verdict

_TCA_CHAIN = 11


def device(body: bytes) -> Device:
    """From the body of an RTM_NEWLINK."""
    _, _, index, flags, _ = IFINFOMSG.unpack_from(body)
    found = LINK.decode(body, IFINFOMSG.size)
    xdp = found.get("xdp", {})
    return Device(
        index=index,
        name=found.get("name", ""),
        kind=found.get("info", {}).get("kind", ""),
        alias=found.get("alias", ""),
        up=bool(flags & IFF_UP),
        xdp=tuple(sorted({xdp[each] for each in XDP_PROGRAMS if each in xdp})),
        queue=found.get("queue", 0),
    )


def qdisc(body: bytes) -> tuple[int, int, Qdisc]:
    """From the body of an RTM_NEWQDISC: the device's number, the parent, the qdisc."""
    _, index, handle, parent, _ = TCMSG.unpack_from(body)
    found = QDISC.decode(body, TCMSG.size)
    counted = counters(found.get("stats", {}))
    return index, parent, Qdisc(found.get("kind", ""), handle, counted, found.get("block", 0))


def counters(found: Mapping[str, Any]) -> Counters:
    """From the fields of a `STATS`."""
    count, packets = found.get("basic", (0, 0))
    qlen, backlog, drops, _, overlimits = found.get("queue", (0, 0, 0, 0, 0))
    (packets,) = found.get("packets", (packets,))
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
    classid = UINT.unpack(options.get(classifier.classid, bytes(4)))[0]
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
    found = ACTION.decode(data)
    options = MIRRED.decode(found.get("options", b"")) if found.get("kind") == "mirred" else {}
    if "parameters" not in options:
        return None
    _, _, after, _, _, what, target = options["parameters"]
    counted = counters(found.get("stats", {}))
    return _Mirred((after, what), target, found.get("cookie", b""), counted)


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode(errors="replace")
