"""What filters ask for, as netlink attributes and back: one `Kind` for each tc classifier.

Layouts: linux/pkt_cls.h, linux/filter.h.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct

from remusnet.classify.bpf.assembler import Instruction, Op
from remusnet.classify.filters import BpfMatch, Filter, FilterMatch, FlowerMatch, U32Key, U32Match
from remusnet.kernel.wire.codec import attribute, attributes
from remusnet.kernel.wire.flower import FLOWER_ACT, FLOWER_CLASSID, decode_flower, encode_flower

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
