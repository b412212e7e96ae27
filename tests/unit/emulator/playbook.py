"""A conversation as a transcript: events fed to an endpoint, and the commands that it answers."""

from __future__ import annotations

from remusnet.emulator.traffic.endpoints import (
    Again,
    Answered,
    Begin,
    Command,
    End,
    Endpoint,
    Event,
    Expired,
    Payload,
    Received,
    Segment,
    Send,
    SetTimer,
    Started,
    StopTimer,
)

MS = 1_000_000


class Playbook:
    """``feed`` an event at a time in ms; it gives the commands as short lines."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    def feed(self, event: Event, at_ms: float = 0) -> list[str]:
        return [_line(each) for each in self.endpoint.handle(event, int(at_ms * MS))]

    def start(self, at_ms: float = 0) -> list[str]:
        return self.feed(Started(), at_ms)

    def hear(self, name: str, tag: int = 0, at_ms: float = 0) -> list[str]:
        return self.feed(Received(Payload(name, 1, tag)), at_ms)

    def segment(
        self,
        sequence: int,
        ack: int,
        size: int = 0,
        *,
        syn: bool = False,
        ends: tuple[tuple[int, Payload], ...] = (),
        at_ms: float = 0,
    ) -> list[str]:
        return self.feed(Received(Segment(sequence, ack, size, syn, ends)), at_ms)

    def expire(self, timer: str, at_ms: float = 0) -> list[str]:
        return self.feed(Expired(timer), at_ms)


def _line(command: Command) -> str:
    match command:
        case Send(Payload(name)):
            line = f"send {name}"
        case Send(Segment(sequence, ack, size, syn)):
            line = f"{'syn' if syn else 'data' if size else 'ack'} {sequence}+{size} ack {ack}"
        case SetTimer(timer, after_ns):
            line = f"timer {timer} {after_ns / MS:g}"
        case StopTimer(timer):
            line = f"stop {timer}"
        case Begin(what):
            line = f"begin {what}"
        case End(what, how):
            line = f"end {what} {how}"
        case Answered(what, number, after_ns):
            line = f"answered {what} {number} after {after_ns / MS:g}"
        case Again(what, timeout):
            line = f"again {what}{' timeout' if timeout else ''}"
    return line
