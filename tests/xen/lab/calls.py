"""Calls and registrations over a failover, by what sipp sent and got (its message files)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

import numpy as np

_HEAD = re.compile(
    r"^-{20,} (?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.(?P<micros>\d{6})\n"
    r"\w+ message (?P<way>sent|received) [^\n]*\n\n?(?P<text>.*?)(?=^-{20,} |\Z)",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Message:
    """One that a sipp sent or got. ``time_ns``: on Domain 0's clock."""

    time_ns: int
    sent: bool
    first_line: str
    call_id: str
    sequence: str
    """As CSeq has it: "1 INVITE"."""
    contact: str

    @property
    def status(self) -> int:
        """Of a response; 0 of a request."""
        words = self.first_line.split()
        return int(words[1]) if words[0] == "SIP/2.0" else 0


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, and its final response: ns, status and Contact; None, 0 and "": none came."""

    asked_ns: int
    answered_ns: int | None = None
    status: int = 0
    contact: str = ""

    def answered_by(self, time_ns: int) -> bool:
        """Whether it was answered by 200 before then."""
        return self.status == 200 and self.answered_ns is not None and self.answered_ns < time_ns


@dataclass(frozen=True, slots=True)
class Dialog:
    """What one sipp call did: INVITE and BYE of a call, or two REGISTERs of a phone.

    ``confirmed_ns``: when the callee got a call's ACK; None: it got none.
    """

    first: Exchange
    second: Exchange | None
    confirmed_ns: int | None = None

    def up_by(self, time_ns: int) -> bool:
        """Whether caller and callee had a call before then.

        A callee without an ACK gives the call up after 64 T1, 32 s (RFC 3261, 13.3.1.4).
        """
        return (
            self.first.answered_by(time_ns)
            and self.confirmed_ns is not None
            and self.confirmed_ns < time_ns
        )


def messages(path: Path) -> Iterator[Message]:
    """Those of a file that ``sipp -trace_msg`` wrote where the time zone is UTC, as in Domain 0."""
    text = path.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n")
    for found in _HEAD.finditer(text):
        lines = found["text"].strip().splitlines()
        if not lines:
            continue
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:])
        }
        seconds = datetime.fromisoformat(found["time"] + "+00:00").timestamp()
        yield Message(
            int(seconds) * 1_000_000_000 + int(found["micros"]) * 1000,
            found["way"] == "sent",
            lines[0],
            headers.get("call-id", ""),
            headers.get("cseq", ""),
            headers.get("contact", ""),
        )


def confirmations(path: Path) -> dict[str, int]:
    """When the callee whose file this is got the first ACK of each call, by Call-ID."""
    made: dict[str, int] = {}
    for each in messages(path):
        if each.first_line.startswith("ACK ") and not each.sent:
            made.setdefault(each.call_id, each.time_ns)
    return made


def dialogs(path: Path, confirmed: Mapping[str, int] = MappingProxyType({})) -> list[Dialog]:
    """What each call of a sipp came to, in the order of their first requests."""
    exchanges: dict[str, dict[str, Exchange]] = {}
    for each in messages(path):
        if each.sequence.endswith(" ACK"):
            continue
        known = exchanges.setdefault(each.call_id, {})
        if each.sent and not each.status:
            known.setdefault(each.sequence, Exchange(each.time_ns))
        elif each.status >= 200 and each.sequence in known:
            asked = known[each.sequence]
            if asked.answered_ns is None:
                known[each.sequence] = Exchange(
                    asked.asked_ns, each.time_ns, each.status, each.contact
                )
    made = []
    for call_id, known in exchanges.items():
        first, *later = known.values()
        made.append(Dialog(first, later[0] if later else None, confirmed.get(call_id)))
    return made


@dataclass(frozen=True)
class Survival:
    """What became of calls and registrations of one transport, when the primary was lost."""

    fenced_ns: int
    calls: Sequence[Dialog]
    phones: Sequence[Dialog]

    @classmethod
    def read(cls, out: Path, transport: str, fenced_ns: int) -> Survival:
        """From the files of ``jobs/sip_failover.sh``; ``transport``: udp or tcp."""
        return cls(
            fenced_ns,
            dialogs(
                out / f"calls-{transport}.messages",
                confirmations(out / f"callee-{transport}.messages"),
            ),
            dialogs(out / f"phones-{transport}.messages"),
        )

    def up(self) -> list[Dialog]:
        """Calls that both ends had before the primary was lost, and that were not hung up."""
        return [
            each
            for each in self.calls
            if each.up_by(self.fenced_ns)
            and (each.second is None or each.second.asked_ns > self.fenced_ns)
        ]

    def under_way(self) -> list[Dialog]:
        """Calls that were being set up then."""
        return [
            each
            for each in self.calls
            if each.first.asked_ns < self.fenced_ns and not each.up_by(self.fenced_ns)
        ]

    def later(self) -> list[Dialog]:
        """Calls that began afterwards."""
        return [each for each in self.calls if each.first.asked_ns >= self.fenced_ns]

    def registered(self) -> list[Dialog]:
        """Phones that were told before the loss that they are registered."""
        return [each for each in self.phones if each.first.answered_by(self.fenced_ns)]

    def set_up_ms(self) -> Sequence[float]:
        """From INVITE to 200, of calls that were answered before the loss."""
        answered = (each.first for each in self.calls if each.first.answered_by(self.fenced_ns))
        return [_took_ms(each) for each in answered]


def _took_ms(exchange: Exchange) -> float:
    assert exchange.answered_ns is not None
    return (exchange.answered_ns - exchange.asked_ns) / 1e6


def completed(calls: Sequence[Dialog]) -> list[Dialog]:
    """Those whose BYE was answered by 200."""
    return [each for each in calls if each.second is not None and each.second.status == 200]


def still_there(phones: Sequence[Dialog]) -> list[Dialog]:
    """Phones that the server, asked afterwards, knows a contact of."""
    return [
        each
        for each in phones
        if each.second is not None and each.second.status == 200 and each.second.contact
    ]


def share(part: Sequence[object], whole: Sequence[object]) -> str:
    """``4 of 5``."""
    return f"{len(part)} of {len(whole)}"


def spread(values: Sequence[float]) -> str:
    """Median and largest, ``210 / 420``."""
    if not values:
        return "-"
    return f"{np.median(values):.0f} / {max(values):.0f}"
