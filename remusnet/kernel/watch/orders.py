"""Which order was given, where that can be told: an event says only that there was one.

BUFFER, RELEASE_ONE, RELEASE_INDEFINITE and LIMIT look alike. A driver alternates: BUFFER, RELEASE,
BUFFER... What leaves a plug leaves behind a release, so where frames have left between one order
and the next, the first of both was the release, and so was every second one before and after it.
Where nothing has left, or now after these and now after those, the two can't be told apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from remusnet.results.driving import PlugOrder

_CLEAR = 0.75
"""The least share of the orders behind which frames have left that must be in turn.

Not all: a release may let frames go before its event is made (netif_schedule_queue, and an
interrupt), which then seem to have left behind the order before it.
"""


@dataclass(frozen=True, slots=True)
class Told:
    """A plug was told something at ``at_ns``; it had let ``passed`` frames go by then, and
    ``waiting`` were in it.
    """

    at_ns: int
    passed: int
    waiting: int


def infer(told: Sequence[Told], passed_now: int | None = None) -> list[PlugOrder | None]:
    """The orders of one driver that ``told`` a plug something, all of them or none.

    ``passed_now``: frames that the plug has let go by now, where the caller has looked.
    """
    after = [each.passed for each in told[1:]]
    if passed_now is not None:
        after.append(passed_now)
    left = [0, 0]
    for turn, (each, then) in enumerate(zip(told, after, strict=False)):
        left[turn % 2] += then > each.passed
    many = sum(left)
    if not many or max(left) < _CLEAR * many:
        return [None] * len(told)
    releases = left.index(max(left))
    return [
        PlugOrder.RELEASE if at % 2 == releases else PlugOrder.BUFFER for at in range(len(told))
    ]


def period(told: Sequence[Told]) -> int | None:
    """Nanoseconds of a checkpoint, which is two orders: the median; None for fewer than three."""
    spans = sorted(later.at_ns - each.at_ns for each, later in zip(told, told[2:], strict=False))
    return spans[len(spans) // 2] if spans else None
