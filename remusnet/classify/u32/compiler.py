"""Policies as u32 filters.

u32 compares masked words at fixed offsets; it has no "not", no loop and no variable offset here. So
each filter that lets bypass says completely what it lets bypass (version, header length, that the
header is all there), filters that hold only subtract from what follows, and a last filter holds
every frame that none let pass. A comparison beyond the end of a frame leaves the whole preference
(net/sched/cls_u32.c, u32_classify), which ends at that last filter: short frames fail closed.

Frames are met in contexts: a link (untagged, or one 802.1Q tag, which the kernel has moved aside so
that the network header is where it is without a tag) and an ethertype. A rule is specialised to the
context. What it can't say of a frame there makes a rule that holds hold more, and a rule that lets
bypass let less pass; `Classification.beyond` names the difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address
from itertools import islice

from remusnet.classify.filters import (
    ETH_P_ALL,
    LAST_PREF,
    Beyond,
    Classification,
    Filter,
    held_ethertypes,
    not_whole,
)
from remusnet.classify.headers import AH, DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ROUTING
from remusnet.classify.u32.conditions import (
    EVERY_FRAME,
    Alternative,
    Context,
    Keys,
    U32Key,
    U32Match,
    alternatives,
    contexts,
    hides_in_later_fragments,
    pinned_protocol,
)
from remusnet.errors import InvalidInput
from remusnet.policy.policy import (
    ICMP,
    ICMPV6,
    IPV4_ETHERTYPE,
    IPV6_ETHERTYPE,
    PROTOCOLS,
    UDP,
    Link,
    Match,
    Policy,
    Rule,
    is_innermost,
)
from remusnet.policy.verdict import Verdict

MOST_FILTERS = 2048
"""Node numbers of a u32 hash table: 0x800 to 0xfff."""

_WORTH_IT = 3
"""Filters before UDP is asked for: a filter of three words takes as long as two that do not match
(measured).
"""
_UNNAMED = 0
_BEHIND = {
    IPV4_ETHERTYPE: {Beyond.IPV4_OPTIONS, Beyond.AH},
    IPV6_ETHERTYPE: {Beyond.IPV6_EXTENSIONS, Beyond.AH},
    _UNNAMED: {Beyond.OTHER_ETHERTYPES},
}
"""What u32 holds among the frames of an ethertype that may bypass."""
_UNWALKED = {
    HOP_BY_HOP: "a hop-by-hop options header",
    ROUTING: "a routing header",
    FRAGMENT: "a fragment header",
    AH: "an authentication header",
    DESTINATION_OPTIONS: "a destination options header",
}
_PROTOCOL_NAMES = {number: name.upper() for name, number in PROTOCOLS.items()} | {ICMPV6: "ICMPv6"}


def compile_u32(policy: Policy) -> Classification:
    """``policy`` as u32 filters, sound on every frame.

    Raises InvalidInput where it can't be done soundly, or takes more filters than u32 numbers.
    """
    if not policy.holds_odd:
        return _compile_baseline(policy)
    filters: list[Filter] = []
    beyond = _out_of_reach(policy)
    arp = Beyond.OTHER_ETHERTYPES in beyond
    for number, context in enumerate(contexts(policy, with_arp=arp), start=1):
        table = _Table(policy, context, pref=10 * number, beyond=beyond)
        table.fill()
        filters += table.filters
    filters.append(
        Filter(
            LAST_PREF,
            ETH_P_ALL,
            EVERY_FRAME,
            Verdict.HOLD,
            "hold every frame that no other filter lets pass",
        )
    )
    return Classification("u32", policy, tuple(filters), tuple(b for b in Beyond if b in beyond))


def _compile_baseline(policy: Policy) -> Classification:
    """A policy that lets odd frames bypass: ethertypes held as a whole, as Xen's script does."""
    filters = []
    for number, (name, ethertypes) in enumerate(held_ethertypes(policy, "u32"), start=1):
        if not all(map(is_innermost, ethertypes)):
            raise not_whole(policy, "u32", name)
        for more, ethertype in enumerate(sorted(ethertypes)):
            filters.append(
                Filter(10 * number + more, ethertype, EVERY_FRAME, Verdict.HOLD, f"{name}: hold")
            )
    return Classification("u32", policy, tuple(filters), ())


def _bypassing(policy: Policy) -> list[Match]:
    """What lets bypass: the rules that do, and the default where it does."""
    default = [Match()] if policy.default is Verdict.BYPASS else []
    return [*(rule.match for rule in policy.rules if rule.verdict is Verdict.BYPASS), *default]


def _out_of_reach(policy: Policy) -> set[Beyond]:
    """The kinds of frame that may bypass, and for which there is no context."""
    found: set[Beyond] = set()
    for match in _bypassing(policy):
        if match.link is None or Link.TAGGED in match.link:
            found.add(Beyond.TAGS)
        if match.link is None or Link.LLC in match.link:
            found.add(Beyond.LLC)
        # A policy may let pass nothing but fragments, which in IPv6 have an extension header.
        any_part = replace(match, fragment=None)
        for ethertype, kinds in _BEHIND.items():
            links = (Context(link, ethertype, 0, (), "") for link in (Link.PLAIN, Link.TAGGED))
            if any(any(alternatives(any_part, each, Verdict.BYPASS)) for each in links):
                found |= kinds
    return found


