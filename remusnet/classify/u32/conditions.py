"""The conditions of a rule as u32 comparisons, in one context.

A condition becomes alternatives (any of them suffices), each a set of keys (all have to agree).
For a rule that holds they take at least what the condition means, for a rule that lets bypass at
most.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from itertools import product

from remusnet.classify.headers import AH, EXTENSION_HEADERS
from remusnet.policy.policy import (
    ARP_ETHERTYPE,
    IPV4_ETHERTYPE,
    IPV6_ETHERTYPE,
    LOWEST_MEDIA_PORT,
    NEVER_MEDIA_PORTS,
    STUN_COOKIE,
    TUNNEL_ETHERTYPES,
    TUNNEL_PROTOCOLS,
    TUNNEL_UDP_PORTS,
    UDP,
    VLAN_ETHERTYPE,
    Fragment,
    Link,
    Match,
    Network,
    PayloadClass,
    Policy,
    PortRange,
    Tunnel,
    named_ethertypes,
)
from remusnet.policy.verdict import Verdict


@dataclass(frozen=True, slots=True)
class U32Key:
    """One comparison of u32: 32 bits at ``offset`` bytes from the network header, big-endian.

    ``offset`` is a multiple of 4 and may be negative (the Ethernet header). With mask 0 it only
    asks that the four bytes be there; u32 leaves the whole preference where they are not.
    """

    offset: int
    mask: int
    value: int

    def __post_init__(self) -> None:
        if self.offset % 4 or self.value & ~self.mask or not 0 <= self.mask <= 0xFFFFFFFF:
            raise ValueError(f"invalid u32 key: {self}")


@dataclass(frozen=True, slots=True)
class U32Match:
    """A u32 selector: all keys have to agree."""

    keys: tuple[U32Key, ...]


EVERY_FRAME = U32Match((U32Key(-16, 0, 0),))
"""Four bytes before the Ethernet header are always there: matches even an empty frame."""

Keys = tuple[U32Key, ...]


@dataclass(frozen=True, slots=True)
class Alternative:
    """One way to meet a match. ``excluded``: keys that, met too, rule a bypass out.

    ``pin``: of ``keys`` those that say which context and protocol it is about. ``least``: payload
    bytes below which ``excluded`` rules it out.
    """

    keys: Keys = ()
    excluded: tuple[Keys, ...] = ()
    pin: Keys = ()
    least: int = 0


TRUE = (Alternative(),)
FALSE: tuple[Alternative, ...] = ()
_HEADER_NAMES = {IPV4_ETHERTYPE: "IPv4", IPV6_ETHERTYPE: "IPv6", ARP_ETHERTYPE: "ARP"}


@dataclass(frozen=True, slots=True)
class Context:
    """Frames of one link and one ethertype: where their header fields lie.

    ``protocol``: what the kernel has in skb->protocol; ``keys``: what else tells the context.
    """

    link: Link
    ethertype: int
    protocol: int
    keys: Keys
    name: str

    @property
    def version(self) -> int:
        """4, 6, or 0 where it is no IP."""
        return {IPV4_ETHERTYPE: 4, IPV6_ETHERTYPE: 6}.get(self.ethertype, 0)

    @property
    def header(self) -> int:
        """Bytes of the IP header without options."""
        return 20 if self.version == 4 else 40

    @property
    def unwalked(self) -> frozenset[int]:
        """IP protocols behind which the transport header is not where u32 looks."""
        return {4: frozenset({AH}), 6: EXTENSION_HEADERS}.get(self.version, frozenset())

    @property
    def has_fragments(self) -> bool:
        """Whether fragments get here: in IPv6 they have an extension header."""
        return self.version == 4

    @property
    def not_later(self) -> U32Key:
        """An IPv4 fragment offset of 0."""
        return U32Key(4, 0x00001FFF, 0)

    def protocol_key(self, number: int) -> U32Key:
        """The IP protocol (IPv4) or the first next header (IPv6) is ``number``."""
        if self.version == 4:
            return U32Key(8, 0x00FF0000, number << 16)
        return U32Key(4, 0x0000FF00, number << 8)

    @property
    def complete(self) -> Keys:
        """The whole header is there, its version right, and no options follow."""
        if self.version == 4:
            return (U32Key(0, 0xFF000000, 0x45000000), U32Key(16, 0, 0))
        if self.version == 6:
            return (U32Key(0, 0xF0000000, 0x60000000), U32Key(36, 0, 0))
        return ()

    def merge(self, *parts: Keys) -> Keys | None:
        """All keys of ``parts``, one an offset; None where they contradict each other."""
        merged: dict[int, U32Key] = {}
        for key in (key for part in parts for key in part):
            other = merged.get(key.offset, U32Key(key.offset, 0, 0))
            if (key.value ^ other.value) & key.mask & other.mask:
                return None
            merged[key.offset] = U32Key(key.offset, key.mask | other.mask, key.value | other.value)
        # What a later word proves to be there needs no key of its own.
        last = max(merged, default=0)
        return tuple(key for key in merged.values() if key.mask or key.offset >= last)


def contexts(policy: Policy, *, with_arp: bool) -> Iterator[Context]:
    """Where frames that may bypass are met, the commonest first.

    ``with_arp``: ARP too, whether or not a rule asks for it.
    """
    arp = {ARP_ETHERTYPE} if with_arp else set()
    others = sorted(named_ethertypes(policy) | arp)
    for link in (Link.PLAIN, Link.TAGGED):
        for ethertype in (IPV4_ETHERTYPE, IPV6_ETHERTYPE, *others):
            name = _HEADER_NAMES.get(ethertype, f"ethertype {ethertype:#06x}")
            if link is Link.PLAIN:
                keys = () if ethertype in (IPV4_ETHERTYPE, IPV6_ETHERTYPE) else EVERY_FRAME.keys
                yield Context(link, ethertype, ethertype, keys, name)
            else:
                # The two bytes before the network header: the ethertype behind the tag.
                behind = U32Key(-4, 0x0000FFFF, ethertype)
                yield Context(link, ethertype, VLAN_ETHERTYPE, (behind,), f"tagged {name}")


def alternatives(match: Match, context: Context, verdict: Verdict) -> Iterator[Alternative]:
    """``match`` in ``context``: at least its frames for HOLD, at most for BYPASS."""
    bypass = verdict is Verdict.BYPASS
    guard = (Alternative(context.complete),) if bypass else TRUE
    conditions = [guard, *_conditions(match, context, bypass)]
    for chosen in product(*conditions):
        pin = context.merge(context.keys, *(each.pin for each in chosen))
        keys = context.merge(context.keys, *(each.keys for each in chosen))
        if keys is not None and pin is not None:
            excluded = tuple(keys for each in chosen for keys in each.excluded)
            yield Alternative(keys, excluded, pin, max(each.least for each in chosen))


def pinned_protocol(context: Context, keys: Keys) -> int | None:
    """The IP protocol that ``keys`` ask for, if they do (outside IP there is none to pin: 0)."""
    if not context.version:
        return 0
    where = context.protocol_key(0)
    for key in keys:
        if key.offset == where.offset and key.mask & where.mask == where.mask:
            return (key.value & where.mask) >> (16 if context.version == 4 else 8)
    return None


def hides_in_later_fragments(match: Match) -> set[int]:
    """The protocols in whose later fragments ``match`` can not see what it asks for."""
    hidden: set[int] = set()
    if match.looks_at_ports or match.icmp_type is not None:
        hidden |= match.protocol or set()
    if any(kind in TUNNEL_UDP_PORTS for kind in match.tunnel or ()):
        hidden.add(UDP)
    return hidden


def _conditions(match: Match, context: Context, bypass: bool) -> Iterator[Sequence[Alternative]]:
    if match.link is not None:
        yield TRUE if context.link in match.link else FALSE
    if match.ethertype is not None:
        yield TRUE if context.ethertype in match.ethertype else FALSE
    if match.tunnel is not None:
        yield [each for kind in sorted(match.tunnel) for each in _tunnel(kind, context, bypass)]
    if not context.version:
        about_ip = match.looks_at_ip or match.looks_at_ports or match.icmp_type is not None
        if about_ip:
            yield FALSE
        return
    if match.protocol is not None:
        # A packet is of what stands behind AH and extension headers, never of these.
        walked = context.unwalked if bypass else frozenset()
        yield [_pinned(context, number) for number in sorted(match.protocol - walked)]
    yield from _network_conditions(match, context)
    yield from _transport_conditions(match, context, bypass)


def _network_conditions(match: Match, context: Context) -> Iterator[Sequence[Alternative]]:
    if match.dscp is not None:
        shift, mask = (18, 0x00FC0000) if context.version == 4 else (22, 0x0FC00000)
        yield [_one(U32Key(0, mask, point << shift)) for point in sorted(match.dscp)]
    source, destination = (12, 16) if context.version == 4 else (8, 24)
    if match.source is not None:
        yield _networks(match.source, source, context)
    if match.destination is not None:
        yield _networks(match.destination, destination, context)
    if match.address is not None:
        yield [
            *_networks(match.address, source, context),
            *_networks(match.address, destination, context),
        ]
    if match.fragment is not None:
        yield [each for part in sorted(match.fragment) for each in _fragment(part, context)]


def _transport_conditions(
    match: Match, context: Context, bypass: bool
) -> Iterator[Sequence[Alternative]]:
    source = _ports(match.source_port or (), context, 16, bypass)
    destination = _ports(match.destination_port or (), context, 0, bypass)
    if match.source_port is not None:
        yield source
    if match.destination_port is not None:
        yield destination
    if match.port is not None:
        yield [
            *_ports(match.port, context, 16, bypass),
            *_ports(match.port, context, 0, bypass),
        ]
    if match.icmp_type is not None:
        seen = _first_part(context) if bypass else ()
        yield [
            _one(*seen, U32Key(context.header, 0xFF000000, kind << 24))
            for kind in sorted(match.icmp_type)
        ]
    if match.payload is not None:
        yield _payload(match.payload, context, bypass)


def _one(*keys: U32Key) -> Alternative:
    return Alternative(keys)


def _pinned(context: Context, number: int) -> Alternative:
    keys = (context.protocol_key(number),)
    return Alternative(keys, pin=keys)


def _first_part(context: Context) -> Keys:
    """The transport header begins in this packet."""
    return (context.not_later,) if context.version == 4 else ()


def _fragment(part: Fragment, context: Context) -> Sequence[Alternative]:
    if context.version == 6:  # fragments have an extension header and never get here
        return TRUE if part is Fragment.WHOLE else FALSE
    if part is Fragment.LATER:  # one of the 13 bits of the offset is set
        return [_one(U32Key(4, 1 << bit, 1 << bit)) for bit in range(13)]
    return [_one(U32Key(4, 0x00003FFF, 0x2000 if part is Fragment.FIRST else 0))]


def _networks(networks: Iterable[Network], offset: int, context: Context) -> Sequence[Alternative]:
    family = IPv4Network if context.version == 4 else IPv6Network
    found = []
    for network in networks:
        if not isinstance(network, family):
            continue
        size = network.max_prefixlen
        mask, value = int(network.netmask), int(network.network_address)
        words = []
        for index in range(size // 32):
            shift = size - 32 * (index + 1)
            word_mask = (mask >> shift) & 0xFFFFFFFF
            if word_mask:
                word = (value >> shift) & 0xFFFFFFFF
                words.append(U32Key(offset + 4 * index, word_mask, word))
        found.append(_one(*words))
    return found


def _ports(
    ranges: Iterable[PortRange], context: Context, shift: int, bypass: bool
) -> Sequence[Alternative]:
    seen = _first_part(context) if bypass else ()
    return [
        _one(*seen, U32Key(context.header, mask << shift, value << shift))
        for ports in ranges
        for value, mask in prefixes(ports.low, ports.high)
    ]


def prefixes(low: int, high: int) -> Iterator[tuple[int, int]]:
    """The 16-bit numbers ``low`` to ``high`` as (value, mask) of aligned blocks, fewest first."""
    while low <= high:
        size = low & -low or 0x10000
        while low + size - 1 > high:
            size >>= 1
        yield low, 0xFFFF & ~(size - 1)
        low += size


def _tunnel(kind: Tunnel, context: Context, bypass: bool) -> Iterator[Alternative]:
    if context.ethertype in TUNNEL_ETHERTYPES.get(kind, ()):
        yield Alternative()
    if not context.version:
        return
    if kind in TUNNEL_PROTOCOLS:
        yield _pinned(context, TUNNEL_PROTOCOLS[kind])
    udp = _pinned(context, UDP)
    for port in sorted(TUNNEL_UDP_PORTS.get(kind, ())):
        for shift in (16, 0):
            for each in _ports((PortRange(port, port),), context, shift, bypass):
                yield Alternative((*udp.keys, *each.keys), pin=udp.pin)


# For each class: (value, mask) of the first payload word, and the least payload length in bytes.
_RTCP = ((0x80C00000, 0xC0E00000),)
_RTP_OR_RTCP = ((0x80000000, 0xC0000000),)
_RTP = ((0x80000000, 0xC0800000), (0x80800000, 0xC0C00000), (0x80E00000, 0xC0E00000))
_STUN = ((0x00000000, 0xFC000000),)
_DTLS = ((0x14000000, 0xFC000000), (0x18000000, 0xF8000000), (0x20000000, 0xE0000000))
_TURN = ((0x40000000, 0xF0000000),)


def _payload(
    classes: frozenset[PayloadClass], context: Context, bypass: bool
) -> Sequence[Alternative]:
    patterns: list[tuple[tuple[tuple[int, int], ...], int]] = []
    if PayloadClass.RTCP in classes:
        patterns.append((_RTCP, 8))
    if PayloadClass.RTP in classes:
        # With RTCP let pass before, the second byte needs no comparison.
        patterns.append((_RTP_OR_RTCP if PayloadClass.RTCP in classes else _RTP, 12))
    if PayloadClass.STUN in classes:
        patterns.append((_STUN, 20))
    if PayloadClass.DTLS in classes:
        patterns.append((_DTLS, 13))
    if PayloadClass.TURN in classes:
        patterns.append((_TURN, 4))
    udp = _pinned(context, UDP)
    start = context.header + 8
    found = []
    for words, least in patterns:
        for value, mask in words:
            keys = [*udp.keys]
            if bypass and context.version == 4:
                keys.append(U32Key(4, 0x00003FFF, 0))  # a whole datagram
            keys.append(U32Key(start, mask, value))
            if words is _STUN:
                keys.append(U32Key(start + 4, 0xFFFFFFFF, STUN_COOKIE))
            if bypass:
                keys.append(U32Key(start + (least - 1) // 4 * 4, 0, 0))
            excluded = tuple(_not_media(context, least)) if bypass else ()
            found.append(Alternative(tuple(keys), excluded, udp.pin, least))
    return found


def _not_media(context: Context, least: int) -> Iterator[Keys]:
    """What rules media out: low and listed ports, and lengths that say less than is there."""
    ports, lengths = context.header, context.header + 4
    for shift in (16, 0):
        for value, mask in prefixes(0, LOWEST_MEDIA_PORT - 1):
            yield (U32Key(ports, mask << shift, value << shift),)
        for port in sorted(NEVER_MEDIA_PORTS):
            yield (U32Key(ports, 0xFFFF << shift, port << shift),)
    for value, mask in prefixes(0, 8 + least - 1):
        yield (U32Key(lengths, mask << 16, value << 16),)
    if context.version == 4:
        for value, mask in prefixes(0, 20 + 8 + least - 1):
            yield (U32Key(0, mask, value),)
    else:
        for value, mask in prefixes(0, 8 + least - 1):
            yield (U32Key(4, mask << 16, value << 16),)
