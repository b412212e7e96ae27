"""Which frame left when: what came in is found again among what goes out, by its bytes.

A plug is a queue: frames leave in the order in which they came. So one that has not left when later
ones do was dropped.
"""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from remusnet.classify.headers import Headers, dissect
from remusnet.classify.reference import Decision, judge
from remusnet.kernel.trace.tap import Tapped
from remusnet.metrics.flows import ethertype_text, flow_text
from remusnet.policy import Policy
from remusnet.policy.verdict import Verdict
from remusnet.results.tracing import Fate, RuleCount, Trace, TracedFrame

SLACK_NS = 50_000_000
"""Processors that receive at once may have a tap and a plug see two frames in different order."""
_MOST_HELD = 200_000
"""Frames that have not left yet; beyond that the tracer forgets the oldest."""
_MOST_PASSED = 10_000
"""Frames that the policy lets pass, and that may yet show at the buffer device."""
_MOST_TIMES = 100_000
"""Holding times that the median is taken of: the last ones."""

_Rule = tuple[Verdict, str]


@dataclass(frozen=True, slots=True)
class _Told:
    """What the tracer says of a frame beside its fate."""

    headers: Headers
    decision: Decision
    data: bytes


@dataclass(frozen=True, slots=True)
class _Arrived:
    number: int
    key: bytes
    time_ns: int
    rule: _Rule
    told: _Told | None


