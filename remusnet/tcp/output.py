"""What one side sends, and when: windows, Nagle, small queues, probes, and the one timer.

Linux 6.1's rules (net/ipv4/tcp_output.c), each under the name of its RFC: Nagle with Minshall's
change, idle restart and window validation (RFC 2861), tail loss probes (RFC 8985), small queues.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from remusnet.tcp.congestion import NEVER, Control, S, Window, control
from remusnet.tcp.queue import MOST_BYTES, SendQueue
from remusnet.tcp.scoreboard import Piece, Scoreboard
from remusnet.tcp.stack import MS, Stack
from remusnet.tcp.timing import Timing

TICKS_NS = 8 * MS
"""TCP_TIMEOUT_MIN: two ticks of 250 Hz."""
_FEWEST_JOINED = 2
"""Segments of a buffer where the windows have room for it (net.ipv4.tcp_min_tso_segs)."""

_HEAD = 768
"""Bytes of memory that a buffer takes beside its data, whose eights are whole."""


def _memory(size: int) -> int:
    return _HEAD + -(-size // 8) * 8


class State(IntEnum):
    """As ``ss -i`` has it."""

    OPEN = 0
    DISORDER = 1
    CWR = 2
    RECOVERY = 3
    LOSS = 4


class Timer(StrEnum):
    """What the one timer of a sender stands for."""

    RTO = "rto"
    PROBE = "probe"
    REORDERING = "reordering"


@dataclass(frozen=True, slots=True)
class Transmit:
    """A segment goes out. ``copy``: it was sent before; ``timeout``: since the timer ran out;
    ``push``: with the flag PSH.
    """

    start: int
    end: int
    copy: bool = False
    timeout: bool = False
    push: bool = False


@dataclass(frozen=True, slots=True)
class Arm:
    """The timer runs out after ``after_ns``; None stops it."""

    after_ns: int | None


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The peer doesn't answer."""


Order = Transmit | Arm | GiveUp


@dataclass(slots=True)
class Undo:
    """What takes a reduction back, where it turns out to have been for nothing.

    ``marker``: SND.UNA then; ``copies``: those whose DSACK hasn't come, None before the first;
    ``first_copy_ns``: when the first was sent. ``size``, ``threshold``: the window before.
    """

    marker: int | None = None
    copies: int | None = None
    first_copy_ns: int | None = None
    size: int = 0
    threshold: int = 0


@dataclass(slots=True)
class Usage:
    """How much of the window the application uses (RFC 7661's question, Linux's answer)."""

    limited: bool = False
    most_out: int = 0
    until: int = 0
    since_ns: int = 0
    used: int = 0


