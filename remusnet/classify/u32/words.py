"""u32 keys in plain words: what a filter looks for, for a person who reads a plan.

Read back from the keys themselves, so the words say what the kernel is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from remusnet.classify.filters import U32Key
from remusnet.classify.headers import AH, DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ROUTING
from remusnet.classify.u32.conditions import Context, Keys, pinned_protocol
from remusnet.policy.policy import ICMP, ICMPV6, PROTOCOLS

UNWALKED = {
    HOP_BY_HOP: "a hop-by-hop options header",
    ROUTING: "a routing header",
    FRAGMENT: "a fragment header",
    AH: "an authentication header",
    DESTINATION_OPTIONS: "a destination options header",
}
_PROTOCOL_NAMES = {number: name.upper() for name, number in PROTOCOLS.items()} | {ICMPV6: "ICMPv6"}


def describe_keys(context: Context, keys: Keys) -> str:
    """``UDP, to port 5060, no options``; ``all`` where nothing but the context is asked for."""
    words = {key.offset: key for key in keys}
    protocol = pinned_protocol(context, keys) if context.version else None
    subject = "all" if protocol is None else _PROTOCOL_NAMES.get(protocol, f"protocol {protocol}")
    if not context.version:
        return subject
    network = _ipv4(words) if context.version == 4 else _ipv6(words)
    return ", ".join((subject, *network, *_transport(context, words, protocol)))


def _ipv4(words: dict[int, U32Key]) -> Iterator[str]:
    yield from _prefix("from", IPv4Address, [words.get(12)])
    yield from _prefix("to", IPv4Address, [words.get(16)])
    yield from _number("DSCP", words.get(0), 18, 6)
    yield from _number("total length", words.get(0), 0, 16)
    if (key := words.get(4)) is not None:
        yield _fragment(key)
    if _part(words.get(0), 24, 8) == (0x45, 0xFF):
        yield "no options"
    yield from _whole_header(words, 16)


def _ipv6(words: dict[int, U32Key]) -> Iterator[str]:
    yield from _prefix("from", IPv6Address, [words.get(at) for at in range(8, 24, 4)])
    yield from _prefix("to", IPv6Address, [words.get(at) for at in range(24, 40, 4)])
    yield from _number("DSCP", words.get(0), 22, 6)
    yield from _number("payload length", words.get(4), 16, 16)
    yield from _whole_header(words, 36)


def _transport(context: Context, words: dict[int, U32Key], protocol: int | None) -> Iterator[str]:
    first = words.get(context.header)
    if protocol in (ICMP, ICMPV6):
        yield from _number("type", first, 24, 8)
        return
    yield from _number("from port", first, 16, 16)
    yield from _number("to port", first, 0, 16)
    yield from _number("UDP length", words.get(context.header + 4), 16, 16)
    start = context.header + 8
    payload = sorted((offset, key) for offset, key in words.items() if offset >= start)
    for offset, key in payload:
        if key.mask == 0xFFFFFFFF:
            yield f"{key.value:#010x} in payload bytes {offset - start} to {offset - start + 3}"
            continue
        for byte, place in enumerate(("first", "second", "third", "fourth")):
            yield from _number(f"{place} payload byte", key, 24 - 8 * byte, 8)
    if payload:
        yield f"at least {payload[-1][0] + 4 - start} payload bytes"


def _whole_header(words: dict[int, U32Key], last: int) -> Iterator[str]:
    """A key behind the header's last word, or without a mask on it, only asks for its bytes."""
    if last in words and not words[last].mask:
        yield "the whole header there"


def _fragment(key: U32Key) -> str:
    if key.mask == 0x3FFF:
        return "first fragments" if key.value else "unfragmented"
    if key.mask == 0x1FFF:
        return "no later fragments"
    return f"fragment offset bit {key.mask.bit_length() - 1} set"


def _part(key: U32Key | None, shift: int, bits: int) -> tuple[int, int]:
    """(value, mask) of a field."""
    if key is None:
        return 0, 0
    return key.value >> shift & (1 << bits) - 1, key.mask >> shift & (1 << bits) - 1


def _number(name: str, key: U32Key | None, shift: int, bits: int) -> Iterator[str]:
    """``name 7`` or, where the mask leaves low bits open, ``name 0-1023``."""
    value, mask = _part(key, shift, bits)
    if mask:
        last = value | (1 << bits) - 1 & ~mask
        yield f"{name} {value}" if last == value else f"{name} {value}-{last}"


def _prefix(
    name: str, family: type[IPv4Address | IPv6Address], keys: list[U32Key | None]
) -> Iterator[str]:
    value = mask = 0
    for key in keys:
        value = value << 32 | (key.value if key else 0)
        mask = mask << 32 | (key.mask if key else 0)
    if mask:
        yield f"{name} {family(value)}/{mask.bit_count()}"
