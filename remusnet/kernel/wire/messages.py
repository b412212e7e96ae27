"""A plan's operations as netlink messages.

Layouts: linux/if_link.h, linux/pkt_sched.h, linux/pkt_cls.h, linux/tc_act/tc_mirred.h. What ``tc``
and ``ip`` send for the same commands was the model: the kernel must not be able to tell them apart.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from enum import IntEnum
from functools import singledispatch
from struct import Struct

from remusnet.kernel.wire.matches import kind_of
from remusnet.kernel.wire.netlink import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    attribute,
    message,
    nested,
    text_attribute,
)
from remusnet.plan.operations import (
    AddFilter,
    AddIngress,
    AddPlug,
    ClosePlug,
    CreateBuffer,
    DeleteDevice,
    DeleteFilters,
    DeleteIngress,
    DeletePlug,
    LowerDevice,
    MarkDevice,
    OpenPlug,
    QuietDevice,
    RaiseDevice,
    SealSink,
    SetLimit,
)
from remusnet.plan.rows import Operation
from remusnet.policy.verdict import Verdict

Index = Callable[[str], int]
"""From a device's name to its number; raises where there is none."""

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK = 16, 17, 18, 19
RTM_NEWQDISC, RTM_DELQDISC, RTM_GETQDISC = 36, 37, 38
RTM_NEWTFILTER, RTM_DELTFILTER, RTM_GETTFILTER = 44, 45, 46

IFLA_IFNAME, IFLA_TXQLEN, IFLA_LINKINFO, IFLA_IFALIAS, IFLA_AF_SPEC = 3, 13, 18, 20, 26
IFLA_NUM_TX_QUEUES, IFLA_NUM_RX_QUEUES = 31, 32
IFLA_INFO_KIND = 1
IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE = 8, 1
IFF_UP = 1

TCA_KIND, TCA_OPTIONS = 1, 2
TC_H_ROOT, TC_H_INGRESS, TC_H_MIN_INGRESS = 0xFFFFFFFF, 0xFFFFFFF1, 0xFFFFFFF2
INGRESS_HANDLE = 0xFFFF0000
BYPASS_CLASSID = 0xFFFF0001
TCA_ACT_KIND, TCA_ACT_OPTIONS, TCA_ACT_COOKIE = 1, 2, 6
TCA_MIRRED_PARMS, TCA_EGRESS_REDIR, TCA_EGRESS_MIRROR = 2, 1, 2
TC_ACT_PIPE, TC_ACT_STOLEN = 3, 4

IFINFOMSG = Struct("=BxHiII")  # family, type, index, flags, change
TCMSG = Struct("=BxxxiIII")  # family, index, handle, parent, info
PLUG_QOPT = Struct("=iI")  # action, limit
MIRRED = Struct("=IIiiiiI")  # index, capab, action, refcnt, bindcnt, eaction, ifindex
_UINT = Struct("=I")


class PlugAction(IntEnum):
    """What a plug can be told (linux/pkt_sched.h)."""

    BUFFER = 0
    RELEASE_ONE = 1
    RELEASE_INDEFINITE = 2
    LIMIT = 3


@singledispatch
def encode(operation: Operation, _index: Index) -> bytes:
    """``operation`` as one message; ``index`` is asked for the numbers of its devices."""
    raise TypeError(f"no netlink message for {operation!r}")


def link(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    """The fixed part of a message about a device."""
    return IFINFOMSG.pack(socket.AF_UNSPEC, 0, index, flags, change)


def traffic_control(index: int, *, parent: int = 0, handle: int = 0, info: int = 0) -> bytes:
    """The fixed part of a message about a qdisc or a filter."""
    return TCMSG.pack(socket.AF_UNSPEC, index, handle, parent, info)


def plug_message(index: int, action: PlugAction, limit: int = 0, *, handle: int = 0) -> bytes:
    """Tells the plug at the root of device ``index`` what to do; ``limit`` goes with LIMIT.

    Give its ``handle`` where it is known. Without, the kernel takes the message for another kind of
    root qdisc as a wish to have a plug instead, of limit 0 (net/sched/sch_api.c, req_change).
    """
    where = traffic_control(index, parent=TC_H_ROOT, handle=handle)
    body = where + text_attribute(TCA_KIND, "plug")
    return message(RTM_NEWQDISC, 0, body + attribute(TCA_OPTIONS, PLUG_QOPT.pack(action, limit)))


@encode.register
def _(operation: CreateBuffer, _index: Index) -> bytes:
    body = (
        link()
        + text_attribute(IFLA_IFNAME, operation.device)
        + attribute(IFLA_NUM_TX_QUEUES, _UINT.pack(1))
        + attribute(IFLA_NUM_RX_QUEUES, _UINT.pack(1))
        + nested(IFLA_LINKINFO, text_attribute(IFLA_INFO_KIND, "ifb"))
    )
    return message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body)


@encode.register
def _(operation: MarkDevice, index: Index) -> bytes:
    body = link(index(operation.device)) + attribute(IFLA_IFALIAS, operation.alias.encode())
    return message(RTM_SETLINK, 0, body)