@dataclass(slots=True)
class Output(ABC):
    """``una``, ``next``: RFC 9293's; ``allowed``: the end of what the peer lets come; ``given``:
    the end of what the application wants to send. ``queue`` has what of it fits into the buffer.

    All count bytes from 0 at the SYN, which counts as one. ``coupled``: the host counts a segment
    as unsent for as long as it is held, so that small queues bind.
    """

    stack: Stack
    coupled: bool = False
    una: int = 0
    next: int = 0
    given: int = 1
    allowed: int = 0
    window: Window = field(default_factory=lambda: Window(10))
    board: Scoreboard = field(default_factory=Scoreboard)
    state: State = State.OPEN
    tries: int = 0
    orders: list[Order] = field(default_factory=list)
    timing: Timing = field(init=False)
    queue: SendQueue = field(init=False)
    control: Control = field(init=False)
    _pending: Timer | None = None
    _high: int = 0
    _undo: Undo = field(default_factory=Undo)
    _usage: Usage = field(default_factory=Usage)
    _prr: tuple[int, int, int] = (0, 0, 0)
    _frto: bool = False
    _probe_end: int = 0
    _probe_copied: bool = False
    _small_end: int = 0
    _sent_ns: int = 0
    _in_host: int = 0

    def __post_init__(self) -> None:
        self.timing = Timing(self.stack.rto_min_ns, self.stack.tick_ns)
        self.queue = SendQueue(self.stack.mss)
        self.control = control(self.stack)
        self.window.size = self.stack.initial_window

    # What the application and the connection ask for.

    def open(self, now_ns: int) -> None:
        """The SYN, or the answer to one; again where it was lost."""
        self._transmit(Piece(0, 1, now_ns), now_ns)

    def established(self, now_ns: int) -> None:
        """The handshake is done: the window begins."""
        self.control.reset(self.next, now_ns)
        self._usage.since_ns = self._sent_ns = now_ns
        self.queue.widen(self.window.size)

    def write(self, size: int, now_ns: int) -> None:
        """The application gives ``size`` bytes."""
        if self.una and not self.board.pieces and self.stack.slow_start_after_idle:
            self._restart(now_ns)
        self.given += size
        self.fill(now_ns)

    def _restart(self, now_ns: int) -> None:
        """RFC 2861: half the window for each timeout without a segment."""
        tick_ns = self.stack.tick_ns
        idle_ns = (now_ns // tick_ns - self._sent_ns // tick_ns) * tick_ns
        if idle_ns <= self.timing.rto_ns:
            return
        least = min(self.stack.initial_window, self.window.size)
        self.window.threshold = self._current_threshold()
        idle_ns -= self.timing.rto_ns
        while idle_ns > 0 and self.window.size > least:
            self.window.size //= 2
            idle_ns -= self.timing.rto_ns
        self.window.size = max(self.window.size, least)
        self._usage.since_ns, self._usage.used = now_ns, 0

    def _current_threshold(self) -> int:
        if self._reducing:
            return self.window.threshold
        return max(self.window.threshold, self.window.size * 3 // 4)

    @property
    def _reducing(self) -> bool:
        return self.state in (State.CWR, State.RECOVERY)

    def fill(self, now_ns: int) -> None:
        """The application writes on, where it has more to give and finds room."""
        queue, out = self.queue, len(self.board.pieces)
        if queue.end >= self.given:
            return
        while queue.append(self.given, self.una, out) and queue.end < self.given:
            if queue.push_half():
                self.push(now_ns)
            elif queue.single:
                self.push(now_ns, once=True)
            out = len(self.board.pieces)
        queue.push_last()
        self.push(now_ns, wrote=True)

    def push(
        self, now_ns: int, *, probe: bool = False, wrote: bool = False, once: bool = False
    ) -> None:
        """As much new data as windows, Nagle and small queues let go (tcp_write_xmit).

        ``probe``: one buffer, which goes out where the congestion window is full too. ``wrote``:
        the application has, just now: only then a small segment is corked. ``once``: one buffer.
        """
        if not self.una:
            return
        sent, limited = 0, False
        most = self._most_segments()
        while self.next < self.queue.end:
            room = self.window.size - self.board.in_flight
            if room <= 0 and not probe:
                break
            size = self._next_size(max(min(room, self.window.size // 2, most), 1))
            if not size:
                break
            small = size < self.stack.mss and self.queue.single and not probe
            if small and self._small_waits(size, wrote=wrote):
                break
            if not (probe or once) and self._defers(room, most, now_ns):
                limited = room * self.stack.mss < self.allowed - self.next
                break
            if self.coupled and self._host_is_full(size):
                break
            sent += self._transmit_buffer(size, now_ns)
            if probe or once:
                break
        limited |= self.board.in_flight >= self.window.size
        if sent or limited:
            self._validate(now_ns, limited=limited)
        if sent:
            delivered, out, before = self._prr
            self._prr = delivered, out + sent, before
            if not probe:
                self._schedule_probe(now_ns)

    def _most_segments(self) -> int:
        """Of a buffer: what the connection sends in a millisecond (tcp_tso_autosize)."""
        mss, timing = self.stack.mss, self.timing
        if timing.smoothed_ns is None or timing.least_ns is None:
            return _FEWEST_JOINED
        slow_start = self.window.size < self.window.threshold // 2
        segments = max(self.window.size, len(self.board.pieces)) * (2.0 if slow_start else 1.2)
        size = int(segments * mss * S / timing.smoothed_ns) >> 10
        # A near peer may have as much as the device takes.
        size += MOST_BYTES >> min(timing.least_ns // 1000 >> 9, 32)
        return max(min(size, MOST_BYTES) // mss, _FEWEST_JOINED)

    def _next_size(self, most: int) -> int:
        """Bytes of the next buffer, ``most`` segments at most; 0 where the peer has no room.

        What is left of that room beside full segments isn't used.
        """
        mss, head = self.stack.mss, self.queue.head()
        length, room = head.end - head.start, self.allowed - self.next
        size = min(length, most * mss)
        if size > room:
            size = max(room, 0) // mss * mss
        if size > mss and (rest := size % mss) and self._small_waits(rest, wrote=False):
            size -= rest
        return size

    def _defers(self, room: int, most: int, now_ns: int) -> bool:
        """Whether a buffer that could be larger waits for the next ACK (tcp_tso_should_defer)."""
        mss, head = self.stack.mss, self.queue.head()
        length = head.end - head.start
        if length <= mss or self.state >= State.RECOVERY or now_ns - self._sent_ns > MS:
            return False
        offered = self.allowed - self.next
        limit = min(room * mss, offered)
        third = min(self.allowed - self.una, self.window.size * mss) // 3
        if limit >= min(most * mss, third) or (not self.queue.single and limit >= length):
            return False
        smoothed_ns = self.timing.smoothed_ns or 0
        expected_ns = self.board.pieces[0].sent_ns + smoothed_ns if self.board.pieces else NEVER
        return expected_ns - now_ns <= min(smoothed_ns // 2, MS)

    def _transmit_buffer(self, size: int, now_ns: int) -> int:
        """The next ``size`` bytes, in segments; how many."""
        end, mss = self.next + size, self.stack.mss
        push = self.queue.take(size)
        if size % mss:
            self._small_end = end
        segments = 0
        while self.next < end:
            last = min(self.next + mss, end)
            self._transmit(Piece(self.next, last, now_ns), now_ns, push=push and last == end)
            segments += 1
        return segments

    def _small_waits(self, size: int, *, wrote: bool) -> bool:
        """Nagle (RFC 896): one segment that is not full may be out at a time (Minshall's rule)."""
        if wrote and self._is_corked(size):
            return True
        return self.stack.nagle and bool(self.board.pieces) and self._small_end > self.una

    def _is_corked(self, size: int) -> bool:
        """Whether ``size`` bytes wait for more (tcp_should_autocork).

        They do while the host has as much memory of what is being sent as they take themselves.
        """
        if not (self.stack.autocorking and self.coupled and self._in_host):
            return False
        held = sum(_memory(each.end - each.start) * each.in_host for each in self.board.pieces)
        return held >= _memory(size)

    def _host_is_full(self, size: int) -> bool:
        """Whether the host has twice the memory of a buffer with ``size`` (tcp_small_queue_check).

        What it has are mostly pairs.
        """
        pairs = -(-self._in_host // (2 * self.stack.mss))
        held = self._in_host + pairs * _HEAD
        return held >= 2 * _memory(size) and len(self.board.pieces) > 1

    def couple(self, *, coupled: bool) -> None:
        """See ``coupled``; the host has nothing of it now."""
        self.coupled = coupled
        self._in_host = 0
        for piece in self.board.pieces:
            piece.in_host = 0

    def left_host(self, start: int, end: int) -> None:
        """Bytes ``start`` to ``end`` have left the host: a coupled sender may go on."""
        if not self.coupled or end == start:
            return
        self._in_host -= end - start
        for piece in self.board.pieces:
            if piece.start == start:
                piece.in_host -= 1
                return

    def _transmit(self, piece: Piece, now_ns: int, *, push: bool = False) -> None:
        """A segment for the first time."""
        if not self.board.pieces:
            self.control.starts_again(now_ns - self._sent_ns, now_ns)
        first = not self.board.pieces
        self.board.pieces.append(piece)
        self.next = piece.end
        self._out(piece, push=push)
        self._sent_ns = now_ns
        if first or self._pending is Timer.PROBE:
            self._rearm(now_ns)

    def _out(
        self, piece: Piece, *, copy: bool = False, timeout: bool = False, push: bool = False
    ) -> None:
        self.board.sendings += 1
        piece.order = self.board.sendings
        if self.coupled and piece.start:
            piece.in_host += 1
            self._in_host += piece.end - piece.start
        self.orders.append(Transmit(piece.start, piece.end, copy, timeout, push))

    def _repeat(self, piece: Piece, now_ns: int, *, timeout: bool = False) -> bool:
        """A copy, unless the host still has the segment itself."""
        sent = not piece.in_host
        if sent:
            piece.sent_ns = now_ns
            piece.copied = True
            self._out(piece, copy=True, timeout=timeout)
        return sent

    def _repeat_lost(self, piece: Piece, now_ns: int, *, timeout: bool = False) -> bool:
        sent = self._repeat(piece, now_ns, timeout=timeout)
        if sent:
            piece.again = True
            self.board.again += 1
        if self._undo.first_copy_ns is None:
            self._undo.first_copy_ns = now_ns
        self._undo.copies = (self._undo.copies or 0) + 1
        return sent

    def _validate(self, now_ns: int, *, limited: bool) -> None:
        """Whether the window is in use; one that isn't, shrinks after a timeout."""
        usage, out = self._usage, len(self.board.pieces)
        if (
            self.una >= usage.until
            or limited
            or (not usage.limited and out > usage.most_out)
        ):  # fmt: skip
            usage.limited, usage.most_out, usage.until = limited, out, self.next
        if self._in_use:
            usage.used, usage.since_ns = 0, now_ns
            return
        usage.used = max(usage.used, out)
        if self.stack.slow_start_after_idle and now_ns - usage.since_ns >= self.timing.rto_ns:
            used = max(usage.used, self.stack.initial_window)
            if self.state is State.OPEN and used < self.window.size:
                self.window.threshold = self._current_threshold()
                self.window.size = (self.window.size + used) // 2
            usage.used, usage.since_ns = 0, now_ns

    @property
    def _in_use(self) -> bool:
        usage = self._usage
        return usage.limited or (
            self.window.slow_start and self.window.size < 2 * usage.most_out
        )  # fmt: skip

    # The timer.

    def _arm(self, timer: Timer, after_ns: int) -> None:
        self._pending = timer
        self.orders.append(Arm(max(after_ns, MS)))

    def _left_ns(self, now_ns: int) -> int:
        """The time left until the timeout of the oldest segment."""
        return self.board.pieces[0].sent_ns + self.timing.rto_ns - now_ns

    def _rearm(self, now_ns: int) -> None:
        if not self.board.pieces:
            self._pending = None
            self.orders.append(Arm(None))
            return
        after_ns = self.timing.rto_ns
        if self._pending in (Timer.PROBE, Timer.REORDERING):
            after_ns = self._left_ns(now_ns)
        self._arm(Timer.RTO, after_ns)

    def _schedule_probe(self, now_ns: int, *, fresh: bool = False) -> bool:
        """RFC 8985, 7.2: after two round trips. ``fresh``: the timeout begins anew anyway."""
        out = len(self.board.pieces)
        if (
            not (self.stack.tail_loss_probe and self.stack.sack and out)
            or self.una == 0
            or self.state not in (State.OPEN, State.CWR)
        ):
            return False
        if self.timing.smoothed_ns is None:
            after_ns = self.timing.rto_ns
        else:
            more_ns = self.stack.rto_min_ns if out == 1 else TICKS_NS
            after_ns = 2 * self.timing.smoothed_ns + more_ns
        rto_ns = self.timing.rto_ns if fresh else self._left_ns(now_ns)
        if rto_ns > 0:
            after_ns = min(after_ns, rto_ns)
        self._arm(Timer.PROBE, after_ns)
        return True

    def expired(self, now_ns: int) -> None:
        """The timer has run out."""
        timer, self._pending = self._pending, None
        if not self.board.pieces or timer is None:
            return
        if timer is Timer.PROBE:
            self._probe(now_ns)
        elif timer is Timer.REORDERING:
            self.waited(now_ns)
        else:
            self.timed_out(now_ns)

    @abstractmethod
    def waited(self, now_ns: int) -> None:
        """A segment that may only have been reordered hasn't come: see `Sender`."""

    @abstractmethod
    def timed_out(self, now_ns: int) -> None:
        """The oldest segment's time is over: see `Sender`."""

    def _probe(self, now_ns: int) -> None:
        """New data where there is some, else the last segment again."""
        if not self._probe_end:
            out = len(self.board.pieces)
            self._probe_copied = False
            if self.next < self.queue.end:
                self.push(now_ns, probe=True)
                sent = len(self.board.pieces) > out
            else:
                sent = self._probe_copied = self._repeat(self.board.pieces[-1], now_ns)
            if sent:
                self._probe_end = self.next
                self._pending = None
        self._rearm(now_ns)
