"""Every frame of the guest on its way through the vif, as bytes: what a real kernel can be asked.

The same loop as in `remusnet.emulator.run.stepwise`, for the guest's side only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from remusnet.emulator.machine.epochs import Checkpoints
from remusnet.emulator.run.scenario_run import timeline
from remusnet.emulator.run.stepwise import lanes_of, run_loop
from remusnet.emulator.traffic.conversations import conversations
from remusnet.emulator.traffic.rtp import Lost, sources
from remusnet.emulator.traffic.rtp_frames import Templates, stream_verdicts
from remusnet.errors import InvalidInput, quoted
from remusnet.frames import Bools, Int64s
from remusnet.policy.policy import Policy
from remusnet.scenario.scenario import Scenario


@dataclass(frozen=True, slots=True, eq=False)
class Departures:
    """n frames that the primary sent, in the order of sending, and the checkpoints that committed.

    ``sent_ns``, ``left_ns``: int64[n]; what never left has `remusnet.results.stream.NEVER`.
    ``held``, ``dropped``: bool[n].
    """

    frames: tuple[bytes, ...]
    sent_ns: Int64s
    left_ns: Int64s
    held: Bools
    dropped: Bools
    checkpoints: Checkpoints


def departures(scenario: Scenario, policy: Policy) -> Departures:
    """The guest's frames under ``policy``, through a transmit ring without end.

    Raises InvalidInput for a scenario without checkpoints, and for one with captures: each of those
    has a plug of its own.
    """
    planned = timeline(scenario)
    if not planned.protected:
        raise InvalidInput(f"{quoted(scenario.name)} has no checkpoints: nothing is held in it")
    if scenario.recordings:
        raise InvalidInput(
            f"{quoted(scenario.name)} has captures, each with a plug of its own: a kernel has one"
        )
    ours = [each for each in sources(scenario) if each.from_guest]
    said = list(conversations(scenario))
    (holds,) = stream_verdicts(ours, scenario.host, [policy])
    lanes, packets = lanes_of(ours, holds, scenario, planned)
    loop = run_loop(scenario, planned, said, lanes, policy, limit=scenario.host.limit, slots=None)
    templates = Templates(scenario.host)
    rows = [templates.of(source).of(each) for source, each in zip(ours, packets, strict=True)]
    sent = [each for each in loop.flights if each.from_guest and not each.by_backup]
    frames = tuple(
        rows[each.owner][each.row].tobytes()
        if each.what is None
        else said[each.owner].wire.frame(each.what, from_guest=True)
        for each in sent
    )
    return Departures(
        frames,
        np.array([each.sent_ns for each in sent], np.int64),
        np.array([each.left_ns for each in sent], np.int64),
        np.array([each.hold for each in sent], np.bool_),
        np.array([each.lost is Lost.BUFFER for each in sent], np.bool_),
        planned.happened(scenario.duration_ns),
    )
