"""The receiver: bytes from the sockets become the bytes of single messages."""

from __future__ import annotations

from remusnet.actors import Actor
from remusnet.actors.actor import Handled
from remusnet.sip.flows import Transport, back
from remusnet.sip.message.framing import Unframed
from remusnet.sip.signals import Bytes, Decode, Transmit
from remusnet.sip.wiring import Wiring


class Receiver(Actor):
    """Passes on whole messages. It has no state: streams' halves are with the sockets."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring

    def started(self) -> Handled:
        """Enter itself."""
        self._wiring.receiver = self.context
        return None

    def receive(self, message: object) -> None:
        """Bytes from a socket."""
        assert isinstance(message, Bytes)
        coder, flow = self._wiring.coder, message.flow
        assert coder is not None
        if flow.transport is Transport.UDP:
            # A keep-alive (RFC 5626, 4.4.1 and what phones send) is no message.
            if message.data.strip(b"\r\n\0 "):
                coder.tell(Decode(message.data, flow))
            return
        framer = self._wiring.sockets.framer(flow)
        if framer is None or not message.data:
            return
        try:
            for data in framer.feed(message.data):
                coder.tell(Decode(data, flow))
        except Unframed as error:
            # The coder answers what can be answered, and ends the connection.
            coder.tell(Decode(error.head, flow, error))
        if framer.pings:
            framer.pings = 0
            sender = self._wiring.sender
            assert sender is not None
            sender.tell(Transmit(b"\r\n", back(flow)))
