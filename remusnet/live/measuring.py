"""What a live run came to: from what its taps have seen and its driver has done, nothing else.

The reference classifier judges each frame that the program sent; when it left is known from the tap
behind the plug; when its epoch committed, from the driver. This doesn't ask the plug: it finds a
held frame that left before its commit, whatever let it go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from remusnet.classify.columns import Columns, columns
from remusnet.emulator.machine.epochs import Deliveries
from remusnet.emulator.machine.guest import Guest
from remusnet.emulator.run.recordings import answered, measured_streams, sip_over_udp
from remusnet.frames import Bools, Frames, Int64s
from remusnet.live.guard import Recorded
from remusnet.live.matching import NEVER, matched
from remusnet.live.network import GUEST_MAC
from remusnet.live.orders import RunOrder
from remusnet.metrics.flows import SeenHazard, hazards_seen, judge_frames
from remusnet.metrics.holding import hold_percentiles, output_commit, tcp_connections
from remusnet.metrics.retransmissions import retransmitted
from remusnet.metrics.sip_requests import sip_requests
from remusnet.policy.policy import TCP
from remusnet.policy.presets import PRESETS
from remusnet.results.comparison import Comparison, Outcome, Passages, Setting, Simulation
from remusnet.results.exchanges import SipTransaction
from remusnet.results.live_run import LiveResult

_OWN = int(GUEST_MAC.replace(":", ""), 16)


@dataclass(frozen=True, slots=True, eq=False)
class Traffic:
    """n frames in order of time: those that the program sent, at the vif, and those to it.

    ``guest``: which it sent; ``left_ns``: int64[n], when they left, of those to it their time,
    `NEVER` for none.
    """

    frames: Frames
    headers: Columns
    guest: Bools
    left_ns: Int64s
    unknown: int


def traffic_of(recorded: Recorded, until_ns: int | None) -> Traffic:
    """What the taps have seen; of the program's, what it sent until ``until_ns``.

    What the kernel sent (neighbour discovery) before the plug held anything is none of it.
    """
    sent, outer = recorded.inner.frames, recorded.outer
    left = outer.frames.take(np.flatnonzero(outer.outgoing))
    others = outer.frames.take(np.flatnonzero(~outer.outgoing))
    found = matched(sent, left, recorded.failed_ns)
    left_ns = found.left_ns
    kept = np.flatnonzero(sent.time_ns >= recorded.begun_ns)
    if until_ns is not None:
        kept = kept[sent.time_ns[kept] < until_ns]
    sent, left_ns = sent.take(kept), left_ns[kept]
    if until_ns is not None:
        others = others.take(np.flatnonzero(others.time_ns < until_ns))
    frames = joined(sent, others)
    guest = np.concatenate([np.ones(len(sent), np.bool_), np.zeros(len(others), np.bool_)])
    times = np.concatenate([left_ns, others.time_ns])
    order = np.argsort(frames.time_ns, kind="stable")
    frames = frames.take(order)
    return Traffic(frames, columns(frames), guest[order], times[order], found.unknown)


def joined(one: Frames, other: Frames) -> Frames:
    """The frames of both, one behind the other."""
    together = one.data is other.data  # the bytes of all taps mostly are
    return Frames(
        one.data if together else np.concatenate([one.data, other.data]),
        np.concatenate([one.offset, other.offset + (0 if together else len(one.data))]),
        np.concatenate([one.caplen, other.caplen]),
        np.concatenate([one.length, other.length]),
        np.concatenate([one.time_ns, other.time_ns]),
    )


def measure(order: RunOrder, recorded: Recorded) -> LiveResult:
    """All that was measured. Frames sent after the last epoch that committed are left out."""
    epochs = recorded.epochs
    protected = order.policy is not None
    whole = recorded.failed_ns is not None or not protected or not len(epochs)
    traffic = traffic_of(recorded, None if whole else int(epochs.mark_ns[-1]))
    frames, headers = traffic.frames, traffic.headers
    hold = np.zeros(len(frames), np.bool_)
    hazards: tuple[SeenHazard, ...] = ()
    guest = Guest(recorded.ready.address, "the program", traffic.guest)
    # Judging needs a policy, and a run without one has nothing to hold.
    policy = order.policy or PRESETS["hold-all"]
    (judgement,) = judge_frames([policy], frames, headers)
    if protected:
        hold = judgement.hold & traffic.guest
        if recorded.failed_ns is not None:
            hold &= frames.time_ns < recorded.failed_ns
        hazards = tuple(hazards_seen(judgement, headers, np.flatnonzero(traffic.guest)))
    gone = traffic.guest & (traffic.left_ns == NEVER)
    left_ns = np.where(traffic.left_ns == NEVER, frames.time_ns, traffic.left_ns)
    outcome = _outcome(order, recorded, traffic, guest, hold, gone, left_ns, hazards)
    schedule = order.schedule
    setting = Setting(
        capture=" ".join(order.command),
        guest=recorded.ready.address,
        guest_reason="a live run",
        guest_frames=int(traffic.guest.sum()),
        schedule=str(schedule.kind) if protected else "none",
        interval_ns=schedule.interval_ns if protected else 0,
        pause_ns=schedule.pause_ns if protected else 0,
        commit_delay_ns=schedule.commit_delay_ns if protected else 0,
        period_ns=schedule.period_ns if protected else 0,
        limit=order.limit,
        live=True,
        notes=tuple(_notes(recorded, traffic)),
    )
    came = np.flatnonzero(~gone)
    by_leaving = came[np.argsort(left_ns[came], kind="stable")]
    released = frames.at(left_ns).take(by_leaving)
    sent_again = retransmitted(frames, headers)
    return LiveResult(
        simulation=Simulation(
            Comparison(setting, (outcome,)),
            (released,),
        ),
        plug=recorded.ready.plug,
        epochs=len(epochs),
        retransmitted=int(sent_again.sum()),
        retransmitted_by_program=int((sent_again & traffic.guest).sum()),
        exit_code=recorded.code,
        keeper_cpu_ns=recorded.keeper.cpu_ns if recorded.ready.plug == "userspace" else None,
        kept=recorded.keeper.held if recorded.ready.plug == "userspace" else None,
        lost_failure=recorded.lost,
        ended_itself=recorded.by_itself,
    )


def _outcome(
    order: RunOrder,
    recorded: Recorded,
    traffic: Traffic,
    guest: Guest,
    hold: Bools,
    gone: Bools,
    left_ns: Int64s,
    hazards: Sequence[SeenHazard],
) -> Outcome:
    frames, headers, epochs = traffic.frames, traffic.headers, recorded.epochs
    held = np.flatnonzero(hold & ~gone)
    held_tcp = held[headers.protocol[held] == TCP]
    held_sip = held[sip_over_udp(headers)[held]]
    sent = traffic.guest
    sent_ns = frames.time_ns
    rows = np.flatnonzero(sent)
    came = np.flatnonzero(~gone)
    by_leaving = came[np.argsort(left_ns[came], kind="stable")]
    left = frames.at(left_ns).take(by_leaving)
    deliveries = Deliveries(left_ns, gone, np.full(len(frames), -1, np.int64), by_leaving)
    commit = output_commit(
        sent_ns[sent],
        left_ns[sent],
        hold[sent],
        (gone & hold)[sent],
        epochs.mark_ns,
        epochs.commit_ns,
    )
    return Outcome(
        policy=order.policy_name,
        streams=measured_streams(frames, headers, guest, left, by_leaving) if len(frames) else (),
        tcp=hold_percentiles(sent_ns[held_tcp], left_ns[held_tcp]),
        connections=tuple(tcp_connections(headers, held, sent_ns[held], left_ns[held])),
        output_commit=commit,
        suspend_ns=epochs.suspend_ns,
        commit_ns=epochs.commit_ns,
        passages=Passages(sent_ns[rows], left_ns[rows], hold[rows], gone[rows]),
        sip_udp=hold_percentiles(sent_ns[held_sip], left_ns[held_sip]),
        hazards=tuple(hazards),
        sip=_sip(frames, headers, guest, deliveries),
    )


def _sip(
    frames: Frames, headers: Columns, guest: Guest, deliveries: Deliveries
) -> tuple[SipTransaction, ...]:
    """When each request was answered. Clients have reacted: what came back late is late already."""
    found: list[SipTransaction] = []
    for each in sip_requests(frames, headers):
        moved = None if guest.sent[each.request] else deliveries
        found += answered([each], frames, guest, moved)
    return tuple(found)


def _notes(recorded: Recorded, traffic: Traffic) -> list[str]:
    notes = []
    if recorded.unseen:
        notes.append(f"the taps have missed {recorded.unseen} frames: counts are too low by them")
    if traffic.unknown:
        notes.append(f"{traffic.unknown} frames left that the program was not seen to send")
    if recorded.failed_ns is not None:
        notes.append(
            f"the primary failed: {recorded.lost} held frames were lost; then the program went on "
            "without protection, from where it was: a live program can't be rolled back"
        )
    return [*notes, *recorded.notes]