class Tracer:
    """Judges what comes by ``policy``, and follows it; tells of the first ``listed`` frames."""

    def __init__(self, policy: Policy, listed: int) -> None:
        self._policy = policy
        self._listed = listed
        self._number = 0
        # In the order in which they came.
        self._held: OrderedDict[int, _Arrived] = OrderedDict()
        self._by_key: dict[bytes, deque[int]] = {}
        self._passed: OrderedDict[bytes, deque[_Arrived]] = OrderedDict()
        self._frames: Counter[_Rule] = Counter()
        self._bytes: Counter[_Rule] = Counter()
        self._fates: Counter[tuple[_Rule, Fate]] = Counter()
        self._times: deque[int] = deque(maxlen=_MOST_TIMES)
        self._beyond = self._before = 0
        self._missed_leaving = False

    def take(
        self, came: Sequence[Tapped], left: Sequence[Tapped], *, missed_leaving: bool = False
    ) -> Iterator[TracedFrame]:
        """The frames whose fate is known now. All of ``left`` was read before ``came`` was.

        ``missed_leaving``: frames have left unseen by now, so that who has not left can't be told.
        """
        self._missed_leaving |= missed_leaving
        for each in came:
            yield from self._arrive(each)
        for each in left:
            yield from self._leave(each)

    def finish(self, waiting: int | None, at_ns: int) -> Iterator[TracedFrame]:
        """The frames that haven't left; ``waiting`` were in the plug at ``at_ns`` (None:
        unknown).
        """
        rest = list(self._held.values())
        if waiting is not None:
            # What has come since may have been held too, and what has left since is not in rest.
            waiting += sum(each.time_ns >= at_ns - SLACK_NS for each in rest)
        fate = Fate.UNKNOWN
        if waiting is not None and not self._missed_leaving:
            # A plug that is full drops the newest, one that is purged drops the oldest.
            if waiting >= len(rest):
                fate = Fate.WAITING
            elif waiting == 0:
                fate = Fate.DROPPED
        for each in rest:
            yield from self._settle(self._take(each.number), fate)

    def trace(self, vif: str, buffer: str, duration_ns: int, unseen: int, problem: str) -> Trace:
        """The sums so far."""
        rules = tuple(
            RuleCount(
                *rule,
                frames,
                self._bytes[rule],
                {fate: self._fates[rule, fate] for fate in Fate},
            )
            for rule, frames in self._frames.most_common()
        )
        times = sorted(self._times)
        held = (times[0], times[len(times) // 2], times[-1]) if times else None
        return Trace(
            vif=vif,
            buffer=buffer,
            policy=self._policy.name,
            duration_ns=duration_ns,
            rules=rules,
            held_ns=held,
            listed=min(self._number, self._listed),
            beyond=self._beyond,
            before=self._before,
            unseen=unseen,
            problem=problem,
        )

    def _arrive(self, tapped: Tapped) -> Iterator[TracedFrame]:
        self._number += 1
        frame = tapped.frame
        headers = dissect(frame)
        decision = judge(self._policy, headers)
        rule = (decision.verdict, decision.rule)
        self._frames[rule] += 1
        self._bytes[rule] += len(frame)
        told = _Told(headers, decision, frame) if self._number <= self._listed else None
        arrived = _Arrived(self._number, _key(frame), tapped.time_ns, rule, told)
        if decision.verdict is Verdict.BYPASS:
            self._passed.setdefault(arrived.key, deque(maxlen=_MOST_PASSED)).append(arrived)
            if len(self._passed) > _MOST_PASSED:
                self._passed.popitem(last=False)
            yield from self._settle(arrived, Fate.BYPASSED)
            return
        self._held[arrived.number] = arrived
        self._by_key.setdefault(arrived.key, deque()).append(arrived.number)
        if len(self._held) > _MOST_HELD:
            yield from self._settle(self._take(next(iter(self._held))), Fate.UNKNOWN)

    def _leave(self, tapped: Tapped) -> Iterator[TracedFrame]:
        key = _key(tapped.frame)
        if key in self._by_key:
            arrived = self._take(self._by_key[key][0])
            for number in list(self._overtaken_by(arrived)):
                fate = Fate.UNKNOWN if self._missed_leaving else Fate.DROPPED
                yield from self._settle(self._take(number), fate)
            yield from self._settle(arrived, Fate.RELEASED, tapped.time_ns)
        elif self._passed.get(key):
            # It was told as one that bypassed; only the sums can still be put right.
            arrived = self._passed[key].popleft()
            self._beyond += 1
            self._fates[arrived.rule, Fate.BYPASSED] -= 1
            self._fates[arrived.rule, Fate.RELEASED] += 1
            self._times.append(max(0, tapped.time_ns - arrived.time_ns))
        else:
            self._before += 1

    def _overtaken_by(self, arrived: _Arrived) -> Iterator[int]:
        for number, each in self._held.items():
            if each.time_ns > arrived.time_ns - SLACK_NS or number > arrived.number:
                return
            yield number

    def _take(self, number: int) -> _Arrived:
        arrived = self._held.pop(number)
        numbers = self._by_key[arrived.key]
        numbers.remove(number)
        if not numbers:
            del self._by_key[arrived.key]
        return arrived

    def _settle(
        self, arrived: _Arrived, fate: Fate, left_ns: int | None = None
    ) -> Iterator[TracedFrame]:
        self._fates[arrived.rule, fate] += 1
        held_ns = None if left_ns is None else max(0, left_ns - arrived.time_ns)
        if held_ns is not None:
            self._times.append(held_ns)
        if arrived.told is not None:
            told = arrived.told
            yield TracedFrame(
                arrived.number,
                arrived.time_ns,
                len(told.data),
                flow_of(told.headers),
                told.decision.verdict,
                told.decision.rule,
                told.decision.reason,
                fate,
                held_ns,
                told.data,
            )


def flow_of(headers: Headers) -> str:
    """What the flow of a frame with these headers is called, as in `remusnet classify`."""
    if not headers.version or headers.source is None or headers.destination is None:
        return ethertype_text(headers.ethertype)
    kind = IPv4Address if headers.version == 4 else IPv6Address
    protocol, source, destination = (
        -1 if number is None else number
        for number in (headers.protocol, headers.source_port, headers.destination_port)
    )
    return flow_text(
        protocol, str(kind(headers.source)), source, str(kind(headers.destination)), destination
    )


def _key(frame: bytes) -> bytes:
    return hashlib.blake2b(frame, digest_size=16).digest()
