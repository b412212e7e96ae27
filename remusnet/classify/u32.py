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
from dataclasses import dataclass, field

from remusnet.classify.filters import (
    ETH_P_8021Q,
    ETH_P_ALL,
    EVERY_FRAME,
    LAST_PREF,
    Beyond,
    Classification,
    Filter,
    U32Key,
    U32Match,
)
from remusnet.classify.u32_conditions import (
    Alternative,
    Context,
    alternatives,
    hides_in_later_fragments,
    pinned_protocol,
)
from remusnet.errors import InvalidInput
from remusnet.policy.match import (
    ARP_ETHERTYPE,
    IPV4_ETHERTYPE,
    IPV6_ETHERTYPE,
    TUNNEL_ETHERTYPES,
    Link,
    Match,
    PayloadClass,
)
from remusnet.policy.policy import Policy, Rule
from remusnet.policy.verdict import Verdict

MOST_FILTERS = 2048
"""Node numbers of a u32 hash table: 0x800 to 0xfff."""

_Keys = tuple[U32Key, ...]
_HEADER_NAMES = {IPV4_ETHERTYPE: "IPv4", IPV6_ETHERTYPE: "IPv6", ARP_ETHERTYPE: "ARP"}


def compile_u32(policy: Policy) -> Classification:
    """``policy`` as u32 filters, sound on every frame.

    Raises InvalidInput where it can't be done soundly, or takes more filters than u32 numbers.
    """
    if not policy.holds_odd:
        return _compile_baseline(policy)
    filters: list[Filter] = []
    beyond: set[Beyond] = set()
    for number, context in enumerate(_contexts(policy), start=1):
        table = _Table(policy, context, pref=10 * number, beyond=beyond)
        table.fill()
        if len(table.filters) > MOST_FILTERS:
            raise InvalidInput(
                f"policy {policy.name} needs {len(table.filters)} u32 filters for "
                f"{context.name}, u32 can number {MOST_FILTERS}: use fewer ports or prefixes"
            )
        filters += table.filters
    if filters:
        beyond |= {Beyond.TAGS, Beyond.LLC}
    if policy.default is Verdict.BYPASS:
        beyond |= {Beyond.TAGS, Beyond.LLC, Beyond.OTHER_ETHERTYPES}
    filters.append(
        Filter(LAST_PREF, ETH_P_ALL, EVERY_FRAME, Verdict.HOLD, "hold every other frame")
    )
    return Classification("u32", policy, tuple(filters), tuple(b for b in Beyond if b in beyond))


def _compile_baseline(policy: Policy) -> Classification:
    """A policy that lets odd frames bypass: ethertypes held as a whole, as Xen's script does."""
    filters = []
    for number, rule in enumerate(policy.rules, start=1):
        only = Match(link=frozenset({Link.PLAIN}), ethertype=rule.match.ethertype)
        if rule.verdict is not Verdict.HOLD or rule.match != only or only.ethertype is None:
            raise InvalidInput(
                f"policy {policy.name}: u32 can let odd frames bypass only beside rules that "
                f"hold untagged frames of an ethertype, and rule {rule.name} is none"
            )
        for more, ethertype in enumerate(sorted(only.ethertype)):
            filters.append(
                Filter(
                    10 * number + more, ethertype, EVERY_FRAME, Verdict.HOLD, f"{rule.name}: hold"
                )
            )
    if policy.default is not Verdict.BYPASS:
        raise InvalidInput(f"policy {policy.name}: holds by default, so it has to hold odd frames")
    return Classification("u32", policy, tuple(filters), ())


def _contexts(policy: Policy) -> Iterator[Context]:
    """Where frames that may bypass are met, the commonest first."""
    named: set[int] = {ARP_ETHERTYPE} if policy.default is Verdict.BYPASS else set()
    for rule in policy.rules:
        named |= rule.match.ethertype or set()
        for kind in rule.match.tunnel or ():
            named |= TUNNEL_ETHERTYPES.get(kind, frozenset())
    others = sorted(named - {IPV4_ETHERTYPE, IPV6_ETHERTYPE})
    for link in (Link.PLAIN, Link.TAGGED):
        for ethertype in (IPV4_ETHERTYPE, IPV6_ETHERTYPE, *others):
            name = _HEADER_NAMES.get(ethertype, f"ethertype {ethertype:#06x}")
            if link is Link.PLAIN:
                keys = () if ethertype in (IPV4_ETHERTYPE, IPV6_ETHERTYPE) else EVERY_FRAME.keys
                yield Context(link, ethertype, ethertype, keys, name)
            else:
                # The two bytes before the network header: the ethertype behind the tag.
                behind = U32Key(-4, 0x0000FFFF, ethertype)
                yield Context(link, ethertype, ETH_P_8021Q, (behind,), f"tagged {name}")


