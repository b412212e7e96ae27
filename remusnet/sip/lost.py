"""What becomes of a message that was lost on its way through receiver, coder, router or sender.

A request is answered 500. A response or an ACK goes on around the actor that failed on it. What
could not be sent is as if the transport had refused it.
"""

from __future__ import annotations

from remusnet.actors import Cell
from remusnet.sip.flows import Flow, Target, Transport
from remusnet.sip.message import Message, Request, Response, parse
from remusnet.sip.message.build import own_tag, respond, tag_of
from remusnet.sip.message.framing import Unframed
from remusnet.sip.message.via import top
from remusnet.sip.signals import Bytes, Decode, Encode, IncomingAck, Received, Transmit, Unsent
from remusnet.sip.transaction import FromWire
from remusnet.sip.transport.table import response_name, response_target
from remusnet.sip.wiring import Wiring

_TAG = "failed"
_REASON = "this server has failed on it"


def sorry(request: Request) -> Response:
    """500 to a request that no actor could handle."""
    return respond(request, 500, tag=_TAG + own_tag(request))


def is_sorry(response: Response) -> bool:
    """Whether it is one of those: if it is lost too, there is no other."""
    return response.status == 500 and tag_of(response.get("to") or b"").startswith(_TAG.encode())


def on_the_way(message: object, wiring: Wiring) -> None:
    """Do what is left to do about ``message``. Raises what its parser raises."""
    if isinstance(message, Bytes):
        _bytes(message, wiring)
    elif isinstance(message, Decode):
        if message.unframed is not None:
            wiring.sockets.end(message.flow)
        else:
            _unread(message.data, message.flow, wiring)
    elif isinstance(message, Received):
        _received(message.message, message.flow, wiring)
    elif isinstance(message, Encode):
        _unsent(message.message, message.target, message.sender, wiring)
    elif isinstance(message, Transmit):
        if message.last and message.target.flow is not None:
            wiring.sockets.end(message.target.flow)
        if message.data.strip():
            found = parse(message.data, stream=message.target.transport.reliable)
            _unsent(found, message.target, message.sender, wiring)


def _bytes(lost: Bytes, wiring: Wiring) -> None:
    if lost.flow.transport is Transport.UDP:
        _unread(lost.data, lost.flow, wiring)
        return
    framer = wiring.sockets.framer(lost.flow)
    if framer is None or not lost.data:
        return
    try:
        for data in framer.feed(lost.data):
            _unread(data, lost.flow, wiring)
    except Unframed:
        wiring.sockets.end(lost.flow)


def _unread(data: bytes, flow: Flow, wiring: Wiring) -> None:
    _received(parse(data, stream=flow.transport.reliable), flow, wiring)


def _received(message: Request | Response, flow: Flow, wiring: Wiring) -> None:
    if isinstance(message, Response):
        entry = wiring.table.clients.get(response_name(message, top(message)))
        if entry is not None and entry.cell is not None:
            entry.cell.tell(FromWire(message))
    elif message.method == b"ACK":
        if wiring.proxy is not None:
            wiring.proxy.tell(IncomingAck(message, flow))
    else:
        _encode(
            Encode(sorry(message), response_target(top(message), flow, wiring.via_maddr)), wiring
        )


def _unsent(message: Message, target: Target, sender: Cell | None, wiring: Wiring) -> None:
    if isinstance(message, Request):
        if sender is not None:
            sender.tell(Unsent(_REASON))
    elif isinstance(message, Response) and message.status >= 200 and not is_sorry(message):
        # Over UDP its request comes again, and gets it. An INVITE's 2xx its callee repeats.
        if target.transport.reliable and (message.status >= 300 or message.cseq[1] != b"INVITE"):
            _encode(Encode(_instead(message), target), wiring)


def _instead(lost: Response) -> Response:
    """500 with what the request had, which the response has, too (8.2.6.2)."""
    kept = [each for each in lost.headers if each.name in (b"via", b"from", b"call-id", b"cseq")]
    made = Response(500, b"Server Internal Error", kept)
    to = lost.get("to") or b""
    made.add("To", to.rpartition(b";tag=")[0] + b";tag=" + _TAG.encode() if b";tag=" in to else to)
    made.add("Content-Length", b"0")
    return made


def _encode(encode: Encode, wiring: Wiring) -> None:
    if wiring.coder is not None:
        wiring.coder.tell(encode)
