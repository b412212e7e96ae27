"""What the server's actors tell each other: the contract between the rooms.

    sockets -> receiver -> coder -> transactions -> registrar | proxy   (requests)
                                        |                      |
    sockets <- sender   <- coder <------+----------------------+        (responses, requests)

A core (registrar, proxy) sees no retransmission: transactions absorb them. A client transaction
reports to the actor that began it, by the ``key`` that it gave.
"""

from __future__ import annotations

from dataclasses import dataclass

from remusnet.actors import Cell
from remusnet.sip.flows import Flow, Target
from remusnet.sip.message import Malformed, Message, Request, Response
from remusnet.sip.transaction import Trouble

# To the receiver, from sockets.


@dataclass(frozen=True, slots=True)
class Bytes:
    """What came: a whole datagram, or a piece of a stream. Empty: the connection has ended."""

    data: bytes
    flow: Flow


# To the coder.


@dataclass(frozen=True, slots=True)
class Decode:
    """The bytes of one message.

    ``unframed``: the headers alone of a message whose end is unknown. It is answered with that, and
    then the connection ends.
    """

    data: bytes
    flow: Flow
    unframed: Malformed | None = None


@dataclass(frozen=True, slots=True)
class Encode:
    """A message to send. ``sender``: whom to tell, with `Unsent`, where that can't be done."""

    message: Message
    target: Target
    sender: Cell | None = None


# To the sender.


@dataclass(frozen=True, slots=True)
class Transmit:
    """Bytes to send. ``sender`` as in `Encode`. ``last``: then the target's connection ends."""

    data: bytes
    target: Target
    sender: Cell | None = None
    last: bool = False


@dataclass(frozen=True, slots=True)
class Unsent:
    """The transport could not send (RFC 3261, 18.4)."""

    reason: str


# To the transactions.


@dataclass(frozen=True, slots=True)
class Received:
    """A message, and the way that it came. Its top Via has ``received`` and ``rport`` already."""

    message: Request | Response
    flow: Flow


@dataclass(frozen=True, slots=True)
class Begin:
    """Begin a client transaction for ``request``, whose top Via has its branch.

    ``user`` hears what comes of it, as `Answer` or `Failure`, with ``key``.
    """

    request: Request
    target: Target
    user: Cell
    key: object


@dataclass(frozen=True, slots=True)
class SendStateless:
    """Send it without a transaction: an ACK for a 2xx, a response that no transaction holds."""

    message: Message
    target: Target


# To a server transaction.


@dataclass(frozen=True, slots=True)
class Respond:
    """The core's response."""

    response: Response


# To the cores.


@dataclass(frozen=True, slots=True)
class Incoming:
    """A new request, and the server transaction that takes the `Respond` to it."""

    request: Request
    flow: Flow
    transaction: Cell


@dataclass(frozen=True, slots=True)
class IncomingAck:
    """An ACK that belongs to no transaction: that of a 2xx (RFC 3261, 16.11 and 17)."""

    request: Request
    flow: Flow


@dataclass(frozen=True, slots=True)
class Cancel:
    """A CANCEL has come for the INVITE of ``transaction``; its own 200 has been sent (9.2)."""

    transaction: Cell
    request: Request


@dataclass(frozen=True, slots=True)
class Answer:
    """A client transaction has got a response."""

    key: object
    response: Response


@dataclass(frozen=True, slots=True)
class Failure:
    """A client transaction has failed."""

    key: object
    trouble: Trouble


@dataclass(frozen=True, slots=True)
class ServerFailed:
    """A server transaction has failed: its response reached no client, or no ACK came."""

    transaction: Cell
    trouble: Trouble
