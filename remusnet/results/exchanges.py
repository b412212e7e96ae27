"""Requests and answers of a run: SIP transactions, and transfers of any kind."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from remusnet.metrics.percentiles import NS_PER_MS, rounded


class Ended(StrEnum):
    """How a transaction or a connection ended."""

    DONE = "done"
    TIMEOUT = "timeout"
    """Its timer ran out, or it gave up after its last retransmission."""
    UNFINISHED = "unfinished"
    """The scenario was over first."""


@dataclass(frozen=True, slots=True)
class SipTransaction:
    """One SIP request and what came back, as its client saw it; times in ns of the scenario.

    Of a recording the times are those of the capture's clock, ``call`` is the Call-ID, and
    ``group`` is None.
    ``name``: the method, ``re-INVITE`` within a dialog. ``client``: ``peer`` or ``guest``.
    ``ringing_ns``: of an INVITE, how long until 180 came; None where none did.
    ``end_ns``: the final response's arrival; None where none came. ``retransmissions``: copies
    that either side sent of request or responses, by SIP's own timers (not TCP's).
    """

    group: int | None
    call: int | str
    name: str
    transport: str
    client: str
    start_ns: int
    end_ns: int | None
    retransmissions: int
    ended: Ended
    ringing_ns: int | None = None

    @property
    def ringing_ms(self) -> float | None:
        """The same in ms."""
        return None if self.ringing_ns is None else self.ringing_ns / NS_PER_MS

    @property
    def duration_ms(self) -> float | None:
        """The time from the request to the final response; None where none came."""
        return None if self.end_ns is None else (self.end_ns - self.start_ns) / NS_PER_MS

    def to_json(self) -> dict[str, object]:
        """One element of ``sip``."""
        return {
            "group": self.group,
            "call": self.call,
            "name": self.name,
            "transport": self.transport,
            "client": self.client,
            "start_ns": self.start_ns,
            "end_ns": self.end_ns,
            "duration_ms": None if self.duration_ms is None else rounded(self.duration_ms),
            "ringing_ms": None if self.ringing_ms is None else rounded(self.ringing_ms),
            "retransmissions": self.retransmissions,
            "ended": str(self.ended),
        }


@dataclass(frozen=True, slots=True)
class Transfer:
    """One TCP connection's work, a DNS lookup or an echo, as its client saw it; times in ns.

    ``kind``: ``request-response``, ``bulk``, ``sip``, ``dns`` or ``icmp``. ``bytes``: payload that
    arrived in order, both ways together. ``completed_ns``: None where it never was.
    ``retransmissions``: segments (or queries) sent again, ``timeouts``: how often RTO ran out,
    by either side. ``responses_ns``: of an exchange or a bulk transfer, from each request to the
    last byte of its answer; the set-up of the connection is no part of it.
    """

    group: int
    number: int
    kind: str
    flow: str
    start_ns: int
    completed_ns: int | None
    bytes: int
    retransmissions: int
    timeouts: int
    ended: Ended
    responses_ns: tuple[int, ...] = ()

    @property
    def responses_ms(self) -> tuple[float, ...]:
        """The same in ms."""
        return tuple(each / NS_PER_MS for each in self.responses_ns)

    @property
    def duration_ms(self) -> float | None:
        """The time from the first segment to the last byte; None where it never came."""
        return (
            None if self.completed_ns is None else (self.completed_ns - self.start_ns) / NS_PER_MS
        )

    def to_json(self) -> dict[str, object]:
        """One element of ``transfers``."""
        return {
            "group": self.group,
            "number": self.number,
            "kind": self.kind,
            "flow": self.flow,
            "start_ns": self.start_ns,
            "completed_ns": self.completed_ns,
            "duration_ms": None if self.duration_ms is None else rounded(self.duration_ms),
            "responses_ms": [rounded(each) for each in self.responses_ms],
            "bytes": self.bytes,
            "retransmissions": self.retransmissions,
            "timeouts": self.timeouts,
            "ended": str(self.ended),
        }
