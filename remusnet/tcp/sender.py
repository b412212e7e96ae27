"""One side's sending half: `Output`, and what comes back: ACKs, losses, false alarms undone.

Linux 6.1's rules (net/ipv4/tcp_input.c, tcp_timer.c), each under the name of its RFC: RACK (RFC
8985), proportional rate reduction (RFC 6937), NewReno without SACK (RFC 6582), F-RTO (RFC 5682),
Eifel's undo by timestamps (RFC 3522, 4015) and by DSACK (RFC 3708).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from remusnet.tcp.congestion import NEVER
from remusnet.tcp.output import TICKS_NS, GiveUp, Output, State, Timer
from remusnet.tcp.scoreboard import Found
from remusnet.tcp.stack import MS, stamp_of

MOST_TRIES = 15
"""net.ipv4.tcp_retries2: after so many timeouts in a row the connection is given up."""
_DUPLICATES = 3


class Repeat(Enum):
    """What to send again after an ACK."""

    NOTHING = auto()
    LOST = auto()
    NEW = auto()
    """Nothing yet: F-RTO tries new data first."""


@dataclass(frozen=True, slots=True)
class Ack:
    """What a segment acknowledges. ``duplicate``: its first block is a DSACK. ``echo``: the
    timestamp of the segment that it answers, 0 for none. ``with_data``: it has payload too.
    ``window``: bytes that may come beyond ``number``.
    """

    number: int
    blocks: tuple[tuple[int, int], ...] = ()
    duplicate: bool = False
    echo: int = 0
    with_data: bool = False
    window: int = 1 << 20


@dataclass(slots=True)
class Sender(Output):
    """See `Output`."""

    _echo: int = 0

    # Acknowledgements.

    def acknowledged(self, ack: Ack, now_ns: int) -> None:
        """An ACK has come."""
        if ack.number > self.next:
            return
        before = self.una
        were_out, losses = len(self.board.pieces), self.board.losses
        self._echo = ack.echo if self.stack.timestamps else 0
        self.una = max(self.una, ack.number)
        self.allowed = max(self.allowed, ack.number + ack.window)
        self.queue.most_window = max(self.queue.most_window, ack.window)
        if self.una > before:
            self.tries = 0
        sacks = self._sacks(ack, before, now_ns)
        found = self.board.acknowledge(
            self.una, self._high, now_ns, self.timing.least_ns, self._echo
        )
        found.join(sacks)
        found.moved = self.una > before
        found.with_data = ack.with_data
        if not were_out:
            if found.duplicate:
                self._alert(found, 0, now_ns)
            return
        self._measure(found, now_ns)
        if not self.stack.sack and found.acked:
            self.board.sacked = max(0, self.board.sacked - max(found.acked - 1, 0))
            self._limit()
        if self._probe_end:
            self._of_probe(ack.number, found, now_ns)
        is_new = found.moved or found.with_data
        repeat = Repeat.NOTHING
        if not is_new or found.sacked or found.duplicate or self.state is not State.OPEN:
            repeat = self._alert(found, 0 if is_new or found.duplicate else 1, now_ns)
        if found.sets_timer and not self._schedule_probe(now_ns, fresh=True):
            self._rearm(now_ns)
        self._open_window(found, self.board.losses - losses, now_ns)
        self._go_on(repeat, now_ns)
        self.push(now_ns)
        self._wake(now_ns)

    def _wake(self, now_ns: int) -> None:
        """The application, where it waits for room and there is enough by now."""
        if self.queue.end < self.given:
            self.queue.widen(self.window.size)
            if self.queue.is_writable(self.una, len(self.board.pieces)):
                self.fill(now_ns)

    def _sacks(self, ack: Ack, before: int, now_ns: int) -> Found:
        """RFC 2018's blocks, and RFC 2883's first one, of what came twice."""
        found = Found()
        if not (self.stack.sack and ack.blocks):
            return found
        blocks = ack.blocks
        if ack.duplicate:
            (start, end), blocks = blocks[0], blocks[1:]
            found.duplicate = True
            undo = self._undo
            if undo.marker is not None and undo.copies and end > undo.marker:
                undo.copies = max(0, undo.copies - 1)
            for piece in self.board.pieces:
                if piece.again and start <= piece.start < end and (piece.sacked or not piece.lost):
                    piece.again = False
                    self.board.again -= 1
        self.board.sack(blocks, self._high, now_ns, self.timing.least_ns, found)
        return found

    def _measure(self, found: Found, now_ns: int) -> None:
        """Karn's rule, or the timestamp (RFC 7323, 4.1)."""
        rtt_ns = path_ns = None
        if found.first_ns is not None and found.last_ns is not None and not found.copy_acked:
            rtt_ns, path_ns = now_ns - found.first_ns, now_ns - found.last_ns
        if found.sacked_ns is not None:
            path_ns = now_ns - found.sacked_ns[1]
            rtt_ns = rtt_ns if rtt_ns is not None else now_ns - found.sacked_ns[0]
        if rtt_ns is None and self._echo and found.acked:
            rtt_ns = path_ns = max(stamp_of(now_ns) - self._echo, 1) * MS
        if rtt_ns is not None:
            self.timing.measured(rtt_ns, self.una, self.next)
        found.sets_timer = bool(found.acked)
        if path_ns is not None and self.una > 1:
            self.control.measured(self.window, path_ns, self.una, self.next, now_ns)

    def _of_probe(self, number: int, found: Found, now_ns: int) -> None:
        """RFC 8985, 7.4: whether the probe repaired a loss."""
        if number < self._probe_end:
            return
        if not self._probe_copied or found.duplicate:
            self._probe_end = 0
        elif number > self._probe_end:
            self._begin_reduction(now_ns)
            self.state = State.CWR
            self._end_reduction(now_ns)
            self._keep_open()
        elif not (found.moved or found.with_data or found.sacked):
            self._probe_end = 0

    def _begin_reduction(self, now_ns: int) -> None:
        self._high = self.next
        self._probe_end = 0
        self.window.credit = 0
        self._prr = 0, 0, self.window.size
        self.window.threshold = self.control.after_loss(self.window.size)

    def _end_reduction(self, now_ns: int) -> None:
        reduced = self.state is State.CWR or self._undo.marker is not None
        if self.window.threshold < NEVER and reduced:
            self.window.size = self.window.threshold
            self._usage.since_ns = now_ns

    def _keep_open(self) -> None:
        left = self.board.sacked or self.board.lost or self.board.any_copied
        state = State.DISORDER if left else State.OPEN
        if self.state is not state:
            self.state = state
            self._high = self.next

    # Recovery.

    def _alert(self, found: Found, duplicates: int, now_ns: int) -> Repeat:
        """What an ACK means that isn't just progress (tcp_fastretrans_alert)."""
        repeat = Repeat.NOTHING
        if self.state is State.OPEN:
            self._undo.first_copy_ns = None
        elif self.una >= self._high and self._left_reduction(now_ns):
            return Repeat.NOTHING
        if self.state is State.RECOVERY:
            if not found.moved:
                self._count(duplicates)
            elif self._undone_in_part():
                return Repeat.NOTHING
            if self._undone_by_duplicates():
                self._open()
            self._identify(found, now_ns)
            if self.state is State.RECOVERY:
                return Repeat.LOST
            if not self.board.lost:
                return repeat
        else:
            if self.state is State.LOSS:
                repeat = self._in_loss(found, duplicates, now_ns)
                self._identify(found, now_ns)
                if self._goes_on and not found.lost_copy:
                    return repeat
            self._in_order(found, duplicates, now_ns)
            if not self.board.lost:
                self._open()
                return repeat
        self._enter_recovery(now_ns)
        return Repeat.LOST

    @property
    def _goes_on(self) -> bool:
        """Whether a recovery from loss goes on: nothing has undone it."""
        return self.state is not State.OPEN

    def _in_order(self, found: Found, duplicates: int, now_ns: int) -> None:
        """No recovery is under way."""
        if not self.stack.sack and found.moved:
            self.board.sacked = 0
        self._count(duplicates)
        if self.state <= State.DISORDER:
            self._undone_by_duplicates()
        self._identify(found, now_ns)

    def _left_reduction(self, now_ns: int) -> bool:
        """All that was out when it began has arrived; whether it goes on all the same."""
        if self.state is State.CWR and self.una != self._high:
            self._end_reduction(now_ns)
            self.state = State.OPEN
        elif self.state is State.RECOVERY:
            if not self.stack.sack:
                self.board.sacked = 0
            undone = self._undone()
            if self._stays():
                return True
            if not undone:
                self._end_reduction(now_ns)
            self.state = State.OPEN
        return False

    def _stays(self) -> bool:
        """Whether a recovery without SACK goes on, until the first ACK beyond it (RFC 6582, 3.2).

        Duplicates of what it sent again in vain may still come, and would begin another.
        """
        stays = not self.stack.sack and self.una == self._high
        if stays and not self.board.any_copied:
            self._undo.first_copy_ns = None
        return stays

    def _count(self, duplicates: int) -> None:
        """Counts a duplicate ACK without SACK: it says that one more segment has arrived."""
        if not self.stack.sack and duplicates:
            self.board.sacked += duplicates
            self._limit()

    def _limit(self) -> None:
        """One segment is missing at least, or there were no duplicates."""
        board = self.board
        board.sacked = min(board.sacked, max(len(board.pieces) - max(board.lost, 1), 0))

    def _open(self) -> None:
        if not self.board.any_copied:
            self._undo.first_copy_ns = None
        if self.state is not State.CWR:
            self._keep_open()

    def _identify(self, found: Found, now_ns: int) -> None:
        """Marks the segments that count as lost by now."""
        board = self.board
        if not board.pieces:
            return
        if not self.stack.sack:
            fresh = self.state < State.RECOVERY and board.sacked >= _DUPLICATES
            if fresh or (self.state is State.RECOVERY and found.moved):
                if not board.pieces[0].lost:
                    board.lose(board.pieces[0])
            return
        before = board.again
        if board.rack.moved:
            board.rack.moved = False
            wait_ns = board.lose_older(self._reordering_ns(), now_ns)
            if wait_ns:
                self._arm(Timer.REORDERING, wait_ns + TICKS_NS)
                found.sets_timer = False
        found.lost_copy |= board.again < before

    def _reordering_ns(self) -> int:
        """How much later than what was sent after it a segment may come (RFC 8985, 6.2)."""
        if self.state >= State.RECOVERY or self.board.sacked >= _DUPLICATES:
            return 0
        return min((self.timing.least_ns or 0) // 4, self.timing.smoothed_ns or 0)

    def waited(self, now_ns: int) -> None:
        """See `Output`."""
        losses = self.board.losses
        self.board.lose_older(self._reordering_ns(), now_ns)
        if self.board.losses > losses:
            if self.state is not State.RECOVERY:
                self._enter_recovery(now_ns)
                self._reduce(1, self.board.losses - losses, moved=False)
            self._repeat_all(now_ns)
        if self._pending is not Timer.RTO:
            self._rearm(now_ns)

    def _enter_recovery(self, now_ns: int) -> None:
        if not self.board.any_copied:
            self._undo.first_copy_ns = None
        threshold = 0 if self._reducing else self._current_threshold()
        self._begin_undo(threshold)
        if not self._reducing:
            self._begin_reduction(now_ns)
        self.state = State.RECOVERY

    def _in_loss(self, found: Found, duplicates: int, now_ns: int) -> Repeat:
        """Judges after a timeout whether it was false, by timestamps or by F-RTO."""
        recovered = self.una >= self._high
        if found.moved and self._undone_loss(certain=False):
            return Repeat.NOTHING
        if self._frto:
            if found.original and self._undone_loss(certain=True):
                return Repeat.NOTHING
            if self.next > self._high:
                if found.sacked or duplicates:
                    self._frto = False
            elif found.moved and not recovered:
                self._high = self.next
                if self.next < min(self.queue.end, self.allowed):
                    return Repeat.NEW
                self._frto = False
        if recovered:
            self._undone()
            self.state = State.LOSS if self._stays() else State.OPEN
            return Repeat.NOTHING
        if not self.stack.sack:
            if self.next > self._high and duplicates:
                self._count(duplicates)
            elif found.moved:
                self.board.sacked = 0
        return Repeat.LOST

    @property
    def _delayed(self) -> bool:
        """Whether what was repeated had only been late, by the timestamp (Eifel, RFC 3522)."""
        first_ns = self._undo.first_copy_ns
        if first_ns is None:
            return self.stack.sack or self.una < self._high
        return 0 < self._echo < stamp_of(first_ns)

    @property
    def _may_undo(self) -> bool:
        return self._undo.marker is not None and (self._undo.copies == 0 or self._delayed)

    def _take_back(self, *, believe: bool) -> None:
        """The window and threshold before the reduction."""
        if believe:
            self.board.believe_all()
        undo = self._undo
        if undo.threshold:
            self.window.size = max(self.window.size, undo.size)
            self.window.threshold = max(self.window.threshold, undo.threshold)
        undo.marker = None
        self.board.rack.moved = True

    def _undone(self) -> bool:
        """Takes the reduction back at a recovery's end, if it may; whether it did."""
        undone = self._may_undo
        if undone:
            self._take_back(believe=False)
        return undone

    def _undone_loss(self, *, certain: bool) -> bool:
        if not (certain or self._may_undo):
            return False
        self._take_back(believe=True)
        self.tries = 0
        if certain or self.stack.sack:
            self.state = State.OPEN
        return True

    def _undone_in_part(self) -> bool:
        """Whether to go on with new data only in a recovery."""
        if self._undo.marker is None or not self._delayed:
            return False
        if self.board.again:
            return True
        if not self.board.any_copied:
            self._undo.first_copy_ns = None
        self._take_back(believe=True)
        self._keep_open()
        return False

    def _undone_by_duplicates(self) -> bool:
        undone = self._undo.marker is not None and self._undo.copies == 0
        if undone:
            self._take_back(believe=False)
        return undone

    # The window.

    def _open_window(self, found: Found, lost: int, now_ns: int) -> None:
        if self._reducing:
            self._reduce(found.delivered, lost, moved=found.moved)
        elif found.data_acked:
            if self._in_use:
                self.control.grow(self.window, found.delivered, now_ns)
            self._usage.since_ns = now_ns

    def _reduce(self, delivered: int, lost: int, *, moved: bool) -> None:
        """RFC 6937: as many out as came through, down to the threshold."""
        _, out, before = self._prr
        if delivered <= 0 or not before:
            return
        total = self._prr[0] + delivered
        room = self.window.threshold - self.board.in_flight
        if room < 0:
            more = -(-self.window.threshold * total // before) - out
        else:
            more = max(total - out, delivered) + (1 if moved and not lost else 0)
            more = min(room, more)
        self._prr = total, out, before
        self.window.size = max(self.board.in_flight + max(more, 0 if out else 1), 1)

    def _go_on(self, repeat: Repeat, now_ns: int) -> None:
        """Sends again what is lost."""
        if repeat is Repeat.NEW:
            self.push(now_ns)
            if self.next > self._high:
                return
            self._frto = False
        if repeat is not Repeat.NOTHING:
            self._repeat_all(now_ns)

    def _repeat_all(self, now_ns: int) -> None:
        """As the window lets go."""
        if not self.board.pieces:
            return
        head = self.board.pieces[0]
        anew = False
        for piece in self.board.to_repeat():
            if self.window.size <= self.board.in_flight or not self._repeat_lost(piece, now_ns):
                break
            if self._reducing:
                total, out, before = self._prr
                self._prr = total, out + 1, before
            anew |= piece is head and self._pending is not Timer.REORDERING
        if anew:
            self._arm(Timer.RTO, self.timing.rto_ns)

    # Timeouts.

    def timed_out(self, now_ns: int) -> None:
        """RFC 6298, 5.4 to 5.6."""
        self.tries += 1
        if self.tries > MOST_TRIES:
            self.orders.append(GiveUp())
            return
        head = self.board.pieces[0]
        if not head.start:  # a SYN; its loss says nothing of a window
            self._repeat(head, now_ns, timeout=True)
        else:
            self._enter_loss(now_ns)
            if not self._repeat_lost(head, now_ns, timeout=True):
                self.tries -= 1
                self._arm(Timer.RTO, 500 * MS)  # TCP_RESOURCE_PROBE_INTERVAL
                return
        self.timing.back_off()
        self._arm(Timer.RTO, self.timing.rto_ns)

    def _enter_loss(self, now_ns: int) -> None:
        fresh = self.state < State.RECOVERY
        if not self.stack.sack:
            self.board.sacked = 0
        self.board.lose_all(now_ns)
        if (
            self.state <= State.DISORDER
            or self._high <= self.una
            or (self.state is State.LOSS and self.tries == 1)
        ):
            self._begin_undo(self._current_threshold())
            self.window.threshold = self.control.after_loss(self.window.size)
        self.window.size = self.board.in_flight + 1
        self.window.credit = 0
        self._usage.since_ns = now_ns
        self.state = State.LOSS
        self.control.reset(self.next, now_ns)
        self._high = self.next
        self._frto = self.stack.frto and (fresh or self.tries > 1)
        self._probe_end = 0

    def _begin_undo(self, threshold: int) -> None:
        copies = self.board.again + (1 if self._probe_end and self._probe_copied else 0)
        undo = self._undo
        undo.marker, undo.copies = self.una, copies or None
        undo.size, undo.threshold = self.window.size, threshold
