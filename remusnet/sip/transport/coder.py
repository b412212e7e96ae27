"""The coder: bytes to messages and back. It answers by itself what the server can't act on."""

from __future__ import annotations

from remusnet.actors import Actor
from remusnet.sip.flows import Flow, back
from remusnet.sip.message import Malformed, Message, Request, Response, parse
from remusnet.sip.message.build import reply
from remusnet.sip.message.via import came_from, top
from remusnet.sip.signals import Decode, Encode, Received, Transmit
from remusnet.sip.transport.table import response_target
from remusnet.sip.wiring import Wiring, count


class Coder(Actor):
    """Parses and serialises. A message that is malformed is no failure of it."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring

    def started(self) -> None:
        """Enter itself."""
        self._wiring.coder = self.context

    def receive(self, message: object) -> None:
        """Bytes to parse, or a message to serialise."""
        if isinstance(message, Decode):
            try:
                self._decode(message)
            except Malformed as error:
                self._wiring.counts.malformed += 1
                self._answer(error, message.flow)
            if message.unframed is not None:
                self._send(Transmit(b"", back(message.flow), last=True))
        elif isinstance(message, Encode):
            sent = message.message
            if isinstance(sent, Response):
                count(self._wiring.counts.responses, str(sent.status))
            self._send(Transmit(sent.serialize(), message.target, message.sender))

    def _decode(self, coming: Decode) -> None:
        flow = coming.flow
        if coming.unframed is not None:
            raise _unframed(coming.data, coming.unframed)
        message = parse(coming.data, stream=flow.transport.reliable)
        if isinstance(message, Request):
            count(self._wiring.counts.requests, message.method.decode("ascii", "replace"))
            _mark_source(message, flow)
        transactions = self._wiring.transactions
        assert transactions is not None
        transactions.tell(Received(message, flow))

    def _answer(self, error: Malformed, flow: Flow) -> None:
        """400, 505 and the like, without a transaction (8.2.7); silence where none is due."""
        request = error.message
        if not error.status or not isinstance(request, Request):
            return
        try:
            _mark_source(request, flow)
            via = top(request)
        except Malformed:
            return
        response = reply(request, error.status, reason=_reason(error))
        count(self._wiring.counts.responses, str(error.status))
        target = response_target(via, flow, self._wiring.via_maddr)
        self._send(Transmit(response.serialize(), target))

    def _send(self, transmit: Transmit) -> None:
        sender = self._wiring.sender
        assert sender is not None
        sender.tell(transmit)


def _mark_source(request: Request, flow: Flow) -> None:
    """Say in the top Via where it came from (18.2.1). Raises Malformed where there is none."""
    values = request.values("via")
    if not values:
        raise Malformed("no Via", 0, request)
    mended = came_from(values[0], flow.remote.host, flow.remote.port)
    if mended is not values[0]:
        request.replace_top("Via", mended)


def _unframed(head: bytes, fault: Malformed) -> Malformed:
    """The fault of a message of which only the headers can be read."""
    if not head:
        return fault
    try:
        message: Message | None = parse(head)
    except Malformed as error:
        message = error.message
    answerable = isinstance(message, Request) and message.method != b"ACK"
    return Malformed(fault.reason, fault.status if answerable else 0, message)


def _reason(error: Malformed) -> str:
    """A reason phrase that says what is wrong; only words of our own stand in it."""
    if error.status == 505:
        return ""
    return f"Bad Request: {error.reason}" if error.status == 400 else ""
