"""SIP user agents and what they say: RFC 3261's timers, over UDP or over a stream.

Over UDP a request is sent again until something comes back (timer A of INVITE, E of all others),
a final answer to INVITE until its ACK comes; over TCP only the latter is (13.3.1.4: a 2xx is sent
again end to end whatever carries it, by T1 that doubles up to T2).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from remusnet.emulator.traffic.endpoints import (
    Again,
    Answered,
    Begin,
    Command,
    End,
    Event,
    Expired,
    Payload,
    Received,
    Send,
    SetTimer,
    Started,
    StopTimer,
)
from remusnet.results.exchanges import Ended
from remusnet.scenario.traffic import Sip, Transport

RINGING = "180"
GIVE_UP = 64
"""Timers B, F, H and J: so many times T1."""


@dataclass(slots=True)
class Caller:
    """The side that asks. ``plan``: (transaction, how long after the one before ended).

    ``waiting``: the transaction without a final answer yet, since ``asked_ns``; ``step_ns``: its
    timer A or E.
    """

    sip: Sip
    dialog: int
    plan: tuple[tuple[str, int], ...]
    at: int = 0
    waiting: str | None = None
    asked_ns: int = 0
    step_ns: int = 0
    provisional: bool = False

    def handle(self, event: Event, now_ns: int) -> Iterator[Command]:
        """See `Endpoint`."""
        match event:
            case Started():
                yield from self._next()
            case Expired("plan"):
                yield from self._ask(now_ns)
            case Expired("again"):
                yield from self._again()
            case Expired("give-up"):
                yield from self._over(Ended.TIMEOUT)
            case Received(Payload() as answer):
                yield from self._answer(answer, now_ns)
            case _:
                raise TypeError(f"not for a caller: {event}")

    def _next(self) -> Iterator[Command]:
        if self.at < len(self.plan):
            yield SetTimer("plan", self.plan[self.at][1])

    def _ask(self, now_ns: int) -> Iterator[Command]:
        self.waiting = self.plan[self.at][0]
        self.asked_ns = now_ns
        self.provisional = False
        self.step_ns = self.sip.t1_ns
        yield Begin(self.waiting)
        yield Send(request(self.waiting, self.sip, self.dialog, self.at))
        if self.sip.transport is Transport.UDP:
            yield SetTimer("again", self.step_ns)
        yield SetTimer("give-up", GIVE_UP * self.sip.t1_ns)

    def _again(self) -> Iterator[Command]:
        """Timer A doubles without an end; timer E up to T2, and is T2 after a provisional."""
        if self.waiting is None:
            return
        self.step_ns *= 2
        if "INVITE" not in self.waiting:
            self.step_ns = self.sip.t2_ns if self.provisional else min(self.step_ns, self.sip.t2_ns)
        yield Again(self.waiting)
        yield Send(request(self.waiting, self.sip, self.dialog, self.at))
        yield SetTimer("again", self.step_ns)

    def _answer(self, answer: Payload, now_ns: int) -> Iterator[Command]:
        code, _, name = answer.name.partition(" ")
        invite = "INVITE" in name
        if answer.tag < self.at or self.waiting is None:
            if invite and code == "200":
                yield Send(request("ACK", self.sip, self.dialog, answer.tag))
            return
        if code.startswith("1"):
            self.provisional = True
            if invite and code == RINGING:
                yield Answered(self.waiting, int(code), now_ns - self.asked_ns)
            if invite:
                # RFC 3261, 17.1.1.2: in Proceeding no more copies, and timer B is no more.
                yield StopTimer("again")
                yield StopTimer("give-up")
            return
        if invite:
            yield Send(request("ACK", self.sip, self.dialog, answer.tag))
        yield from self._over(Ended.DONE)

    def _over(self, how: Ended) -> Iterator[Command]:
        if self.waiting is None:
            return
        yield StopTimer("again")
        yield StopTimer("give-up")
        yield End(self.waiting, how)
        self.waiting = None
        self.at += 1
        if how is Ended.DONE:
            yield from self._next()


@dataclass(slots=True)
class Callee:
    """The side that is asked. ``answers``: the last answer to each request, by its number.

    ``unheard``: answers to INVITEs without an ACK yet, with their timers.
    """

    sip: Sip
    dialog: int
    answers: dict[int, Payload] = field(default_factory=dict)
    unheard: dict[int, int] = field(default_factory=dict)

    def handle(self, event: Event, now_ns: int) -> Iterator[Command]:
        """See `Endpoint`."""
        match event:
            case Started():
                return
            case Received(Payload() as asked):
                yield from self._asked(asked)
            case Expired(timer):
                kind, _, number = timer.partition(" ")
                if kind == "answer":
                    yield from self._pick_up("INVITE", int(number))
                else:
                    yield from self._again(int(number))
            case _:
                raise TypeError(f"not for a callee: {event}")

    def _asked(self, asked: Payload) -> Iterator[Command]:
        number, name = asked.tag, asked.name
        if name == "ACK":
            if self.unheard.pop(number, None) is not None:
                yield StopTimer(f"again {number}")
            return
        if number in self.answers:
            # A copy: the last answer again; a 2xx has a timer of its own (RFC 6026, Accepted).
            if number not in self.unheard:
                yield Again(name)
                yield Send(self.answers[number])
            return
        if name == "INVITE":
            yield self._say("100", name, number)
            yield self._say(RINGING, name, number)
            yield SetTimer(f"answer {number}", self.sip.answer_ns)
        elif name == "re-INVITE":
            yield from self._pick_up(name, number)
        else:
            yield self._say("200", name, number)

    def _say(self, code: str, name: str, number: int) -> Send:
        self.answers[number] = response(code, name, self.sip, self.dialog, number)
        return Send(self.answers[number])

    def _pick_up(self, name: str, number: int) -> Iterator[Command]:
        yield self._say("200", name, number)
        self.unheard[number] = self.sip.t1_ns
        yield SetTimer(f"again {number}", self.sip.t1_ns)

    def _again(self, number: int) -> Iterator[Command]:
        step_ns = self.unheard.get(number)
        if step_ns is None:
            return
        if step_ns * 2 > GIVE_UP * self.sip.t1_ns:
            del self.unheard[number]
            return
        self.unheard[number] = step_ns = min(2 * step_ns, self.sip.t2_ns)
        yield Again(self.answers[number].name.partition(" ")[2])
        yield Send(self.answers[number])
        yield SetTimer(f"again {number}", step_ns)


def plan(sip: Sip) -> tuple[tuple[str, int], ...]:
    """The transactions of one dialog, each with how long it waits for the end of the one before."""
    steps: list[tuple[str, int]] = []
    if sip.register:
        steps.append(("REGISTER", 0))
    if sip.call:
        steps.append(("INVITE", 0))
        left_ns = sip.talk_ns
        if sip.reinvite_ns is not None:
            steps.append(("re-INVITE", min(sip.reinvite_ns, sip.talk_ns)))
            left_ns = max(0, sip.talk_ns - sip.reinvite_ns)
        steps.append(("BYE", left_ns))
    return tuple(steps)


_REASONS = {"100": "Trying", RINGING: "Ringing", "200": "OK"}
_SDP = (
    "v=0\r\no=- {number} {number} IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    "m=audio {port} RTP/AVP 8 0\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n"
    "a=ptime:20\r\na=sendrecv\r\n"
)
_TLS_RECORD = 29
"""Bytes that TLS 1.3 puts around each record with AES-GCM (RFC 8446: 5 + 8 + 16)."""


def request(name: str, sip: Sip, dialog: int, number: int) -> Payload:
    """The request of transaction ``number`` of a dialog."""
    method = name.removeprefix("re-")
    body = _sdp(dialog) if method == "INVITE" else ""
    first = f"{method} sip:callee@example.com SIP/2.0"
    return _payload(name, first, method, body, sip, dialog, number)


def response(code: str, name: str, sip: Sip, dialog: int, number: int) -> Payload:
    """The answer to it."""
    method = name.removeprefix("re-")
    body = _sdp(dialog) if method == "INVITE" and code == "200" else ""
    first = f"SIP/2.0 {code} {_REASONS[code]}"
    return _payload(f"{code} {name}", first, method, body, sip, dialog, number)


def _sdp(dialog: int) -> str:
    return _SDP.format(number=dialog + 1, port=10_000 + 2 * (dialog % 10_000))


def _payload(
    name: str, first: str, method: str, body: str, sip: Sip, dialog: int, number: int
) -> Payload:
    transport = sip.transport.upper()
    branch = f"z9hG4bK-{dialog}-{number}-{method}"
    lines = [
        first,
        f"Via: SIP/2.0/{transport} caller.example.com:5060;branch={branch}",
        "Max-Forwards: 70",
        f"From: <sip:caller@example.com>;tag=c{dialog}",
        f"To: <sip:callee@example.com>{'' if number == 0 else f';tag=s{dialog}'}",
        f"Call-ID: {dialog}@caller.example.com",
        f"CSeq: {number + 1} {method}",
        f"Contact: <sip:caller@caller.example.com;transport={sip.transport}>",
    ]
    if body:
        lines.append("Content-Type: application/sdp")
    lines += [f"Content-Length: {len(body)}", "", body]
    text = "\r\n".join(lines).encode("ascii")
    if sip.transport is Transport.TLS:
        # Without the keys a reader sees no more than a record.
        sealed = bytes((7 * at + dialog) % 251 for at in range(len(text) + _TLS_RECORD - 5))
        text = b"\x17\x03\x03" + len(sealed).to_bytes(2, "big") + sealed
    return Payload(name, len(text), number, text)
