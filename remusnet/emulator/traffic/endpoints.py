"""Protocols without I/O, in mitmproxy's way: an endpoint takes an event and yields commands.

An endpoint knows neither who runs it nor what time it is but what an event says. Timers, notes for
the report and frames are commands alike, so a conversation reads like a transcript, and a test is
one. All of an endpoint's state is in its fields: a copy of it is a checkpoint of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from remusnet.results.scene import Ended


@dataclass(frozen=True, slots=True)
class Payload:
    """What an application says: ``name`` is for its peer, ``size`` in bytes, ``text`` the bytes.

    ``tag`` tells copies and answers apart (a lookup's number, a dialog's transaction).
    """

    name: str
    size: int
    tag: int = 0
    text: bytes = b""


@dataclass(frozen=True, slots=True)
class Segment:
    """A TCP segment: ``sequence`` and ``ack`` from 0 at the SYN, ``size`` bytes of payload.

    ``ends``: the payloads whose last byte is in it, with the sequence number after that byte.
    """

    sequence: int
    ack: int
    size: int
    syn: bool = False
    ends: tuple[tuple[int, Payload], ...] = ()


@dataclass(frozen=True, slots=True)
class Started:
    """The endpoint's time has come."""


@dataclass(frozen=True, slots=True)
class Received:
    """Something has come from the peer."""

    what: Payload | Segment


@dataclass(frozen=True, slots=True)
class Expired:
    """A timer has run out."""

    timer: str


Event = Started | Received | Expired


@dataclass(frozen=True, slots=True)
class Send:
    """Give this to the other side."""

    what: Payload | Segment


@dataclass(frozen=True, slots=True)
class SetTimer:
    """`Expired` with this name after ``after_ns``; one that runs already is set anew."""

    timer: str
    after_ns: int


@dataclass(frozen=True, slots=True)
class StopTimer:
    """No `Expired` with this name any more."""

    timer: str


@dataclass(frozen=True, slots=True)
class Begin:
    """For the report: ``what`` has begun (a SIP transaction, a transfer)."""

    what: str


@dataclass(frozen=True, slots=True)
class End:
    """For the report: ``what`` is over. ``size``: bytes of payload that came."""

    what: str
    how: Ended
    size: int = 0


@dataclass(frozen=True, slots=True)
class Again:
    """For the report: a copy was sent for ``what``; ``timeout``: because a TCP timer ran out."""

    what: str
    timeout: bool = False


Command = Send | SetTimer | StopTimer | Begin | End | Again


class Endpoint(Protocol):
    """One side of a conversation."""

    def handle(self, event: Event, now_ns: int) -> Iterator[Command]:
        """What the side does about ``event``; ``now_ns`` is its own clock."""
        ...
