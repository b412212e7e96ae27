"""From what was seen at a plug and at a vif to what each checkpoint took.

The kernel tells that a plug was told something, not what: a driver alternates BUFFER and
RELEASE_ONE, and what leaves a plug leaves behind a release. Where nothing was held, the guest tells
it: it is silent behind a BUFFER, since it stands.

It stands from the BUFFER (libxl gives it once the guest is suspended) to the first frame that comes
from it again. Where it was silent for longer before, than it usually is, it stood already.

Where Domain 0 is so slow that the guest sends nothing before most releases, that silence tells the
orders apart: it spans a BUFFER and its release. A release has let its frames go by then before its
event is made, so the counters would tell the opposite. When the guest went on is not seen; it did
so before the release at the latest, and a lag of 0 says that. (libxl of Xen 4.17 sends what is
dirty while the guest stands, and orders the release once it runs: xg_sr_save.c.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from remusnet.errors import CheckFailed
from remusnet.frames import Int64s
from remusnet.scenario.epochs import Trace

FEWEST: Final = 3
"""Orders: with fewer nothing can be said to drive a plug."""
PAGE: Final = 4096

_CLEAR = 0.75
"""The least share of what tells the orders apart that speaks for one of them: a release may let
some frames go before its event is made, and a guest may be silent by chance."""
_LONGER = 1.5
_USUAL = 95
_SILENCE = 2.0
_SLACK_NS = 5_000_000
_SLACK_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Order:
    """A plug was told something at ``at_ns``; it had let ``passed`` frames go by then.

    ``backlog``: bytes in it. ``sender``: the port of the socket that said so. ``dirty_pages``: of
    the checkpoint that a replicator has logged since the order before, None for nothing. ``lost``:
    whether orders may be missing before this one.
    """

    at_ns: int
    passed: int
    backlog: int
    sender: int
    dirty_pages: int | None = None
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Observed:
    """``bursts``: int64[n, 2], when frames came from the guest: the first and the last of those
    that follow each other so closely that no pause fits between them. In order, in ns, on the clock
    of ``orders``. ``missed``: frames that could not be noted.
    """

    orders: tuple[Order, ...]
    bursts: Int64s
    missed: int = 0


def epochs(seen: Observed, name: str, interval_ns: float | None = None) -> Trace:
    """The checkpoints between the first order and the last.

    Raises CheckFailed where nothing drives the plug, or the orders don't show which of them begin a
    checkpoint.
    """
    orders = _driver(seen.orders)
    gaps = _Gaps(seen.bursts[:-1, 1], seen.bursts[1:, 0])
    found: list[_Checkpoint] = []
    failed: CheckFailed | None = None
    for part in _parts(orders):
        try:
            found += _checkpoints(part, gaps)
        except CheckFailed as error:
            failed = error
    if not found:
        raise failed or CheckFailed(
            f"{len(orders)} orders were heard: nothing drives the plug (checkpoints are further "
            "apart than was listened?)"
        )
    suspend = np.array([each.suspend_ns for each in found], np.float64)
    period = np.concatenate([[math.nan], np.diff(suspend)])
    period[[each.first for each in found]] = math.nan
    return Trace(
        name,
        interval_ns,
        suspend - suspend[0],
        period,
        np.array([each.pause_ns for each in found]),
        np.array([each.lag_ns for each in found]),
        np.array([each.backlog for each in found]),
        np.array([each.dirty for each in found]),
    )


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    """Times in ns, sizes in bytes, NaN for unknown. ``first``: what was before it is unknown."""

    suspend_ns: float
    pause_ns: float
    lag_ns: float
    backlog: float
    dirty: float
    first: bool


@dataclass(frozen=True, slots=True)
class _Gaps:
    """When nothing came from the guest: int64[n] each."""

    begin_ns: Int64s
    end_ns: Int64s

    def spans(self, begin_ns: int, end_ns: int) -> bool:
        """Whether one gap begins before and ends after that."""
        first = int(np.searchsorted(self.end_ns, begin_ns, "right"))
        return first < len(self.end_ns) and bool(
            self.begin_ns[first] <= begin_ns and self.end_ns[first] >= end_ns
        )

    def longest(self, at_ns: float, slack_ns: float) -> tuple[float, float]:
        """The longest gap that begins at most ``slack_ns`` behind ``at_ns`` and ends behind it."""
        first = int(np.searchsorted(self.end_ns, at_ns, "right"))
        last = int(np.searchsorted(self.begin_ns, at_ns + slack_ns, "right"))
        if first >= last:
            return at_ns, at_ns
        lengths = self.end_ns[first:last] - self.begin_ns[first:last]
        chosen = first + int(np.argmax(lengths))
        return float(self.begin_ns[chosen]), float(self.end_ns[chosen])


def _driver(orders: Sequence[Order]) -> list[Order]:
    """The orders of the sender that gave most of them: others set limits, or look."""
    senders = [each.sender for each in orders]
    if not senders:
        return []
    most = max(dict.fromkeys(senders), key=senders.count)
    return [each for each in orders if each.sender == most]


def _parts(orders: Sequence[Order]) -> list[list[Order]]:
    """Those between which nothing was lost."""
    found: list[list[Order]] = [[]]
    for each in orders:
        if each.lost:
            found.append([])
        found[-1].append(each)
    return [each for each in found if len(each) >= FEWEST]


def _checkpoints(orders: Sequence[Order], gaps: _Gaps) -> list[_Checkpoint]:
    spanned = _spanned(orders, gaps)
    begins = _first_buffer(orders, gaps) if spanned is None else spanned
    # An order may be without the other at the end.
    pairs = list(zip(orders[begins::2], orders[begins + 1 :: 2], strict=False))
    usual_ns = _usual(gaps, [buffer.at_ns for buffer, _ in pairs])
    return [
        _checkpoint(buffer, release, gaps, usual_ns, first=not at, spanned=spanned is not None)
        for at, (buffer, release) in enumerate(pairs)
    ]


def _checkpoint(
    buffer: Order, release: Order, gaps: _Gaps, usual_ns: float, *, first: bool, spanned: bool
) -> _Checkpoint:
    """``spanned``: whether the guest is silent until after the release as a rule."""
    slack_ns = _slack(buffer, release)
    begin_ns, end_ns = gaps.longest(buffer.at_ns, slack_ns)
    if spanned:
        end_ns = min(end_ns, float(release.at_ns))
    suspend_ns, pause_ns, lag_ns = float(buffer.at_ns), math.nan, math.nan
    silent = end_ns - begin_ns > _SILENCE * usual_ns
    if silent and end_ns <= release.at_ns + max(slack_ns, usual_ns):
        suspend_ns = min(suspend_ns, begin_ns + usual_ns)
        pause_ns = end_ns - suspend_ns
        lag_ns = max(0.0, release.at_ns - end_ns)
    pages = release.dirty_pages
    dirty = math.nan if pages is None else float(pages * PAGE)
    return _Checkpoint(suspend_ns, pause_ns, lag_ns, float(buffer.backlog), dirty, first)


def _slack(buffer: Order, release: Order) -> float:
    """Frames that the guest had given out before it stood may come a little later."""
    return min(_SLACK_NS, _SLACK_SHARE * (release.at_ns - buffer.at_ns))


def _usual(gaps: _Gaps, suspends: Sequence[int]) -> float:
    """How long the guest often is silent by itself, in ns: without what is silent at suspends."""
    if not len(gaps.begin_ns):
        return math.inf
    own = np.ones(len(gaps.begin_ns), bool)
    at = np.array(suspends, np.int64)
    where = np.searchsorted(gaps.end_ns, at, "right")
    for shift in (0, 1):  # the gap that a suspend falls into, and the one behind it
        own[np.minimum(where + shift, len(own) - 1)] = False
    left = (gaps.end_ns - gaps.begin_ns)[own]
    return float(np.percentile(left, _USUAL)) if len(left) else math.inf


def _spanned(orders: Sequence[Order], gaps: _Gaps) -> int | None:
    """Which of the first two orders begins a silence that spans the next, as a rule: 0 or 1.

    None: neither, or both, since the guest seldom sends.
    """
    shares = [
        float(np.mean([gaps.spans(each.at_ns, then.at_ns) for each, then in turn]))
        for turn in (list(pairwise(orders))[::2], list(pairwise(orders))[1::2])
    ]
    if max(shares) >= _CLEAR and min(shares) <= 1 - _CLEAR:
        return shares.index(max(shares))
    return None


def _first_buffer(orders: Sequence[Order], gaps: _Gaps) -> int:
    """Which of the first two orders is a BUFFER: 0 or 1. Raises CheckFailed."""
    left = [0, 0]
    for turn, (each, then) in enumerate(pairwise(orders)):
        left[turn % 2] += then.passed > each.passed
    if sum(left) and max(left) >= _CLEAR * sum(left):
        return 1 - left.index(max(left))
    silences = [
        float(np.median([np.subtract(*gaps.longest(each.at_ns, 0.0)[::-1]) for each in own]))
        for own in (orders[::2], orders[1::2])
    ]
    if max(silences) > _LONGER * min(silences):
        return silences.index(max(silences))
    raise CheckFailed(
        "nobody can tell which orders begin a checkpoint: the plug let no frame go, and the guest "
        "was never silent for long; let it send something meanwhile (ping it)"
    )
