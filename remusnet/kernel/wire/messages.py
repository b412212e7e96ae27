"""A plan's operations as netlink messages, by the codec of devices and qdiscs, and filters here.

What a filter asks for is encoded and decoded by one `Kind` for each tc classifier.

Layouts: linux/pkt_cls.h, linux/tc_act/tc_mirred.h, linux/filter.h.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache, singledispatch
from struct import Struct
from typing import Generic, TypeVar

from remusnet.classify.bpf.assembler import BpfMatch, Instruction, Op
from remusnet.classify.filters import Filter, FilterMatch
from remusnet.classify.flower.conditions import FlowerMatch
from remusnet.classify.u32.conditions import U32Key, U32Match
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
    attributes,
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
from remusnet.kernel.wire.flower import FLOWER_ACT, FLOWER_CLASSID, decode_flower, encode_flower
from remusnet.plan.devices import filter_mark
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


T = TypeVar("T")


class Same(Generic[T]):
    """The key of a cache: that very ``value``, whatever equals it. To hash and compare filters
    costs as much as to encode them.

    A cache that keeps the key keeps ``value`` alive, so that no other object gets its identity.
    """

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        """Whether both are the same object."""
        return isinstance(other, Same) and self.value is other.value

    def __hash__(self) -> int:
        """The hash of the identity."""
        return id(self.value)


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
    buffer, cookie = index(operation.buffer), filter_mark(shared=operation.shared)
    yield nested(number, mirred(TC_ACT_STOLEN, TCA_EGRESS_REDIR, buffer, cookie=cookie))


def mirred(after: int, what: int, index: int, **fields: object) -> bytes:
    """The fields of an action that redirects or mirrors to device ``index``."""
    options = MIRRED.encode(parameters=(0, 0, after, 0, 0, what, index))
    return ACTION.encode(kind="mirred", options=options, **fields)


_CLASSID, _HASH, _DIVISOR, _SEL, _ACT, _PCNT, _FLAGS, _PAD = 1, 2, 4, 5, 7, 9, 11, 12  # TCA_U32_
_TC_U32_TERMINAL = 1
_BPF_ACT, _BPF_CLASSID, _OPS_LEN, _OPS, _BPF_GEN = 1, 3, 4, 5, 9  # TCA_BPF_...

_U32_SEL = Struct("=BBBx2s2shh4s")  # flags, offshift, keys, offmask, off, offoff, hoff, hmask
_U32_KEY = Struct("!II")  # mask, value: big-endian, unlike the rest
_U32_KEY_AT = Struct("=ii")  # off, offmask
_SOCK_FILTER = Struct("=HBBI")  # code, jt, jf, k
_USHORT, _UINT = Struct("=H"), Struct("=I")

Options = Mapping[int, bytes]


@dataclass(frozen=True, slots=True)
class Kind:
    """How one classifier has its filters in TCA_OPTIONS.

    ``encode`` and ``decode`` also get the filter's protocol, an ethertype.
    ``action`` and ``classid`` are the numbers of those attributes. ``decode`` gives None for what
    no match of ours becomes; ``is_table``: whether it is no filter, but what holds filters.
    """

    name: str
    action: int
    classid: int
    encode: Callable[[FilterMatch, int], bytes]
    decode: Callable[[Options, int], FilterMatch | None]
    is_table: Callable[[Options], bool]


def kind_of(match: FilterMatch) -> Kind:
    """The classifier that ``match`` is for."""
    return KINDS[_NAMES[type(match)]]


def canonical(each: Filter) -> FilterMatch | None:
    """The match of a filter as the kernel shows it: without what compares nothing."""
    kind = kind_of(each.match)
    return kind.decode(attributes(kind.encode(each.match, each.protocol)), each.protocol)


def _encode_u32(match: FilterMatch, _protocol: int) -> bytes:
    assert isinstance(match, U32Match)
    zero2, zero4 = b"\0" * 2, b"\0" * 4
    selector = _U32_SEL.pack(_TC_U32_TERMINAL, 0, len(match.keys), zero2, zero2, 0, 0, zero4)
    for key in match.keys:
        selector += _U32_KEY.pack(key.mask, key.value) + _U32_KEY_AT.pack(key.offset, 0)
    return attribute(_SEL, selector)


def _decode_u32(options: Options, _protocol: int) -> FilterMatch | None:
    known = {_CLASSID, _HASH, _SEL, _ACT, _PCNT, _FLAGS, _PAD}
    if not options.keys() <= known or _SEL not in options:
        return None
    return _u32_selector(options[_SEL])


@lru_cache(maxsize=4096)
def _u32_selector(data: bytes) -> U32Match | None:
    """A policy's filters come back from each of its vifs: each selector is decoded once."""
    flags, shift, count, offmask, off, offoff, hoff, hmask = _U32_SEL.unpack_from(data)
    if flags != _TC_U32_TERMINAL or shift or offoff or hoff or any(offmask + off + hmask):
        return None
    keys = []
    size = _U32_KEY.size + _U32_KEY_AT.size
    for start in range(_U32_SEL.size, _U32_SEL.size + count * size, size):
        mask, value = _U32_KEY.unpack_from(data, start)
        offset, offset_mask = _U32_KEY_AT.unpack_from(data, start + _U32_KEY.size)
        if offset_mask or offset % 4 or value & ~mask:
            return None
        keys.append(U32Key(offset, mask, value))
    return U32Match(tuple(keys))


def _is_u32_table(options: Options) -> bool:
    """The hash table of a preference. One of several buckets is not ours."""
    return options.get(_DIVISOR) == _UINT.pack(1)


def _encode_bpf(match: FilterMatch, _protocol: int) -> bytes:
    assert isinstance(match, BpfMatch)
    program = b"".join(_SOCK_FILTER.pack(i.op, i.yes, i.no, i.k) for i in match.program)
    return attribute(_OPS_LEN, _USHORT.pack(len(match.program))) + attribute(_OPS, program)


def _decode_bpf(options: Options, _protocol: int) -> FilterMatch | None:
    known = {_BPF_ACT, _BPF_CLASSID, _OPS_LEN, _OPS, _BPF_GEN}
    if not options.keys() <= known or _OPS not in options:
        return None
    return _bpf_program(options[_OPS])


@lru_cache(maxsize=64)
def _bpf_program(data: bytes) -> BpfMatch | None:
    try:
        found = (Instruction(Op(op), *rest) for op, *rest in _SOCK_FILTER.iter_unpack(data))
        return BpfMatch(tuple(found))
    except ValueError:
        return None  # an operation that no program of ours has


def _encode_flower(match: FilterMatch, protocol: int) -> bytes:
    assert isinstance(match, FlowerMatch)
    return encode_flower(match, protocol)


_NAMES: Mapping[type, str] = {U32Match: "u32", FlowerMatch: "flower", BpfMatch: "bpf"}
KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("u32", _ACT, _CLASSID, _encode_u32, _decode_u32, _is_u32_table),
        Kind(
            "flower",
            FLOWER_ACT,
            FLOWER_CLASSID,
            _encode_flower,
            decode_flower,
            lambda _: False,
        ),
        Kind("bpf", _BPF_ACT, _BPF_CLASSID, _encode_bpf, _decode_bpf, lambda _: False),
    )
}
"""All classifiers by the names that the kernel has for them."""