@dataclass(slots=True)
class _Table:
    """The filters of one preference: a policy in one context."""

    policy: Policy
    context: Context
    pref: int
    beyond: set[Beyond]
    filters: list[Filter] = field(default_factory=list)
    decided: set[U32Match] = field(default_factory=set)
    # Protocols whose later fragments a rule that holds might match.
    hidden: set[int] = field(default_factory=set)

    def fill(self) -> None:
        """Adds the filters. Raises InvalidInput for more than u32 numbers."""
        rules = self.policy.rules
        lets_pass = [self._bypasses(rule) for rule in rules]
        default = self._alternatives("default", Match(), Verdict.BYPASS)
        if self.policy.default is Verdict.HOLD:
            default = []
        every = [keys for found in [*lets_pass, default] for keys in found]
        if not every:
            return
        if any(pinned_protocol(self.context, found.keys) is None for found in every):
            self._hold_unwalked()
        for index, (rule, found) in enumerate(zip(rules, lets_pass, strict=True)):
            if rule.verdict is Verdict.HOLD:
                self._hold_rule(rule)
            else:
                later = [*lets_pass[index + 1 :], default]
                self._bypass_rule(f"rule {rule.name}", found, narrow=any(later))
        self._bypass_rule("default", default, narrow=False)
        while self.filters and self.filters[-1].verdict is Verdict.HOLD:
            self.filters.pop()  # the last filter of all holds them
        _ask_for_udp_early(self.context, self.filters)
        self._name_short()

    def _bypasses(self, rule: Rule) -> list[Alternative]:
        if rule.verdict is Verdict.HOLD:
            return []
        return self._alternatives(f"rule {rule.name}", rule.match, Verdict.BYPASS)

    def _alternatives(self, origin: str, match: Match, verdict: Verdict) -> list[Alternative]:
        # Conditions multiply: a list of prefixes and one of ports can make millions.
        found = list(islice(alternatives(match, self.context, verdict), MOST_FILTERS + 1))
        if len(found) > MOST_FILTERS:
            raise self._too_many(origin)
        return found

    def _hold_unwalked(self) -> None:
        """What lies behind AH and extension headers is out of u32's reach."""
        for number in sorted(self.context.unwalked):
            keys = (*self.context.keys, self.context.protocol_key(number))
            comment = f"hold what is behind {_UNWALKED[number]}: u32 can not look there"
            self._add(keys, Verdict.HOLD, comment, "default")

    def _hold_rule(self, rule: Rule) -> None:
        origin = f"rule {rule.name}"
        for found in self._alternatives(origin, rule.match, Verdict.HOLD):
            words = _words(self.context, found.keys)
            self._add(found.keys, Verdict.HOLD, f"hold {words} ({origin})", origin)
            if rule.match.payload is not None:
                self.beyond.add(Beyond.LOOKALIKES)
        if self.context.has_fragments:
            self.hidden |= hides_in_later_fragments(rule.match)

    def _bypass_rule(self, origin: str, found: Iterable[Alternative], *, narrow: bool) -> None:
        # What is too short for one class of payload may be long enough for the next.
        for each in sorted(found, key=lambda each: each.least):
            for excluded in each.excluded:
                keys = each.keys if narrow else each.pin
                merged = self.context.merge(keys, excluded)
                if merged is not None:
                    words = _words(self.context, merged)
                    self._add(merged, Verdict.HOLD, f"hold {words}: no media ({origin})", origin)
                    if narrow:
                        self.beyond.add(Beyond.LOOKALIKES)
            if (passing := self._without_hidden_fragments(each.keys)) is not None:
                words = _words(self.context, passing)
                self._add(passing, Verdict.BYPASS, f"bypass {words} ({origin})", origin)

    def _without_hidden_fragments(self, keys: Keys) -> Keys | None:
        """``keys`` without the later fragments that an earlier rule might hold; None: no rest."""
        pinned = pinned_protocol(self.context, keys)
        if not self.hidden or (pinned is not None and pinned not in self.hidden):
            return keys
        self.beyond.add(Beyond.LATER_FRAGMENTS)
        return self.context.merge(keys, (self.context.not_later,))

    def _add(self, keys: Keys, verdict: Verdict, comment: str, origin: str) -> None:
        match = U32Match(keys)
        if match in self.decided:
            return  # an earlier filter already decides on these frames
        if len(self.filters) == MOST_FILTERS:
            raise self._too_many(origin)
        self.decided.add(match)
        comment = f"{self.context.name}: {comment}"
        self.filters.append(Filter(self.pref, self.context.protocol, match, verdict, comment))

    def _too_many(self, origin: str) -> InvalidInput:
        return InvalidInput(
            f"policy {self.policy.name} needs more u32 filters for {self.context.name} than u32 "
            f"can number ({MOST_FILTERS}), the last of them for {origin}: use fewer ports, "
            "prefixes and code points"
        )

    def _name_short(self) -> None:
        """A filter that looks behind the IP header leaves the preference where nothing is there."""
        matches = (each.match for each in self.filters)
        keys = (key for match in matches if isinstance(match, U32Match) for key in match.keys)
        if self.context.version and any(key.offset >= self.context.header for key in keys):
            self.beyond.add(Beyond.SHORT)


