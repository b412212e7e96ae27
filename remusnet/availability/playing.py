"""Which way a net is played: by the compiled kernel where that can be, else step by step."""

from __future__ import annotations

from collections.abc import Sequence

from remusnet.availability.drawing import Seed
from remusnet.availability.measures import Measure
from remusnet.availability.simulation import Player, Simulation
from remusnet.availability.unfolding import Net


def player(net: Net, measures: Sequence[Measure], seed: Seed) -> Player:
    """What plays ``net`` from its start. The same ``seed`` gives the same run, whichever it is.

    Raises InvalidInput as `Simulation` does.
    """
    try:
        from remusnet.availability.arrays import tables
        from remusnet.availability.compiled import Compiled
        from remusnet.availability.stackcode import NotCompilable
    except ImportError:  # numba is an extra
        return Simulation(net, measures, seed)
    try:
        made = tables(net, measures)
    except NotCompilable:
        return Simulation(net, measures, seed)
    return Compiled(made, seed)
