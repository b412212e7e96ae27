"""From the filters that a vif has to those of a plan, so that nothing leaks at any step.

An update fills the other of two banks of preferences, in the order of asking, and then empties the
one before, in reverse. One of the two is complete at each step, and the other, as far as it is
there, does not contradict its policy: a filter that subtracts from a bypass comes before it and
goes after it. So what bypasses is let pass by the old or the new policy, what both hold is held,
and what both let pass is not delayed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from remusnet.classify.filters import ETH_P_ALL, LAST_PREF, Filter
from remusnet.classify.u32.conditions import EVERY_FRAME
from remusnet.kernel.state.drift import Wanted, in_bank, targets_of
from remusnet.kernel.state.observe import Seen
from remusnet.kernel.state.ownership import BANKS, GUARD_PREF
from remusnet.kernel.wire.objects import SeenFilter
from remusnet.plan.operations import AddFilter, DeleteFilters
from remusnet.plan.plan import Protection
from remusnet.plan.rows import Operation
from remusnet.policy.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Transition:
    """The way of the filters of ours that ``vif`` has (``own``) to ``wanted``, as part of
    ``protection``.

    ``shared``: its qdisc was there before us.
    """

    wanted: Wanted
    vif: str
    protection: Protection
    seen: Seen
    own: tuple[SeenFilter, ...]
    shared: bool

    def operations(self) -> Iterator[Operation]:
        """The operations, none where the filters are there."""
        first, second = (in_bank(self.own, bank) for bank in BANKS)
        guard = [each for each in self.own if each.pref == GUARD_PREF]
        targets = targets_of(self.protection, self.seen, missing=-1)
        complete = self.wanted.complete(self.own, targets, shared=self.shared)
        if complete is not None:
            yield from self.delete(first if complete else second)
            yield from self.delete(guard)
        elif not self.own:
            yield from self._add(self.wanted.added(BANKS[0]))
        elif not guard and not (first and second):
            yield from self._add(self.wanted.asked(BANKS[1] if first else BANKS[0]))
            yield from self.delete(first or second)
        else:
            yield from self._rebuild(guard)

    def _rebuild(self, guard: Sequence[SeenFilter]) -> Iterator[Operation]:
        """Rebuilds what a kill or a hand has left: neither bank can be trusted.

        Every frame is held meanwhile.
        """
        guarding = _guard(self.wanted.added(BANKS[0]))
        if not guard:
            yield from self._add([guarding])
            guard = [SeenFilter("", GUARD_PREF, guarding.protocol)]
        yield from self.delete([each for each in self.own if each.pref != GUARD_PREF])
        yield from self._add(self.wanted.asked(BANKS[0]))
        yield from self.delete(guard)

    def _add(self, filters: Iterable[Filter]) -> Iterator[Operation]:
        buffer, sink = self.protection.buffer, self.protection.sink
        for each in filters:
            yield AddFilter(self.vif, buffer, each, self.shared, sink)

    def delete(self, filters: Iterable[SeenFilter]) -> Iterator[Operation]:
        """Deletes ``filters``, which are all of their preferences, in reverse order of asking."""
        # Of a sink that is gone there is nothing to bring back; without it they hold all the same.
        ordered = sorted(filters, key=lambda each: -each.pref)
        for (pref, protocol), group in groupby(ordered, key=lambda f: (f.pref, f.protocol)):
            again = tuple(
                AddFilter(
                    self.vif,
                    self.protection.buffer,
                    Filter(pref, protocol, each.match, each.verdict, ""),
                    self.shared,
                    self.seen.names.get(each.sink or 0, ""),
                )
                for each in group
                if each.match is not None and each.verdict is not None
            )
            yield DeleteFilters(self.vif, pref, protocol, self.shared, again)


def _guard(filters: Iterable[Filter]) -> Filter:
    """Holds every frame, in the words of the plan's own classifier where it has such a filter."""
    found = Filter(GUARD_PREF, ETH_P_ALL, EVERY_FRAME, Verdict.HOLD, "")
    for each in filters:
        if each.pref == LAST_PREF and each.verdict is Verdict.HOLD:
            found = replace(each, pref=GUARD_PREF)
    return replace(found, comment="hold every frame meanwhile")
