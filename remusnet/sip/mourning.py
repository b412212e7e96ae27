"""What becomes of a request whose message no actor could handle, in two tries: it is answered.

Without that its sender would get silence, and what waits for that message would wait for ever.
"""

from __future__ import annotations

from contextlib import suppress

from remusnet.actors import Cell, DeadLetter
from remusnet.sip.location import Found, Lookup, Register, Registered
from remusnet.sip.location.service import Committed, Opened, given_up
from remusnet.sip.lost import is_sorry, on_the_way, sorry
from remusnet.sip.message import Response
from remusnet.sip.proxy.calls import Calls
from remusnet.sip.proxy.news import Broken, NewWork
from remusnet.sip.registrar import Registrations
from remusnet.sip.signals import Answer, Begin, Cancel, Failure, Incoming, Respond
from remusnet.sip.transaction import FromWire, Trouble
from remusnet.sip.wiring import Wiring


def mourn(letter: DeadLetter, wiring: Wiring, registrations: Registrations, calls: Calls) -> None:
    """Answer the request that ``letter`` was about: 500, or 503 where the location knew nothing.

    A message that this function itself has sent is not mourned in its turn.
    """
    if not letter.reason.startswith("its processing failed"):
        return
    message, recipient = letter.message, letter.recipient
    if isinstance(message, Incoming):
        message.transaction.tell(Respond(sorry(message.request)))
    elif isinstance(message, Registered):
        incoming = registrations.waiting.pop(message.key, None)  # type: ignore[call-overload]
        if incoming is not None:
            incoming.transaction.tell(Respond(sorry(incoming.request)))
    elif isinstance(message, Begin):
        message.user.tell(Failure(message.key, Trouble.TRANSPORT))
    elif isinstance(message, Respond):
        _answer(message, recipient, wiring)
    elif isinstance(message, FromWire):
        _of_transaction(message, recipient, wiring)
    elif isinstance(message, NewWork | Found | Answer | Cancel):
        _of_session(message, recipient, calls)
    elif isinstance(message, Register | Lookup | Committed | Opened):
        _of_location(message, recipient)
    elif letter.reason.endswith("twice"):
        # A message on its way is not lost for good where messages are dropped: over UDP it comes
        # again. Here it has failed twice already, and would a third time.
        with suppress(Exception):  # it may fail here as the coder did
            on_the_way(message, wiring)


def _of_session(message: NewWork | Found | Answer | Cancel, session: Cell, calls: Calls) -> None:
    if isinstance(message, Cancel):
        # Also where it was the proxy that could not pass it on.
        call = calls.calls.get(message.request.call_id)
        if call is not None and call.cell is not None:
            call.cell.tell(Broken(transaction=message.transaction))
    elif isinstance(message, NewWork):
        session.tell(Broken(message.number))
    elif isinstance(message, Found):
        if isinstance(message.key, int):
            session.tell(Broken(message.key))
    else:
        if not _comes_again(message.response):
            session.tell(Failure(message.key, Trouble.TRANSPORT))


def _of_transaction(lost: FromWire, recipient: Cell, wiring: Wiring) -> None:
    """A final response that its client transaction could not take."""
    response = lost.message
    if not isinstance(response, Response) or _comes_again(response):
        return
    for entry in wiring.table.clients.values():
        if entry.cell is recipient and entry.user is not None:
            entry.user.tell(Failure(entry.key, Trouble.TRANSPORT))


def _comes_again(response: Response) -> bool:
    """An accepted INVITE's 2xx does, until its ACK comes (13.3.1.4); a provisional one may not."""
    return response.status < 200 or (response.status < 300 and response.cseq[1] == b"INVITE")


def _of_location(message: Register | Lookup | Committed | Opened, location: Cell) -> None:
    if isinstance(message, Register):
        message.asker.tell(Registered(message.key, 500))
    elif isinstance(message, Lookup):
        message.asker.tell(Found(message.key, None))
    elif (instead := given_up(message)) is not None:
        location.tell(instead)


def _answer(lost: Respond, recipient: Cell, wiring: Wiring) -> None:
    """500 instead of a response that its transaction could not send."""
    if lost.response.status < 200 or is_sorry(lost.response):
        return
    for entry in wiring.table.servers.values():
        if entry.cell is recipient:
            recipient.tell(Respond(sorry(entry.machine.request)))
            return
