"""Which way a net is played: by the compiled kernel where that can be, else step by step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from remusnet.availability.drawing import Seed
from remusnet.availability.importance import Importance
from remusnet.availability.measures import Measure
from remusnet.availability.simulation import Player, Simulation, simulated_curves
from remusnet.availability.unfolding import Net
from remusnet.errors import MissingDependency

_WITHOUT_NUMBA = "this needs numba: pip install 'remusnet[availability]' (or python3-numba)"


def player(net: Net, measures: Sequence[Measure], seed: Seed, like: Player | None = None) -> Player:
    """What plays ``net`` from its start. The same ``seed`` gives the same run, whichever it is.

    ``like``: another player of them, that may have learnt something. Raises InvalidInput as
    `Simulation` does.
    """
    try:
        from remusnet.availability.arrays import tables
        from remusnet.availability.compiled import Compiled
        from remusnet.availability.stackcode import NotCompilable
    except ImportError:  # numba is an extra
        return Simulation(net, measures, seed)
    if isinstance(like, Compiled):
        return like.anew(seed)
    try:
        made = tables(net, measures)
    except NotCompilable:
        return Simulation(net, measures, seed)
    return Compiled(made, seed)


def curves(
    net: Net, measures: Sequence[Measure], seed: Seed, times: Sequence[float], runs: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Sums over ``runs`` runs of each measure's value at ``times``, and of its square; firings.

    Both sums by time and measure. A net that dies stays as it is. Raises as `player` does.
    """
    try:
        from remusnet.availability.arrays import tables
        from remusnet.availability.compiled import Compiled
        from remusnet.availability.stackcode import NotCompilable
    except ImportError:
        return simulated_curves(net, measures, seed, times, runs)
    try:
        made = Compiled(tables(net, measures), seed)
    except NotCompilable:
        return simulated_curves(net, measures, seed, times, runs)
    sums, squares = made.curves(times, runs)
    return sums, squares, made.events


def is_fast(net: Net, measures: Sequence[Measure]) -> bool:
    """Whether `player` is the compiled kernel. Raises InvalidInput for a measure of nothing."""
    try:
        from remusnet.availability.arrays import tables
        from remusnet.availability.stackcode import NotCompilable
    except ImportError:
        return False
    try:
        tables(net, measures)
    except NotCompilable:
        return False
    return True


def trials_for(net: Net, nearness: Importance, seed: Seed, most_events: int) -> tuple[int, ...]:
    """How often to try at each level on the way to a rare event.

    Raises MissingDependency without numba, InvalidInput for a net that only the slow way plays.
    """
    try:
        from remusnet.availability.splitting import trials_for as found
    except ImportError:
        raise MissingDependency(_WITHOUT_NUMBA) from None
    return found(net, nearness, seed, most_events)


def split_player(
    net: Net, measures: Sequence[Measure], seed: Seed, nearness: Importance, trials: Sequence[int]
) -> Player:
    """What plays ``net`` and multiplies on the way to a rare event. Raises as `trials_for` does."""
    try:
        from remusnet.availability.splitting import Splitting
    except ImportError:
        raise MissingDependency(_WITHOUT_NUMBA) from None
    return Splitting(net, measures, seed, nearness, trials)
