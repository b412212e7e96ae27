"""Recorded frames through a vif under Remus: judge, replay, measure.

Open loop: the frames are those of the recording. No end reacts to the delay: a TCP sender keeps its
pace, and nothing is sent again because an answer came late. `simulate` runs one recording under
several policies, `mix` a scenario's captures over the scenario's own checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from remusnet.classify.columns import Columns, columns
from remusnet.emulator.machine.epochs import (
    Checkpoints,
    Deliveries,
    Tally,
    Timeline,
    checkpoints_between,
    replay,
)
from remusnet.emulator.machine.guest import Guest, find_guest
from remusnet.errors import InvalidInput, quoted
from remusnet.frames import Bools, Frames, Int64s
from remusnet.metrics.flows import Judgement, SeenHazard, hazards_seen, judge_frames
from remusnet.metrics.holding import TcpConnection, hold_percentiles, output_commit, tcp_connections
from remusnet.metrics.rtp import RtpStream, rtp_streams
from remusnet.metrics.rtp_packets import unmeasured
from remusnet.metrics.sip_requests import SipRequest, sip_requests
from remusnet.plan.devices import LARGEST_LIMIT
from remusnet.policy.policy import TCP, UDP, Policy
from remusnet.results.comparison import Comparison, Outcome, Passages, Setting, Simulation
from remusnet.results.exchanges import Ended, SipTransaction
from remusnet.results.stream import NEVER, PacketSeries, Stream
from remusnet.schedule import Schedule

if TYPE_CHECKING:
    from remusnet.scenario.scenario import Scenario
    from remusnet.scenario.traffic import Recording

SIP_PORTS = (5060, 5061)


def simulate(
    frames: Frames,
    policies: Sequence[Policy],
    schedule: Schedule,
    limit: int,
    *,
    capture: str,
    guest: str | None = None,
    numbers: Int64s | None = None,
    notes: Sequence[str] = (),
) -> Simulation:
    """Replay ``frames`` under each of ``policies``, with a plug of ``limit`` bytes.

    ``capture``: what to call the recording; ``guest``: see `find_guest`. ``numbers``: int64[n], how
    a person counts the frames; None for 1 to n. ``notes``: what there is to say of the recording.

    Raises InvalidInput: no guest traffic, two policies of one name, a limit that the kernel can't
    be told, or a recording that the schedule can't cover.
    """
    require_own_names(policies)
    if not 1 <= limit <= LARGEST_LIMIT:
        raise InvalidInput(f"invalid limit: {limit} bytes; expected 1 to {LARGEST_LIMIT}")
    headers = columns(frames)
    found = find_guest(headers, guest)
    first_ns, last_ns = int(frames.time_ns.min()), int(frames.time_ns[found.sent].max())
    try:
        checkpoints = checkpoints_between(schedule, first_ns, last_ns)
    except InvalidInput as error:
        hint = _gap_hint(frames.time_ns, numbers, capture)
        raise InvalidInput(f"{error}; {hint}" if hint else str(error)) from None
    setting = Setting(
        capture=capture,
        guest=found.address,
        guest_reason=found.reason,
        guest_frames=int(found.sent.sum()),
        schedule=str(schedule.kind),
        interval_ns=schedule.interval_ns,
        pause_ns=schedule.pause_ns,
        commit_delay_ns=schedule.commit_delay_ns,
        period_ns=schedule.period_ns,
        limit=limit,
        notes=(*notes, *unmeasured(frames, headers)),
    )
    recorded = _as_recorded(frames, headers, found)
    requests = sip_requests(frames, headers)
    theirs = _untouched(recorded, found)
    outcomes, released = [], []
    for judgement in judge_frames(list(policies), frames, headers):
        deliveries = replay(
            frames.time_ns, frames.length, found.sent, judgement.hold, checkpoints, limit
        )
        left = frames.at(deliveries.time_ns).take(deliveries.order)
        outcomes.append(
            replace(
                _measure(frames, headers, found, judgement, checkpoints, deliveries, theirs),
                sip=answered(requests, frames, found, deliveries),
            )
        )
        released.append(left)
    recorded_sip = answered(requests, frames, found, None)
    comparison = Comparison(setting, tuple(outcomes), recorded, recorded_sip)
    return Simulation(comparison, tuple(released))


def _gap_hint(time_ns: Int64s, numbers: Int64s | None, capture: str) -> str:
    """Which frame ends the longest gap, and the command that cuts the file there; "" without one.

    ``time_ns``: int64[n]. ``numbers``: int64[n], how Wireshark counts the frames; None for 1 to n.
    ``capture``: the file's name.
    """
    if len(time_ns) < 2:
        return ""
    by_time = np.argsort(time_ns, kind="stable")
    gaps = np.diff(time_ns[by_time])
    at = int(np.argmax(gaps)) + 1
    number = numbers if numbers is not None else np.arange(1, len(time_ns) + 1)
    after, before = int(by_time[at]), number[by_time[:at]]
    found = f"frame {number[after]} comes {gaps[at - 1] / 1e9:.0f} s after the one before"
    if int(before.max()) > int(number[by_time[at:]].min()):
        return f"{found}, and the file is out of order: reordercap {quoted(capture)} ordered.pcap"
    keep = f"editcap -r {quoted(capture)} part.pcap 1-{before.max()}"
    return f"{found}: cut the file there, with {keep} (without -r: what follows)"


def require_own_names(policies: Sequence[Policy]) -> None:
    """Raise InvalidInput where two policies have one name."""
    names = [policy.name for policy in policies]
    for name in names:
        if names.count(name) > 1:
            raise InvalidInput(f"policy {quoted(name)} is there twice; each run needs its own name")


def _as_recorded(frames: Frames, headers: Columns, guest: Guest) -> tuple[Stream, ...]:
    return _in_order(_by_first(frames, guest, rtp_streams(frames, headers), None))


def _untouched(recorded: Sequence[Stream], guest: Guest) -> dict[int, Stream]:
    """The streams that the guest has no part in, by their first frames: no policy changes them."""
    found = {}
    for stream in recorded:
        if isinstance(stream.rtp, RtpStream) and not guest.sent[stream.rtp.frames].any():
            found[int(stream.rtp.frames.min())] = stream
    return found


def _measure(
    frames: Frames,
    headers: Columns,
    guest: Guest,
    judgement: Judgement,
    checkpoints: Checkpoints,
    deliveries: Deliveries,
    theirs: dict[int, Stream],
) -> Outcome:
    held = np.flatnonzero(guest.sent & judgement.hold & ~deliveries.dropped)
    held_tcp = held[headers.protocol[held] == TCP]
    held_sip = held[sip_over_udp(headers)[held]]
    sent_ns, left_ns = frames.time_ns, deliveries.time_ns
    return Outcome(
        policy=judgement.policy.name,
        streams=_streams_that_left(frames, headers, guest, deliveries, theirs),
        tcp=hold_percentiles(sent_ns[held_tcp], left_ns[held_tcp]),
        connections=tuple(tcp_connections(headers, held, sent_ns[held], left_ns[held])),
        output_commit=output_commit(
            sent_ns[guest.sent],
            left_ns[guest.sent],
            judgement.hold[guest.sent],
            deliveries.dropped[guest.sent],
            checkpoints.suspend_ns,
            checkpoints.commit_ns,
        ),
        suspend_ns=checkpoints.suspend_ns,
        commit_ns=checkpoints.commit_ns,
        passages=_passages(sent_ns, left_ns, guest.sent, judgement.hold, deliveries.dropped),
        sip_udp=hold_percentiles(sent_ns[held_sip], left_ns[held_sip]),
        hazards=hazards_seen(judgement, headers, np.flatnonzero(guest.sent)),
        holding=np.flatnonzero(np.bincount(deliveries.epoch[guest.sent & judgement.hold])),
    )


def answered(
    requests: Sequence[SipRequest], frames: Frames, guest: Guest, deliveries: Deliveries | None
) -> tuple[SipTransaction, ...]:
    """When each request was answered, as recorded or after ``deliveries``.

    The other side is taken to answer as fast as it did: what the guest sent late, a request or the
    final response, makes the answer as much later. One that was dropped is never answered here.
    """
    found = []
    for each in requests:
        of_guest = bool(guest.sent[each.request])
        start_ns = int(frames.time_ns[each.request])
        end_ns, rang_ns = (
            _answered_ns(frames, answer, each.request if of_guest else answer, deliveries)
            for answer in (each.final, each.ringing)
        )
        found.append(
            SipTransaction(
                group=None,
                call=each.call_id,
                name=each.name,
                transport=each.transport,
                client="guest" if of_guest else "peer",
                start_ns=start_ns,
                end_ns=end_ns,
                retransmissions=each.copies,
                ended=Ended.UNFINISHED if end_ns is None else Ended.DONE,
                ringing_ns=None if rang_ns is None else rang_ns - start_ns,
            )
        )
    return tuple(found)


def _answered_ns(
    frames: Frames, answer: int | None, late: int | None, deliveries: Deliveries | None
) -> int | None:
    """When the frame ``answer`` came, as much later as ``late`` left; None where it never did."""
    if answer is None or late is None:
        return None
    came_ns = int(frames.time_ns[answer])
    if deliveries is None:
        return came_ns
    if deliveries.dropped[late]:
        return None
    return came_ns + int(deliveries.time_ns[late] - frames.time_ns[late])


def sip_over_udp(headers: Columns) -> Bools:
    """bool[n]: which frames are SIP over UDP, by their ports (5060, and 5061 of DTLS)."""
    ports: Bools = np.isin(headers.sport, SIP_PORTS) | np.isin(headers.dport, SIP_PORTS)
    ports &= headers.protocol == UDP
    return ports


def _streams_that_left(
    frames: Frames,
    headers: Columns,
    guest: Guest,
    deliveries: Deliveries,
    theirs: dict[int, Stream],
) -> tuple[Stream, ...]:
    """All streams of a run; ``theirs``, which it left as they are, are not measured once more."""
    ours = np.ones(len(frames), np.bool_)
    for stream in theirs.values():
        if isinstance(stream.rtp, RtpStream):
            ours[stream.rtp.frames] = False
    order = deliveries.order[ours[deliveries.order]]
    left = frames.at(deliveries.time_ns).take(order)
    return _in_order({**theirs, **_measured(frames, headers, guest, left, order)})


def measured_streams(
    frames: Frames, headers: Columns, guest: Guest, left: Frames, order: Int64s
) -> tuple[Stream, ...]:
    """The RTP streams of what ``left``: the frames at ``order``, at the times when they did."""
    return _in_order(_measured(frames, headers, guest, left, order))


def _measured(
    frames: Frames, headers: Columns, guest: Guest, left: Frames, order: Int64s
) -> dict[int, Stream]:
    """The same, each by its first frame in the recording."""
    return _by_first(
        frames, guest, rtp_streams(left, _rows(headers, order), frames.time_ns[order]), order
    )


def _by_first(
    frames: Frames, guest: Guest, found: Sequence[RtpStream], order: Int64s | None
) -> dict[int, Stream]:
    """``found`` in the frames at ``order``; None for all of them, in their own."""
    streams = {}
    for stream in found:
        of = stream.frames if order is None else order[stream.frames]
        first = int(of.min())
        series = _series(stream, frames.time_ns[of])
        streams[first] = Stream(stream, bool(guest.sent[first]), series=series)
    return streams


def _in_order(streams: dict[int, Stream]) -> tuple[Stream, ...]:
    """The streams in the recording's order, which is the same under every policy."""
    return tuple(streams[first] for first in sorted(streams))


