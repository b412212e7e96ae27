"""A plan's operations as netlink messages, by the codec of devices and qdiscs, and filters here.

Layouts: linux/pkt_cls.h, linux/tc_act/tc_mirred.h.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from enum import IntEnum
from functools import singledispatch

from remusnet.kernel.wire.codec import (
    ACTION,
    BYPASS_CLASSID,
    IFF_UP,
    IN6_ADDR_GEN_MODE_NONE,
    INGRESS_HANDLE,
    MIRRED,
    NLM_F_CREATE,
    NLM_F_EXCL,
    PLUG_BUFFER,
    PLUG_LIMIT,
    PLUG_QOPT,
    PLUG_RELEASE_INDEFINITE,
    PLUG_RELEASE_ONE,
    RTM_DELTFILTER,
    RTM_NEWLINK,
    RTM_NEWQDISC,
    RTM_NEWTFILTER,
    RTM_SETLINK,
    TC_ACT_PIPE,
    TC_ACT_STOLEN,
    TC_H_MIN_INGRESS,
    TC_H_ROOT,
    TCA_EGRESS_MIRROR,
    TCA_EGRESS_REDIR,
    TCA_KIND,
    TCA_OPTIONS,
    UINT,
    attribute,
    delete_ingress,
    delete_link,
    delete_plug,
    ingress,
    link,
    message,
    nested,
    plug_message,
    text_attribute,
    traffic_control,
)
from remusnet.kernel.wire.matches import kind_of
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


class PlugAction(IntEnum):
    """What a plug can be told (linux/pkt_sched.h)."""

    BUFFER = PLUG_BUFFER
    RELEASE_ONE = PLUG_RELEASE_ONE
    RELEASE_INDEFINITE = PLUG_RELEASE_INDEFINITE
    LIMIT = PLUG_LIMIT


@singledispatch
def encode(operation: Operation, _index: Index) -> bytes:
    """``operation`` as one message; ``index`` is asked for the numbers of its devices."""
    raise TypeError(f"no netlink message for {operation!r}")


@encode.register
def _(operation: CreateBuffer, _index: Index) -> bytes:
    body = link(name=operation.device, tx_queues=1, rx_queues=1, info={"kind": "ifb"})
    return message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body)


@encode.register
def _(operation: MarkDevice, index: Index) -> bytes:
    return message(RTM_SETLINK, 0, link(index(operation.device), alias=operation.alias))


@encode.register
def _(operation: QuietDevice, index: Index) -> bytes:
    silent = {"inet6": {"addr_gen_mode": IN6_ADDR_GEN_MODE_NONE}}
    return message(RTM_SETLINK, 0, link(index(operation.device), families=silent))


@encode.register
def _(operation: RaiseDevice, index: Index) -> bytes:
    return message(RTM_NEWLINK, 0, link(index(operation.device), IFF_UP, IFF_UP))


@encode.register
def _(operation: LowerDevice, index: Index) -> bytes:
    return message(RTM_NEWLINK, 0, link(index(operation.device), 0, IFF_UP))


@encode.register
def _(operation: DeleteDevice, index: Index) -> bytes:
    return delete_link(index(operation.device))


@encode.register
def _(operation: SealSink, index: Index) -> bytes:
    return _add_root(index(operation.device), kind="pfifo", options=UINT.pack(0))


@encode.register
def _(operation: AddPlug, index: Index) -> bytes:
    # The limit is read at creation whatever the action says (sch_plug.c, plug_init).
    options = PLUG_QOPT.pack(PlugAction.LIMIT, operation.limit)
    return _add_root(index(operation.device), kind="plug", options=options)


def _add_root(index: int, *, kind: str, options: bytes) -> bytes:
    body = traffic_control(index, parent=TC_H_ROOT, kind=kind, options=options)
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
    return delete_plug(index(operation.device))


@encode.register
def _(operation: AddIngress, index: Index) -> bytes:
    return message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, ingress(index(operation.device)))


@encode.register
def _(operation: DeleteIngress, index: Index) -> bytes:
    return delete_ingress(index(operation.device))


@encode.register
def _(operation: AddFilter, index: Index) -> bytes:
    what = operation.filter
    kind = kind_of(what.match)
    if what.verdict is Verdict.HOLD:
        then = nested(kind.action, *_actions(operation, index))
    else:
        then = attribute(kind.classid, UINT.pack(BYPASS_CLASSID))
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
        yield nested(number, mirred(TC_ACT_PIPE, TCA_EGRESS_MIRROR, index(operation.sink)))
        number += 1
    buffer, cookie = index(operation.buffer), bytes.fromhex(operation.cookie)
    yield nested(number, mirred(TC_ACT_STOLEN, TCA_EGRESS_REDIR, buffer, cookie=cookie))


def mirred(after: int, what: int, index: int, **fields: object) -> bytes:
    """The fields of an action that redirects or mirrors to device ``index``."""
    options = MIRRED.encode(parameters=(0, 0, after, 0, 0, what, index))
    return ACTION.encode(kind="mirred", options=options, **fields)
