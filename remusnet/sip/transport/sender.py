"""The sender: bytes to the sockets, and word of what could not be sent."""

from __future__ import annotations

from remusnet.actors import Actor, Cell
from remusnet.sip.signals import Transmit, Unsent
from remusnet.sip.wiring import Wiring


class Sender(Actor):
    """Sends. It has no state: connections are with the sockets."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring

    def started(self) -> None:
        """Enter itself."""
        self._wiring.sender = self.context

    def receive(self, message: object) -> None:
        """Bytes to send."""
        assert isinstance(message, Transmit)
        sockets = self._wiring.sockets
        if message.data:
            sockets.send(message.data, message.target, _teller(message.sender))
        if message.last and message.target.flow is not None:
            sockets.end(message.target.flow)


def _teller(sender: Cell | None) -> _Teller | None:
    return None if sender is None else _Teller(sender)


class _Teller:
    """Tells a transaction that its message could not be sent."""

    __slots__ = ("_cell",)

    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    def __call__(self, reason: str) -> None:
        self._cell.tell(Unsent(reason))
