"""A stream through the death of the primary: what it still sent, and what the backup sends.

The backup goes on from the last commit (or, to compare with, from the moment of failure). What the
guest sent since then it sends again, under the same sequence numbers, and later by the outage.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from remusnet.emulator.machine.epochs import Checkpoints, depart
from remusnet.emulator.traffic.rtp import Lost, Source, StreamPackets, Stretch, together
from remusnet.frames import Bools, Int64s
from remusnet.results.scene import FailureMarks
from remusnet.results.stream import NEVER
from remusnet.scenario.traffic import Clock, Role


def through_failure(
    source: Source, media: Stretch, checkpoints: Checkpoints, marks: FailureMarks, *, hold: bool
) -> StreamPackets:
    """The packets of ``source`` until they left, none through the network yet."""
    if not source.from_guest:
        return _to_guest(media, marks)
    primary, sent = _primary(media, checkpoints, marks, hold)
    stale = _stale(source, media, marks, sent, hold)
    later = _second_life(source, media, marks, sent, len(stale))
    found = together([primary, stale, *later])
    # A stale primary and the backup send at once.
    return found.take(np.argsort(found.sent_ns, kind="stable"))


def due_through_failure(
    source: Source, media: Stretch, checkpoints: Checkpoints, marks: FailureMarks
) -> tuple[StreamPackets, int]:
    """The same before any buffer: when each packet is due, and how many are the primary's.

    Those come first. A stale primary's are among them.
    """
    if not source.from_guest:
        return _to_guest(media, marks), len(media)
    _, sent = _primary(media, checkpoints, marks, hold=False)
    until_ns = _last_ns(source, marks)
    due = int(np.searchsorted(media.due_ns, until_ns, side="right"))
    due_ns = media.due_ns[:due]
    lost = np.zeros(due, np.bool_)
    primary = _packets(due_ns, due_ns, media.numbers[:due], media.ticks[:due], lost)
    return together([primary, *_second_life(source, media, marks, sent, max(0, due - sent))]), due


def _second_life(
    source: Source, media: Stretch, marks: FailureMarks, sent: int, stale: int
) -> list[StreamPackets]:
    """What the backup sends, and what a relay missed after ``sent`` and ``stale`` packets."""
    parts = [_backup(source, media, marks, sent)]
    if source.calls.role is Role.RELAY:
        parts.append(_missed(media, marks, sent + stale))
    return parts


def _to_guest(media: Stretch, marks: FailureMarks) -> StreamPackets:
    """Frames for the guest reach no host from the failure until the path is back."""
    until_ns = min(marks.stale_until_ns or marks.failed_ns, marks.path_ns)
    lost = (media.due_ns > until_ns) & (media.due_ns < marks.path_ns)
    return _packets(media.due_ns, media.due_ns, media.numbers, media.ticks, lost, Lost.NOBODY)


def _primary(
    media: Stretch, checkpoints: Checkpoints, marks: FailureMarks, hold: bool
) -> tuple[StreamPackets, int]:
    """What the primary sent, and how many packets that were.

    What it held at its death is lost: only the primary had it.
    """
    due = int(np.searchsorted(media.due_ns, marks.failed_ns, side="right"))
    sent_ns, left_ns = depart(media.due_ns[:due], checkpoints, hold)
    # What was due in a pause that the primary did not survive was never sent.
    sent = int(np.searchsorted(sent_ns, marks.failed_ns, side="right"))
    held = left_ns[:sent] > marks.failed_ns
    left_ns = np.where(held, NEVER, left_ns[:sent])
    primary = _packets(sent_ns[:sent], left_ns, media.numbers[:sent], media.ticks[:sent], held)
    return replace(primary, due_ns=media.due_ns[:sent]), sent


def _stale(
    source: Source, media: Stretch, marks: FailureMarks, sent: int, hold: bool
) -> StreamPackets:
    """What a stale primary sends on: no checkpoint commits, so what it holds stays.

    A relay gets the phones' packets until the switch turns; a server goes on by itself.
    """
    until_ns = _last_ns(source, marks)
    last = max(sent, int(np.searchsorted(media.due_ns, until_ns, side="right")))
    rows = slice(sent, last if until_ns > marks.failed_ns else sent)
    sent_ns = np.maximum(media.due_ns[rows], marks.failed_ns)
    held = np.full(len(sent_ns), hold)
    left_ns = np.where(held, NEVER, sent_ns)
    stale = _packets(sent_ns, left_ns, media.numbers[rows], media.ticks[rows], held)
    return replace(stale, due_ns=media.due_ns[rows])


def _last_ns(source: Source, marks: FailureMarks) -> int:
    """When the primary falls silent."""
    until_ns = marks.failed_ns if marks.stale_until_ns is None else marks.stale_until_ns
    return min(until_ns, marks.path_ns) if source.calls.role is Role.RELAY else until_ns


def _backup(source: Source, media: Stretch, marks: FailureMarks, sent: int) -> StreamPackets:
    """What the backup sends: nothing is held any more, and the guest has no more pauses."""
    due_ns, numbers, ticks = media.due_ns, media.numbers, media.ticks
    if source.calls.role is Role.RELAY:
        # The phones never stopped: the backup passes on what reaches it.
        first = int(np.searchsorted(due_ns, marks.path_ns, side="left"))
        sent_ns, number, tick = due_ns[first:], numbers[first:], ticks[first:]
    else:
        rolled = marks.state_ns < marks.failed_ns
        next_one = int(np.searchsorted(due_ns, marks.state_ns, side="left")) if rolled else sent
        if source.calls.clock is Clock.FROZEN:
            sent_ns = marks.resume_ns + np.maximum(due_ns[next_one:] - marks.state_ns, 0)
            number, tick = numbers[next_one:], ticks[next_one:]
        else:
            first = int(np.searchsorted(due_ns, marks.resume_ns, side="left"))
            sent_ns, tick = due_ns[first:], ticks[first:]
            number = media.first + next_one + np.arange(len(tick), dtype=np.int64)
    kept = sent_ns < source.end_ns
    sent_ns, number, tick = sent_ns[kept], number[kept], tick[kept]
    return _packets(sent_ns, sent_ns, number, tick, sent_ns < marks.path_ns)


def _missed(media: Stretch, marks: FailureMarks, first: int) -> StreamPackets:
    """What the phones sent to a relay that was not there; what it never sent on itself."""
    last = max(first, int(np.searchsorted(media.due_ns, marks.path_ns, side="left")))
    rows = slice(first, last)
    gone = np.full(last - first, NEVER, np.int64)
    lost = np.ones(last - first, np.bool_)
    return _packets(
        media.due_ns[rows], gone, media.numbers[rows], media.ticks[rows], lost, Lost.NOBODY
    )


def _packets(
    sent_ns: Int64s,
    left_ns: Int64s,
    number: Int64s,
    tick: Int64s,
    lost: Bools,
    where: Lost = Lost.FAILURE,
) -> StreamPackets:
    """Packets that were sent when they were due."""
    ended = np.where(lost, np.int8(where), np.int8(Lost.NOWHERE)).astype(np.int8)
    never = np.full(len(sent_ns), NEVER, np.int64)
    return StreamPackets(sent_ns, left_ns, never, number, tick, ended, sent_ns)