@encode.register
def _(operation: QuietDevice, index: Index) -> bytes:
    mode = attribute(IFLA_INET6_ADDR_GEN_MODE, bytes([IN6_ADDR_GEN_MODE_NONE]))
    body = link(index(operation.device)) + nested(IFLA_AF_SPEC, nested(socket.AF_INET6, mode))
    return message(RTM_SETLINK, 0, body)


@encode.register
def _(operation: RaiseDevice, index: Index) -> bytes:
    return message(RTM_NEWLINK, 0, link(index(operation.device), IFF_UP, IFF_UP))


@encode.register
def _(operation: LowerDevice, index: Index) -> bytes:
    return message(RTM_NEWLINK, 0, link(index(operation.device), 0, IFF_UP))


@encode.register
def _(operation: DeleteDevice, index: Index) -> bytes:
    return message(RTM_DELLINK, 0, link(index(operation.device)))


@encode.register
def _(operation: SealSink, index: Index) -> bytes:
    body = traffic_control(index(operation.device), parent=TC_H_ROOT)
    body += text_attribute(TCA_KIND, "pfifo") + attribute(TCA_OPTIONS, bytes(4))
    return message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, body)


@encode.register
def _(operation: AddPlug, index: Index) -> bytes:
    # The limit is read at creation whatever the action says (sch_plug.c, plug_init).
    options = PLUG_QOPT.pack(PlugAction.LIMIT, operation.limit)
    body = traffic_control(index(operation.device), parent=TC_H_ROOT)
    body += text_attribute(TCA_KIND, "plug") + attribute(TCA_OPTIONS, options)
    return message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, body)


@encode.register
def _(operation: SetLimit, index: Index) -> bytes:
    return plug_message(index(operation.device), PlugAction.LIMIT, operation.limit)


@encode.register
def _(operation: OpenPlug, index: Index) -> bytes:
    return plug_message(index(operation.device), PlugAction.RELEASE_INDEFINITE)


@encode.register
def _(operation: ClosePlug, index: Index) -> bytes:
    return plug_message(index(operation.device), PlugAction.BUFFER)


@encode.register
def _(operation: DeletePlug, index: Index) -> bytes:
    body = traffic_control(index(operation.device), parent=TC_H_ROOT)
    return message(RTM_DELQDISC, 0, body + text_attribute(TCA_KIND, "plug"))


@encode.register
def _(operation: AddIngress, index: Index) -> bytes:
    body = _ingress(index(operation.device))
    return message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, body)


@encode.register
def _(operation: DeleteIngress, index: Index) -> bytes:
    return message(RTM_DELQDISC, 0, _ingress(index(operation.device)))


def _ingress(index: int) -> bytes:
    where = traffic_control(index, parent=TC_H_INGRESS, handle=INGRESS_HANDLE)
    return where + text_attribute(TCA_KIND, "ingress")


@encode.register
def _(operation: AddFilter, index: Index) -> bytes:
    what = operation.filter
    kind = kind_of(what.match)
    if what.verdict is Verdict.HOLD:
        then = nested(kind.action, *_actions(operation, index))
    else:
        then = attribute(kind.classid, _UINT.pack(BYPASS_CLASSID))
    body = (
        _at_ingress(operation, index, filter_info(what.pref, what.protocol))
        + text_attribute(TCA_KIND, kind.name)
        + nested(TCA_OPTIONS, then, kind.encode(what.match, what.protocol))
    )
    return message(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, body)


@encode.register
def _(operation: DeleteFilters, index: Index) -> bytes:
    info = filter_info(operation.pref, operation.protocol)
    return message(RTM_DELTFILTER, 0, _at_ingress(operation, index, info))


def filter_info(pref: int, protocol: int) -> int:
    """Preference and protocol as a filter message has them."""
    return pref << 16 | socket.htons(protocol)


def _at_ingress(operation: AddFilter | DeleteFilters, index: Index, info: int) -> bytes:
    parent = TC_H_MIN_INGRESS if operation.shared else INGRESS_HANDLE
    return traffic_control(index(operation.device), parent=parent, info=info)


def _actions(operation: AddFilter, index: Index) -> Iterator[bytes]:
    """What a filter that holds does, numbered in order: mirror where there is a sink, redirect."""
    number = 1
    if operation.sink:
        sink = index(operation.sink)
        yield nested(number, *_mirred(TC_ACT_PIPE, TCA_EGRESS_MIRROR, sink))
        number += 1
    redirect = _mirred(TC_ACT_STOLEN, TCA_EGRESS_REDIR, index(operation.buffer))
    mark = attribute(TCA_ACT_COOKIE, bytes.fromhex(operation.cookie))
    yield nested(number, *redirect, mark)


def _mirred(after: int, what: int, index: int) -> tuple[bytes, bytes]:
    parameters = MIRRED.pack(0, 0, after, 0, 0, what, index)
    return (
        text_attribute(TCA_ACT_KIND, "mirred"),
        nested(TCA_ACT_OPTIONS, attribute(TCA_MIRRED_PARMS, parameters)),
    )
