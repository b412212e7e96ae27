"""Policies as flower filters, behind u32 filters that hold what flower can't judge.

The kernel takes a packet apart for flower (net/core/flow_dissector.c) and says nothing of what it
found odd: it looks at no version, needs no options to be there, and walks up to fifteen extension
headers. So before flower is asked, u32 holds every packet whose header is not the plain one; in the
rest, each flower filter that lets bypass names an IP protocol, which is 0 where a header was cut.
Frames with a VLAN tag are held: flower walks any number of tags, and what is in PPPoE too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

from remusnet.classify.filters import ETH_P_ALL, LAST_PREF, Classification, Filter
from remusnet.classify.flower.beyond import beyond
from remusnet.classify.flower.conditions import GUARDED, FlowerMatch, alternatives
from remusnet.classify.headers import (
    AH,
    EXTENSION_HEADERS,
    Headers,
)
from remusnet.classify.reference import judge
from remusnet.classify.u32.compiler import compile_u32
from remusnet.classify.u32.conditions import EVERY_FRAME, U32Key, U32Match, prefixes
from remusnet.errors import InvalidInput
from remusnet.policy.conditions import describe
from remusnet.policy.policy import (
    ARP_ETHERTYPE,
    IPV4_ETHERTYPE,
    IPV6_ETHERTYPE,
    Link,
    Match,
    Policy,
    named_ethertypes,
)
from remusnet.policy.verdict import Verdict

MOST_FILTERS = 2048
"""As u32: flower itself has no limit, but each filter costs a message at every change."""

_ETHERTYPES = {4: IPV4_ETHERTYPE, 6: IPV6_ETHERTYPE}


def compile_flower(policy: Policy) -> Classification:
    """``policy`` as flower filters, sound on every frame.

    Raises InvalidInput where it can't be done soundly, or takes too many filters.
    """
    if not policy.holds_odd:
        # Whole ethertypes, which u32 holds without looking into them.
        return replace(compile_u32(policy), classifier="flower")
    filters: list[Filter] = []
    for ethertype in sorted({ARP_ETHERTYPE} | named_ethertypes(policy)):
        headers = Headers(link=Link.PLAIN, ethertype=ethertype)
        if judge(policy, headers).verdict is Verdict.BYPASS:
            comment = f"ethertype {ethertype:#06x}: bypass"
            pref = 10 + len(filters)
            filters.append(Filter(pref, ethertype, EVERY_FRAME, Verdict.BYPASS, comment))
    prefs = count(10 + len(filters))
    for version in _ETHERTYPES:
        filters += _packets(policy, version, prefs)
    highest = max((each.pref for each in filters), default=0)
    if len(filters) > MOST_FILTERS or highest >= LAST_PREF:
        raise InvalidInput(
            f"policy {policy.name} needs {len(filters)} flower filters at {highest} preferences, "
            f"{MOST_FILTERS} and {LAST_PREF - 1} are the most: use fewer rules, ports or prefixes"
        )
    filters.append(
        Filter(LAST_PREF, ETH_P_ALL, EVERY_FRAME, Verdict.HOLD, "hold every other frame")
    )
    return Classification("flower", policy, tuple(filters), beyond(policy))


def _packets(policy: Policy, version: int, prefs: Iterator[int]) -> Iterator[Filter]:
    """The filters for untagged packets of IP ``version``.

    Within a preference flower asks in no order, so each rule has one of its own.
    """
    rules = [(f"rule {each.name}", each.verdict, each.match) for each in policy.rules]
    rules.append(("default", policy.default, Match()))
    found = [
        (origin, verdict, alternatives(match, version, verdict)) for origin, verdict, match in rules
    ]
    while found and (found[-1][1] is Verdict.HOLD or not found[-1][2]):
        found.pop()  # the last filter of all holds what is left
    if not found:
        return
    ethertype, pref = _ETHERTYPES[version], next(prefs)
    for key, what in _guards(version):
        comment = f"IPv{version}: hold what flower can not judge: {what}"
        yield Filter(pref, ethertype, U32Match((key,)), Verdict.HOLD, comment)
    decided: set[FlowerMatch] = set()
    for origin, verdict, matches in found:
        # What an earlier rule has taken needs no filter.
        fresh = [match for match in matches if match not in decided]
        decided |= set(fresh)
        pref = next(prefs) if fresh else 0
        for match in fresh:
            comment = f"IPv{version}: {verdict} {_packets_of(match)} ({origin})"
            yield Filter(pref, ethertype, match, verdict, comment)


def _packets_of(match: FlowerMatch) -> str:
    """``UDP``, for a comment: the keys beside it say the rest."""
    if match.ip_proto is None:
        return "packets"
    return describe(Match(protocol=frozenset({match.ip_proto})))


def _guards(version: int) -> Iterator[tuple[U32Key, str]]:
    """Keys of packets whose header is not the plain one, one of which each of them meets."""
    low, high = (0x45, 0x45) if version == 4 else (0x60, 0x6F)
    for value, mask in (*prefixes(0, low - 1), *prefixes(high + 1, 0xFF)):
        yield U32Key(0, (mask & 0xFF) << 24, value << 24), "version or header length"
    hidden = GUARDED | ({AH} if version == 4 else EXTENSION_HEADERS)
    offset, shift = (8, 16) if version == 4 else (4, 8)
    for number in sorted(hidden):
        yield U32Key(offset, 0xFF << shift, number << shift), f"what is behind protocol {number}"