def _ask_for_udp_early(context: Context, filters: list[Filter]) -> None:
    """Puts a filter that lets UDP bypass before `_WORTH_IT` or more that say nothing of UDP.

    Most of what bypasses is UDP: voice and video. Each filter that is asked in vain before costs
    all of its frames time.

    No frame's verdict changes, but that some bypass, as they may, which are too short for what
    stands in between (`Beyond.SHORT`). One of the filters lets all UDP bypass that has a complete
    header (or is no later fragment, too); what stands between it and the new one lets bypass as
    well, or asks for what no such UDP is.
    """
    if not context.version:
        return
    complete = (*context.complete, context.protocol_key(UDP))
    for more in ((), (context.not_later,)) if context.has_fragments else ((),):
        udp = context.merge(context.keys, complete, more)
        assert udp is not None
        last = next((i for i, each in enumerate(filters) if _lets_pass(context, each, udp)), 0)
        first = last
        while first and not _may_hold(context, filters[first - 1], udp):
            first -= 1
        if last - first >= _WORTH_IT:
            words = _words(context, udp)
            comment = f"{context.name}: bypass {words} (asked early)"
            early = Filter(
                filters[last].pref, context.protocol, U32Match(udp), Verdict.BYPASS, comment
            )
            filters.insert(first, early)
            return


def _lets_pass(context: Context, each: Filter, udp: Keys) -> bool:
    """Whether it lets all of ``udp`` pass, among others: of its own, UDP needs no second filter."""
    keys = _keys(each)
    return (
        each.verdict is Verdict.BYPASS
        and context.merge(udp, keys) == udp
        and pinned_protocol(context, keys) is None
    )


def _may_hold(context: Context, each: Filter, udp: Keys) -> bool:
    return each.verdict is Verdict.HOLD and context.merge(udp, _keys(each)) is not None


def _keys(each: Filter) -> Keys:
    assert isinstance(each.match, U32Match)
    return each.match.keys


def _words(context: Context, keys: Keys) -> str:
    """``UDP, to port 5060, no options``; ``all`` where nothing but the context is asked for.

    Read back from the keys themselves, so the words say what the kernel gets.
    """
    at = {key.offset: key for key in keys}
    protocol = pinned_protocol(context, keys) if context.version else None
    subject = "all" if protocol is None else _PROTOCOL_NAMES.get(protocol, f"protocol {protocol}")
    if not context.version:
        return subject
    network = _ipv4(at) if context.version == 4 else _ipv6(at)
    return ", ".join((subject, *network, *_transport(context, at, protocol)))


def _ipv4(at: dict[int, U32Key]) -> Iterator[str]:
    yield from _prefix("from", IPv4Address, [at.get(12)])
    yield from _prefix("to", IPv4Address, [at.get(16)])
    yield from _number("DSCP", at.get(0), 18, 6)
    yield from _number("total length", at.get(0), 0, 16)
    if (key := at.get(4)) is not None:
        yield _fragment(key)
    if _part(at.get(0), 24, 8) == (0x45, 0xFF):
        yield "no options"
    yield from _whole_header(at, 16)


def _ipv6(at: dict[int, U32Key]) -> Iterator[str]:
    yield from _prefix("from", IPv6Address, [at.get(place) for place in range(8, 24, 4)])
    yield from _prefix("to", IPv6Address, [at.get(place) for place in range(24, 40, 4)])
    yield from _number("DSCP", at.get(0), 22, 6)
    yield from _number("payload length", at.get(4), 16, 16)
    yield from _whole_header(at, 36)


def _transport(context: Context, at: dict[int, U32Key], protocol: int | None) -> Iterator[str]:
    first = at.get(context.header)
    if protocol in (ICMP, ICMPV6):
        yield from _number("type", first, 24, 8)
        return
    yield from _number("from port", first, 16, 16)
    yield from _number("to port", first, 0, 16)
    yield from _number("UDP length", at.get(context.header + 4), 16, 16)
    start = context.header + 8
    payload = sorted((offset, key) for offset, key in at.items() if offset >= start)
    for offset, key in payload:
        if key.mask == 0xFFFFFFFF:
            yield f"{key.value:#010x} in payload bytes {offset - start} to {offset - start + 3}"
            continue
        for byte, place in enumerate(("first", "second", "third", "fourth")):
            yield from _number(f"{place} payload byte", key, 24 - 8 * byte, 8)
    if payload:
        yield f"at least {payload[-1][0] + 4 - start} payload bytes"


def _whole_header(at: dict[int, U32Key], last: int) -> Iterator[str]:
    """A key behind the header's last word, or without a mask on it, only asks for its bytes."""
    if last in at and not at[last].mask:
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