def _passages(
    sent_ns: Int64s, left_ns: Int64s, guest: Bools, hold: Bools, dropped: Bools
) -> Passages:
    rows = np.flatnonzero(guest)
    rows = rows[np.argsort(sent_ns[rows], kind="stable")]
    return Passages(sent_ns[rows], left_ns[rows], hold[rows], dropped[rows])


def _series(stream: RtpStream, sent_ns: Int64s) -> PacketSeries:
    """The packets that came, in the order in which they were recorded: those count as sent."""
    order = np.argsort(sent_ns, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    left_ns = stream.arrival_ns[order]
    return PacketSeries(
        sent_ns=sent_ns[order],
        left_ns=left_ns,
        arrived_ns=left_ns,
        sequence=stream.numbers[order],
        timestamp=stream.timestamps[order],
        arrival=place,
        jitter_ms=stream.jitter_series_ms,
        event=None if stream.event is None else stream.event[order],
        due_ns=sent_ns[order],
    )


def _rows(headers: Columns, indices: Int64s) -> Columns:
    """The columns of the frames at ``indices``, in that order."""
    arrays = [each.name for each in fields(headers) if each.name != "oddities"]
    return replace(headers, **{name: getattr(headers, name)[indices] for name in arrays})


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

    No end reacts. What is recorded for after the scenario's end is left out; what the guest sent
    while neither host ran is lost, and the backup goes on with the recording as it comes. The
    capture has already been over a network, so the scenario's adds nothing; and it has a plug of
    its own.

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
    deliveries = replay(frames.time_ns, frames.length, through, hold, planned, scenario.host.limit)
    gone = np.zeros(len(frames), np.bool_)
    if marks is not None:
        gone = through & (deliveries.time_ns > marks.failed_ns)
        gone |= after & (frames.time_ns < marks.path_ns)
    order = deliveries.order[~gone[deliveries.order]]
    left = frames.at(deliveries.time_ns).take(order)
    held = np.flatnonzero(through & hold & ~deliveries.dropped & ~gone)
    held_tcp = held[headers.protocol[held] == TCP]
    held_sip = held[sip_over_udp(headers)[held]]
    counted = output_commit(
        frames.time_ns[guest.sent],
        np.where(gone, NEVER, deliveries.time_ns)[guest.sent],
        hold[guest.sent],
        (deliveries.dropped | gone)[guest.sent],
        planned.suspend_ns,
        planned.commit_ns,
    )
    dropped = int(np.count_nonzero(deliveries.dropped & guest.sent))
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
        tuple(tcp_connections(headers, held, frames.time_ns[held], deliveries.time_ns[held])),
        (frames.time_ns[held_tcp], deliveries.time_ns[held_tcp]),
        tally,
        int(gone.sum()),
        (frames.time_ns[held_sip], deliveries.time_ns[held_sip]),
        hazards_seen(judgement, headers, np.flatnonzero(through)),
    )
