"""How a plan's filters should look in the kernel."""

from __future__ import annotations

from collections.abc import Sequence

from remusnet.classify.filters import Filter
from remusnet.kernel.state.observe import Seen
from remusnet.kernel.state.ownership import BANKS
from remusnet.kernel.wire.matches import canonical, kind_of
from remusnet.kernel.wire.objects import SeenFilter
from remusnet.plan.operations import COOKIE, SHARED_COOKIE
from remusnet.plan.plan import Plan, Protection
from remusnet.policy.verdict import Verdict

Targets = tuple[int, int | None]
"""The numbers of a buffer device and of its sink, None for none."""


def targets_of(protection: Protection, seen: Seen, *, missing: int) -> Targets:
    """Where the filters of ``protection`` should send what they hold.

    ``missing``: the number of a device that is not there; filters whose device is gone show 0.
    """
    buffer, sink = (seen.devices.get(each) for each in (protection.buffer, protection.sink))
    number = buffer.index if buffer else missing
    if not protection.sink:
        return number, None
    return number, sink.index if sink else missing


class Wanted:
    """The filters of ``plan`` as each of its vifs should have them, worked out once."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._added: dict[int, tuple[Filter, ...]] = {}
        self._shown: dict[tuple[int, bool], tuple[SeenFilter, ...]] = {}

    def added(self, bank: int) -> tuple[Filter, ...]:
        """In the order in which they are added where nothing is: what holds every frame first."""
        if bank not in self._added:
            self._added[bank] = self._plan.filters(bank)
        return self._added[bank]

    def asked(self, bank: int) -> tuple[Filter, ...]:
        """In the order in which the kernel asks them."""
        return tuple(sorted(self.added(bank), key=lambda each: each.pref))

    def shown(self, bank: int, *, shared: bool) -> tuple[SeenFilter, ...]:
        """As the kernel should show them, but for the devices that they send to."""
        key = (bank, shared)
        if key not in self._shown:
            cookie = bytes.fromhex(SHARED_COOKIE if shared else COOKIE)
            self._shown[key] = tuple(
                SeenFilter(
                    kind_of(each.match).name,
                    each.pref,
                    each.protocol,
                    canonical(each),
                    each.verdict,
                    cookie=cookie if each.verdict is Verdict.HOLD else b"",
                )
                for each in self.asked(bank)
            )
        return self._shown[key]

    def complete(self, own: Sequence[SeenFilter], targets: Targets, *, shared: bool) -> int | None:
        """The bank in which ``own`` is all of the plan, sending to ``targets``, if any.

        Filters in other banks are not looked at.
        """
        for bank in BANKS:
            wanted = self.shown(bank, shared=shared)
            there = in_bank(own, bank)
            if len(there) == len(wanted) and all(map(_same, there, wanted)):
                holds = [each for each in there if each.verdict is Verdict.HOLD]
                if all((each.target, each.sink) == targets for each in holds):
                    return bank
        return None


def in_bank(own: Sequence[SeenFilter], bank: int) -> tuple[SeenFilter, ...]:
    """Those of a vif's filters whose preference is one of ``bank``."""
    low, high = (BANKS[1], 1 << 16) if bank else (2, BANKS[1])
    return tuple(each for each in own if low <= each.pref < high)


def _same(one: SeenFilter, other: SeenFilter) -> bool:
    return _key(one) == _key(other)


def _key(each: SeenFilter) -> tuple[object, ...]:
    return each.pref, each.protocol, each.match, each.verdict, each.cookie, each.kind
