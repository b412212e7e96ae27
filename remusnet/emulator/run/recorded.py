"""Captures mixed into a scenario: replayed open loop over the scenario's own checkpoints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from remusnet.classify.columns import columns
from remusnet.classify.judging import judge_frames
from remusnet.emulator.machine.guest import find_guest
from remusnet.emulator.machine.replay import replay
from remusnet.emulator.machine.timeline import Timeline
from remusnet.emulator.run.recordings import measured_streams, sip_over_udp
from remusnet.emulator.run.vectorised import Tally
from remusnet.errors import InvalidInput, quoted
from remusnet.frames import Frames, Int64s
from remusnet.metrics.output_commit import output_commit
from remusnet.metrics.survey import SeenHazard, hazards_seen
from remusnet.metrics.tcp import TcpConnection, tcp_connections
from remusnet.policy.match import TCP
from remusnet.policy.policy import Policy
from remusnet.results.comparison import Stream
from remusnet.results.scene import NEVER
from remusnet.scenario.scenario import Recording, Scenario


@dataclass(frozen=True, slots=True, eq=False)
class Mixed:
    """What became of one capture. ``frames``: those that arrived, in order, at their times.

    ``tcp_ns``: (sent, left) of the guest's TCP frames that were held; ``lost``: frames of the
    guest that its failure took. ``sip_ns``: as ``tcp_ns``, of SIP over UDP; ``hazards``: of what
    the primary sent.
    """

    frames: Frames
    streams: tuple[Stream, ...]
    connections: tuple[TcpConnection, ...]
    tcp_ns: tuple[Int64s, Int64s]
    tally: Tally
    lost: int
    sip_ns: tuple[Int64s, Int64s]
    hazards: tuple[SeenHazard, ...]


def mix(
    recording: Recording, frames: Frames, policy: Policy, scenario: Scenario, timeline: Timeline
) -> Mixed:
    """``frames``, the first of them at the recording's start, through the buffer.

    Nobody reacts. What is recorded for after the scenario's end is left out; what the guest sent
    while nobody could is lost, and the backup goes on with the recording as it comes. The capture
    has already been over a network, so the scenario's adds nothing; and it has a plug of its own.

    Raises InvalidInput where the capture has no guest traffic.
    """
    if len(frames) == 0:
        raise InvalidInput(f"no frames: {quoted(recording.file)}")
    frames = frames.at(frames.time_ns - frames.time_ns.min() + recording.start_ns)
    frames = frames.take(np.flatnonzero(frames.time_ns < scenario.duration_ns))
    headers = columns(frames)
    guest = find_guest(headers, recording.guest)
    (judgement,) = judge_frames([policy], frames, headers)
    hold = judgement.hold & timeline.protected
    planned = timeline.checkpoints
    marks = timeline.marks
    after = np.zeros(len(frames), np.bool_)
    if marks is not None:
        after = frames.time_ns > marks.failed_ns
        hold = hold & ~after
    # The backup has no pauses: its frames go round the replay, whose guest has them.
    through = guest.sent & ~after
    passed = replay(frames.time_ns, frames.length, through, hold, planned, scenario.host.limit)
    gone = np.zeros(len(frames), np.bool_)
    if marks is not None:
        gone = through & (passed.time_ns > marks.failed_ns)
        gone |= after & (frames.time_ns < marks.path_ns)
    order = passed.order[~gone[passed.order]]
    left = frames.at(passed.time_ns).take(order)
    held = np.flatnonzero(through & hold & ~passed.dropped & ~gone)
    held_tcp = held[headers.protocol[held] == TCP]
    held_sip = held[sip_over_udp(headers)[held]]
    counted = output_commit(
        frames.time_ns[guest.sent],
        np.where(gone, NEVER, passed.time_ns)[guest.sent],
        hold[guest.sent],
        (passed.dropped | gone)[guest.sent],
        planned.suspend_ns,
        planned.commit_ns,
    )
    dropped = int(np.count_nonzero(passed.dropped & guest.sent))
    unprotected = guest.sent & after if timeline.protected else guest.sent
    tally = Tally(
        len(frames),
        counted.held,
        counted.bypassed,
        dropped,
        counted.violations,
        int(unprotected.sum()),
    )
    return Mixed(
        left,
        measured_streams(frames, headers, guest, left, order),
        tuple(tcp_connections(headers, held, frames.time_ns[held], passed.time_ns[held])),
        (frames.time_ns[held_tcp], passed.time_ns[held_tcp]),
        tally,
        int(gone.sum()),
        (frames.time_ns[held_sip], passed.time_ns[held_sip]),
        hazards_seen(judgement, headers, np.flatnonzero(through)),
    )
