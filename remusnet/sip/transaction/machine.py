"""Events of a transaction, its commands, and what all four kinds have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from remusnet.sip.message import Message, Request, Response
from remusnet.sip.timers import Timers

# Events.


@dataclass(frozen=True, slots=True)
class FromWire:
    """The other side sent it."""

    message: Request | Response


@dataclass(frozen=True, slots=True)
class FromUser:
    """The transaction user's response, for a server transaction to send."""

    response: Response


@dataclass(frozen=True, slots=True)
class Fired:
    """A timer, by its letter in the RFC."""

    timer: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The transport could not send (17.1.4, 17.2.4)."""

    reason: str


Event = FromWire | FromUser | Fired | Unreachable


# Commands.


@dataclass(frozen=True, slots=True)
class ToWire:
    """Send it to the other side."""

    message: Message


class Trouble(Enum):
    """Why a transaction failed."""

    TIMEOUT = "timeout"
    TRANSPORT = "transport"


@dataclass(frozen=True, slots=True)
class ToUser:
    """Tell the transaction user what came, or what went wrong."""

    what: Request | Response | Trouble


@dataclass(frozen=True, slots=True)
class Arm:
    """Let ``timer`` fire in ``seconds``; it takes the place of the one of its letter."""

    timer: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Disarm:
    """Let ``timer`` not fire."""

    timer: str


@dataclass(frozen=True, slots=True)
class End:
    """The transaction is over: forget it."""


Command = ToWire | ToUser | Arm | Disarm | End


def terminated(event: Event) -> list[Command]:
    """Nothing happens any more. It is no method, so that a machine that is over holds nothing."""
    del event
    return []


class Machine:
    """A transaction. ``state`` is the method that takes the next event; its name is the RFC's.

    ``request``: what created it. ``reliable``: over TCP or TLS nothing is retransmitted.
    """

    def __init__(self, request: Request, *, reliable: bool, timers: Timers) -> None:
        self.request = request
        self.reliable = reliable
        self.timers = timers
        self.state: Callable[[Event], list[Command]] = terminated

    @property
    def state_name(self) -> str:
        """The state, in the RFC's word."""
        return self.state.__name__

    def begin(self) -> list[Command]:
        """What it does first."""
        raise NotImplementedError

    def handle(self, event: Event) -> list[Command]:
        """What it does about ``event``."""
        return self.state(event)

    def end(self, *before: Command) -> list[Command]:
        """These commands, and the end."""
        self.state = terminated
        return [*before, End()]

    def wait(self, state: Callable[[Event], list[Command]], timer: str, seconds: float) -> Command:
        """Go to ``state`` until ``timer`` fires: at once over a reliable transport."""
        self.state = state
        return Arm(timer, 0 if self.reliable else seconds)