@dataclass(slots=True)
class _Table:
    """The filters of one preference: a policy in one context."""

    policy: Policy
    context: Context
    pref: int
    beyond: set[Beyond]
    filters: list[Filter] = field(default_factory=list)
    # Protocols whose later fragments a rule that holds might match.
    hidden: set[int] = field(default_factory=set)

    def fill(self) -> None:
        rules = [*self.policy.rules]
        lets_pass = [self._bypasses(rule) for rule in rules]
        default = self._default()
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
                self._bypass_rule(rule.name, found, narrow=any(later))
        self._bypass_rule("default", default, narrow=False)
        while self.filters and self.filters[-1].verdict is Verdict.HOLD:
            self.filters.pop()  # the last filter of all holds them
        self._name_beyond()

    def _bypasses(self, rule: Rule) -> list[Alternative]:
        if rule.verdict is Verdict.HOLD:
            return []
        return list(alternatives(rule.match, self.context, Verdict.BYPASS))

    def _default(self) -> list[Alternative]:
        if self.policy.default is Verdict.HOLD:
            return []
        return list(alternatives(Match(), self.context, Verdict.BYPASS))

    def _hold_unwalked(self) -> None:
        """What lies behind AH and extension headers is out of u32's reach."""
        for number in sorted(self.context.unwalked):
            keys = (*self.context.keys, self.context.protocol_key(number))
            self._add(keys, Verdict.HOLD, f"hold what u32 can not walk: IP protocol {number}")

    def _hold_rule(self, rule: Rule) -> None:
        for found in alternatives(rule.match, self.context, Verdict.HOLD):
            self._add(found.keys, Verdict.HOLD, f"{rule.name}: hold")
            if rule.match.payload is not None:
                self.beyond.add(Beyond.LOOKALIKES)
        if self.context.has_fragments:
            self.hidden |= hides_in_later_fragments(rule.match)

    def _bypass_rule(self, name: str, found: Iterable[Alternative], *, narrow: bool) -> None:
        for each in found:
            for excluded in each.excluded:
                keys = each.keys if narrow else each.pin
                merged = self.context.merge(keys, excluded)
                if merged is not None:
                    self._add(merged, Verdict.HOLD, f"{name}: not in a media stream, hold")
                    if narrow:
                        self.beyond.add(Beyond.LOOKALIKES)
            keys = self._without_hidden_fragments(each.keys)
            self._add(keys, Verdict.BYPASS, f"{name}: bypass")

    def _without_hidden_fragments(self, keys: _Keys) -> _Keys:
        pinned = pinned_protocol(self.context, keys)
        if not self.hidden or (pinned is not None and pinned not in self.hidden):
            return keys
        self.beyond.add(Beyond.LATER_FRAGMENTS)
        return self.context.merge(keys, (self.context.not_later,)) or keys

    def _add(self, keys: _Keys, verdict: Verdict, comment: str) -> None:
        match = U32Match(keys)
        if any(each.match == match for each in self.filters):
            return  # an earlier filter already decides on these frames
        comment = f"{self.context.name}: {comment}"
        self.filters.append(Filter(self.pref, self.context.protocol, match, verdict, comment))

    def _name_beyond(self) -> None:
        context = self.context
        if context.ethertype == IPV4_ETHERTYPE:
            self.beyond |= {Beyond.IPV4_OPTIONS, Beyond.AH}
        if context.ethertype == IPV6_ETHERTYPE:
            self.beyond |= {Beyond.IPV6_EXTENSIONS, Beyond.AH}
        deep = any(key.offset >= context.header for f in self.filters for key in f.match.keys)
        if (
            context.version
            and deep
            and (self.policy.default is Verdict.BYPASS or self._rounds_up())
        ):
            self.beyond.add(Beyond.SHORT)

    def _rounds_up(self) -> bool:
        """Whether a bypass needs a whole word where the policy asks for less."""
        bypassing = [rule.match for rule in self.policy.rules if rule.verdict is Verdict.BYPASS]
        return len(bypassing) > 1 or any(
            match.icmp_type is not None or PayloadClass.DTLS in (match.payload or ())
            for match in bypassing
        )
