"""Messages that wait for their turn: a line for each source, and one of each line in turn.

A source that sends more than its share waits in its own line, and no other waits for it: how long a
flood takes to be found, and what of it has come until then, costs others nothing. As in FQ-CoDel
(RFC 8290), a source with an empty line comes before those with messages in theirs.

A message that comes again while it still waits is dropped: its transaction would do nothing with
it. Else a server that is behind by half a second gets everything twice, and falls behind further.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable

from remusnet.sip.transport.floods import Floods

# So many, and so many bytes, are taken before others of the event loop have a turn.
_AT_ONCE = 8
_BYTES_AT_ONCE = 4096
# A phone's message becomes ten or so between actors, and each of them waits for all that are there
# at that time: what is taken of a line too early costs others ten times. Where no other source was
# heard for a while, larger portions cost less. A source's first in its line needn't wait.
_ENOUGH = 2
_ENOUGH_FOR_ONE = 32
_COMPANY_S = 1.0
# What all lines may hold: as much as the kernel's own buffer does (`RECEIVE_BUFFER`), which counts
# what a datagram costs besides its bytes, too.
_MOST = 8 * 1024 * 1024
_EACH = 512

_Item = tuple[float, int, Callable[[], None], Hashable]


class _Line:
    """What waits of one source."""

    __slots__ = ("again", "items", "size", "source", "waiting")

    def __init__(self, source: str) -> None:
        self.source = source
        self.items: deque[_Item] = deque()
        self.size = 0
        self.again = False  # more has come since one was taken, though nothing new
        self.waiting: set[Hashable] = set()  # what of `items` would be the same if it came again


class Intake:
    """The lines. ``work``: how many messages the server has to handle of what it was given."""

    def __init__(
        self, floods: Floods, loop: asyncio.AbstractEventLoop, work: Callable[[], int]
    ) -> None:
        self.dropped = 0  # datagrams of blocked sources, or for want of room
        self.repeated = 0  # those that were still waiting when they came again
        self._floods = floods
        self._loop = loop
        self._work = work
        self._lines: dict[str, _Line] = {}
        self._first: deque[_Line] = deque()  # nothing of theirs was taken yet
        self._turns: deque[_Line] = deque()
        self._size = 0
        self._scheduled = False
        self._latest, self._latest_at = "", float("-inf")  # whose line was the last that was new
        self._company_until = float("-inf")  # so long there is more than one source

    @property
    def full(self) -> bool:
        """Whether more had better wait where it is."""
        return self._size >= _MOST

    def put(
        self,
        source: str,
        arrived: float,
        size: int,
        take: Callable[[], None],
        *,
        drop: bool,
        what: Hashable = None,
    ) -> None:
        """Let ``take`` be called in its turn: for so many bytes of ``source``, that arrived then.

        ``drop``: whether it may be dropped. Where there is no room, who has half of it or more
        loses what it sent last. ``what``: what it is; nothing happens where the same still waits.
        """
        line = self._lines.get(source)
        if line is None:
            self._meet(source)
            line = self._lines[source] = _Line(source)
            self._first.append(line)
        elif what is not None and what in line.waiting:
            self.repeated += 1
            line.again = True
            return
        elif drop and self._size >= _MOST and 2 * line.size >= self._size:
            self.dropped += 1
            return
        size += _EACH
        line.items.append((arrived, size, take, what))
        if what is not None:
            line.waiting.add(what)
        line.size += size
        self._size += size

    def _meet(self, source: str) -> None:
        """It has a line from now on."""
        now = self._loop.time()
        if self._lines or (source != self._latest and now < self._latest_at + _COMPANY_S):
            self._company_until = now + _COMPANY_S
        self._latest, self._latest_at = source, now

    def go(self) -> None:
        """Take what there is room for; the rest follows by itself."""
        if not self._scheduled:
            self._turn()

    def forget(self, source: str) -> None:
        """Nothing of ``source`` is taken any more that waits now."""
        line = self._lines.pop(source, None)
        if line is not None:
            self.dropped += len(line.items)
            self._size -= line.size
            (self._turns if line in self._turns else self._first).remove(line)

    def clear(self) -> None:
        """Nothing that waits now is taken."""
        for source in list(self._lines):
            self.forget(source)

    def _turn(self) -> None:
        self._scheduled = False
        now, left = self._loop.time(), _BYTES_AT_ONCE
        company = len(self._lines) > 1 or now < self._company_until
        enough = _ENOUGH if company else _ENOUGH_FOR_ONE
        for _ in range(_AT_ONCE):
            work = self._work()
            if self._first and work <= _ENOUGH_FOR_ONE:
                line = self._first.popleft()
            elif self._turns and work <= enough:
                line = self._turns.popleft()
            else:
                break
            left -= self._take_next(line, now)
            if left <= 0:
                break
        if self._lines and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _take_next(self, line: _Line, now: float) -> int:
        """Take one of its, so many bytes. A source that is through stays for a round, if others
        wait.

        Else a source that sends one at a time would have nothing in its line each time.
        """
        source = line.source
        if not line.items:
            del self._lines[source]
            return 0
        self._turns.append(line)
        arrived, size, take, what = line.items.popleft()
        line.waiting.discard(what)
        line.size -= size
        self._size -= size
        more, line.again = bool(line.items) or line.again, False
        if more:
            self._floods.waited(source, now - arrived)
            if source in self._floods.blocked:
                self.dropped += 1
                return 0
        else:
            self._floods.caught_up(source)
        take()  # a stream has its next piece in the line after that
        alone = len(self._lines) == 1 and self._lines.get(source) is line
        if alone and not line.items:
            self._turns.clear()
            self._lines.clear()
        return size - _EACH
