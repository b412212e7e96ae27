"""Messages to a session, but for those of transactions and the location."""

from __future__ import annotations

from dataclasses import dataclass

from remusnet.actors import Cell
from remusnet.sip.flows import Target
from remusnet.sip.store import User


@dataclass(frozen=True, slots=True)
class NewWork:
    """The router has a request of this call: it stands in ``call.works`` already."""

    number: int


@dataclass(frozen=True, slots=True)
class Broken:
    """This session could not handle a message about a request: of that number, or transaction."""

    number: int = 0
    transaction: Cell | None = None


@dataclass(frozen=True, slots=True)
class UserFound:
    """The store has been asked who sends the request. ``away``: it has not answered."""

    number: int
    given: dict[str, str]
    user: User | None
    away: bool


@dataclass(frozen=True, slots=True)
class Resolved:
    """Where a name leads (RFC 3263)."""

    number: int
    uri: bytes
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class TimerC:
    """Timer C of a branch, or what takes its place after a CANCEL and after a 2xx."""

    number: int
    branch: int


@dataclass(frozen=True, slots=True)
class TooLong:
    """The call is older than any is."""
