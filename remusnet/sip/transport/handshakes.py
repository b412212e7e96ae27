"""TLS connections that are not open yet. Until its handshake is over, one counts nowhere else.

Each keeps a file open for as long as a handshake may take. A source that opens many and sends
nothing must not keep others out: where there are too many, the source that has most loses its
latest.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from remusnet.sip.transport.floods import source_of

# As many as the files that the server keeps free for them, and for what else it has open.
MOST = 192
_SECONDS = 10.0
_AGAIN_S = 0.1  # after which a process that may open no more files looks whether it may
_AT_ONCE = 16


@dataclass(slots=True, eq=False)
class _Pending:
    """A handshake that is under way."""

    socket: socket.socket
    source: str
    task: asyncio.Task[None] | None = None


class Handshakes:
    """A socket that listens, and the handshakes of the connections that it has accepted.

    ``make``: a protocol for each. ``blocked``: sources that are refused; ``on_refused`` is called
    for each one, and for each that loses its place.
    """

    def __init__(
        self,
        bound: socket.socket,
        context: ssl.SSLContext | None,
        make: Callable[[], asyncio.Protocol],
        blocked: Callable[[str], bool],
        on_refused: Callable[[], None],
        *,
        most: int = MOST,
    ) -> None:
        self._bound = bound
        self._context = context
        self._make = make
        self._blocked = blocked
        self._on_refused = on_refused
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._by_source: dict[str, list[_Pending]] = {}
        self._count = 0
        self._closed = False
        bound.listen(1024)
        self._accept_again()

    def close(self) -> None:
        """Accept no connection any more; handshakes that are under way may end."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._bound)
            self._bound.close()

    def abort(self) -> None:
        """End those that are under way, too."""
        self.close()
        for pending in [each for some in self._each() for each in some]:
            self._give_up(pending)

    def _accept_again(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._bound, self._accept)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            if self._count >= self._most and all(len(each) == 1 for each in self._each()):
                # No source has more than others: the next one waits until one of them is through.
                self._loop.remove_reader(self._bound)
                return
            try:
                accepted, peer = self._bound.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:  # no more files
                self._loop.remove_reader(self._bound)
                self._loop.call_later(_AGAIN_S, self._accept_again)
                return
            self._take(accepted, source_of(peer[0]))

    def _each(self) -> list[list[_Pending]]:
        return list(self._by_source.values())

    def _take(self, accepted: socket.socket, source: str) -> None:
        if self._blocked(source):
            self._on_refused()
            accepted.close()
            return
        if self._count >= self._most:
            self._on_refused()
            largest = max(self._each(), key=len)
            if largest is self._by_source.get(source):
                accepted.close()
                return
            self._give_up(largest[-1])
        accepted.setblocking(False)
        pending = _Pending(accepted, source)
        self._by_source.setdefault(source, []).append(pending)
        self._count += 1
        pending.task = self._loop.create_task(self._shake_hands(pending))

    async def _shake_hands(self, pending: _Pending) -> None:
        try:
            await self._loop.connect_accepted_socket(
                self._make, pending.socket, ssl=self._context, ssl_handshake_timeout=_SECONDS
            )
        except OSError:
            pass  # of TLS, too: a peer that can't prove what it has to, or sends nothing
        finally:
            self._forget(pending)

    def _give_up(self, pending: _Pending) -> None:
        self._forget(pending)
        if pending.task is not None:
            pending.task.cancel()
        pending.socket.close()  # where the task has not even begun, it does not

    def _forget(self, pending: _Pending) -> None:
        others = self._by_source.get(pending.source, [])
        if pending not in others:
            return
        others.remove(pending)
        if not others:
            del self._by_source[pending.source]
        self._count -= 1
        self._accept_again()
