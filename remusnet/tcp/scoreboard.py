"""The segments that are out: each sent and not yet acknowledged, with what is known of it.

Marks and counts are those of Linux's retransmit queue: acknowledged out of order (SACK), believed
lost, sent again. RACK (RFC 8985) believes lost what was sent before something that has arrived.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from remusnet.tcp.stack import stamp_of


@dataclass(slots=True, eq=False)
class Piece:
    """One segment: bytes from ``start`` to ``end``. ``again``: a copy of it is out; ``copied``:
    one was sent once. ``in_host``: how many of its copies the host still has. ``order``: which of
    all sendings was the last of it, counted.
    """

    start: int
    end: int
    sent_ns: int
    sacked: bool = False
    lost: bool = False
    again: bool = False
    copied: bool = False
    in_host: int = 0
    order: int = 0


@dataclass(slots=True)
class Found:
    """What one ACK told. ``first_ns``, ``last_ns``: when the first and the last of the newly
    acknowledged segments were sent that had no copy; ``sacked_ns`` the same of the newly sacked.
    """

    moved: bool = False
    acked: int = 0
    delivered: int = 0
    data_acked: bool = False
    copy_acked: bool = False
    sacked: bool = False
    original: bool = False
    duplicate: bool = False
    with_data: bool = False
    first_ns: int | None = None
    last_ns: int | None = None
    sacked_ns: tuple[int, int] | None = None
    sets_timer: bool = False
    lost_copy: bool = False

    def join(self, other: Found) -> None:
        """What its SACK blocks told too."""
        self.delivered += other.delivered
        self.sacked |= other.sacked
        self.original |= other.original
        self.duplicate |= other.duplicate
        self.sacked_ns = other.sacked_ns or self.sacked_ns


@dataclass(slots=True)
class Rack:
    """The latest sent of all that arrived, by its ``order``, and its round trip: RACK.rtt.

    RFC 8985 asks for the time, and where it's the same for the higher sequence. Here a burst's ACKs
    come at one moment; Linux handles them one by one, and its clock goes on meanwhile.
    """

    order: int = 0
    rtt_ns: int = 0
    moved: bool = False

    def arrived(self, piece: Piece, now_ns: int, least_ns: int | None) -> None:
        """``piece`` is acknowledged. A copy that seems faster than any path tells nothing."""
        rtt_ns = now_ns - piece.sent_ns
        if piece.copied and least_ns is not None and rtt_ns < least_ns:
            return
        self.moved = True
        self.rtt_ns = rtt_ns
        self.order = max(self.order, piece.order)


@dataclass(slots=True)
class Scoreboard:
    """``pieces`` in order of sequence. ``sacked``, ``lost``, ``again``: how many have that mark;
    ``losses``: how often one was believed lost, or a copy of it; ``sendings``: all, copies too.

    Without SACK ``sacked`` counts duplicate ACKs, as Linux's NewReno does.
    """

    pieces: deque[Piece] = field(default_factory=deque)
    sacked: int = 0
    lost: int = 0
    again: int = 0
    losses: int = 0
    sendings: int = 0
    rack: Rack = field(default_factory=Rack)

    @property
    def in_flight(self) -> int:
        """RFC 6675's pipe: what is believed to be in the network."""
        return len(self.pieces) - self.sacked - self.lost + self.again

    @property
    def any_copied(self) -> bool:
        """Whether a retransmission is out, or its acknowledgement still to come."""
        return bool(self.again or (self.pieces and self.pieces[0].copied))

    def acknowledge(
        self, una: int, high: int, now_ns: int, least_ns: int | None, echo: int
    ) -> Found:
        """Everything up to ``una`` has arrived. ``high``: the recovery point.

        ``echo``: the timestamp of what the ACK answers; a copy sent later was for nothing.
        """
        found = Found()
        while self.pieces and self.pieces[0].end <= una:
            piece = self.pieces.popleft()
            found.acked += 1
            found.data_acked |= piece.start > 0
            if piece.copied:
                found.copy_acked = True
                self.again -= piece.again
            elif not piece.sacked:
                found.last_ns = piece.sent_ns
                if found.first_ns is None:
                    found.first_ns = piece.sent_ns
                found.original |= piece.end <= high
            if piece.sacked:
                self.sacked -= 1
            else:
                found.delivered += 1
                late = 0 < echo < stamp_of(piece.sent_ns)
                if not (piece.copied and late):
                    self.rack.arrived(piece, now_ns, least_ns)
            self.lost -= piece.lost
        return found

    def sack(
        self, blocks: tuple[tuple[int, int], ...], high: int, now_ns: int,
        least_ns: int | None, found: Found,
    ) -> None:  # fmt: skip
        """Notes that the segments within ``blocks`` have arrived out of order."""
        for piece in self.pieces:
            if piece.sacked or not any(s <= piece.start and piece.end <= e for s, e in blocks):
                continue
            self.rack.arrived(piece, now_ns, least_ns)
            if piece.again:
                if piece.lost:
                    piece.lost = piece.again = False
                    self.lost -= 1
                    self.again -= 1
            else:
                if not piece.copied:
                    found.original |= piece.end <= high
                    first = found.sacked_ns[0] if found.sacked_ns else piece.sent_ns
                    found.sacked_ns = first, piece.sent_ns
                self.lost -= piece.lost
                piece.lost = False
            piece.sacked = True
            self.sacked += 1
            found.sacked = True
            found.delivered += 1

    def lose(self, piece: Piece) -> None:
        """It is believed lost, or its copy is."""
        if piece.sacked:
            return
        if not piece.lost:
            piece.lost = True
            self.lost += 1
            self.losses += 1
        elif piece.again:
            piece.again = False
            self.again -= 1
            self.losses += 1

    def lose_all(self, now_ns: int) -> None:
        """A timeout: all but what RACK says was sent a moment ago."""
        for at, piece in enumerate(self.pieces):
            if not at or self.rack.rtt_ns <= now_ns - piece.sent_ns:
                self.lose(piece)

    def lose_older(self, reordering_ns: int, now_ns: int) -> int:
        """RACK: believes lost what is older than the newest that arrived.

        Returns how long to wait for what may only be reordered, in ns; 0 for nothing.
        """
        wait_ns = 0
        rack = self.rack
        for piece in self.pieces:
            if piece.sacked or (piece.lost and not piece.again):
                continue
            if rack.order <= piece.order:
                continue
            left_ns = rack.rtt_ns + reordering_ns - (now_ns - piece.sent_ns)
            if left_ns <= 0:
                self.lose(piece)
            else:
                wait_ns = max(wait_ns, left_ns)
        return wait_ns

    def believe_all(self) -> None:
        """Nothing is lost after all."""
        for piece in self.pieces:
            piece.lost = False
        self.lost = 0

    def to_repeat(self) -> Iterator[Piece]:
        """Lost segments whose copy isn't out, oldest first."""
        for piece in self.pieces:
            if self.again >= self.lost:
                return
            if piece.lost and not piece.sacked and not piece.again:
                yield piece
