"""What becomes of a request whose message no actor could handle, in two tries: it is answered.

Without that its sender would get silence, and what waits for that message would wait for ever.
"""

from __future__ import annotations

from remusnet.actors import Cell, DeadLetter
from remusnet.sip.location import Found, Lookup, Register, Registered
from remusnet.sip.location.service import Committed, Opened, given_up
from remusnet.sip.message import Request, Response
from remusnet.sip.message.build import own_tag, respond
from remusnet.sip.proxy.session import Broken, NewWork
from remusnet.sip.registrar import Registrations
from remusnet.sip.signals import Answer, Begin, Failure, Incoming, Respond
from remusnet.sip.transaction import Trouble
from remusnet.sip.wiring import Wiring

TAG = "failed"


def mourn(letter: DeadLetter, wiring: Wiring, registrations: Registrations) -> None:
    """Answer the request that ``letter`` was about: 500, or 503 where the location knew nothing.

    A message that this function itself has sent is not mourned in its turn.
    """
    if not letter.reason.startswith("its processing failed"):
        return
    message, recipient = letter.message, letter.recipient
    if isinstance(message, Incoming):
        message.transaction.tell(Respond(_sorry(message.request)))
    elif isinstance(message, Registered):
        incoming = registrations.waiting.pop(message.key, None)  # type: ignore[call-overload]
        if incoming is not None:
            incoming.transaction.tell(Respond(_sorry(incoming.request)))
    elif isinstance(message, Begin):
        message.user.tell(Failure(message.key, Trouble.TRANSPORT))
    elif isinstance(message, Respond):
        _answer(message, recipient, wiring)
    elif isinstance(message, NewWork | Found | Answer):
        _of_session(message, recipient)
    elif isinstance(message, Register | Lookup | Committed | Opened):
        _of_location(message, recipient)


def _of_session(message: NewWork | Found | Answer, session: Cell) -> None:
    if isinstance(message, NewWork):
        session.tell(Broken(message.number))
    elif isinstance(message, Found):
        if isinstance(message.key, int):
            session.tell(Broken(message.key))
    else:
        # An accepted INVITE's 2xx comes again, until its ACK does (13.3.1.4).
        response = message.response
        if response.status >= 300 or (response.status >= 200 and response.cseq[1] != b"INVITE"):
            session.tell(Failure(message.key, Trouble.TRANSPORT))


def _of_location(message: Register | Lookup | Committed | Opened, location: Cell) -> None:
    if isinstance(message, Register):
        message.asker.tell(Registered(message.key, 500))
    elif isinstance(message, Lookup):
        message.asker.tell(Found(message.key, None))
    elif (instead := given_up(message)) is not None:
        location.tell(instead)


def _answer(lost: Respond, recipient: Cell, wiring: Wiring) -> None:
    """500 instead of a response that its transaction could not send."""
    if lost.response.status < 200 or b"tag=" + TAG.encode() in (lost.response.get("to") or b""):
        return
    for entry in wiring.table.servers.values():
        if entry.cell is recipient:
            recipient.tell(Respond(_sorry(entry.machine.request)))
            return


def _sorry(request: Request) -> Response:
    return respond(request, 500, tag=TAG + own_tag(request))
