"""A SIP server without a network: what is sent to it, what it sends, in virtual time.

async def scenario() -> None:
    bench = SipBench(cores)                      # under `resilient`
    await bench.receive(request("OPTIONS", ...), phone("192.0.2.1"))
    [response] = bench.sent()
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from remusnet.actors import DeadLetter, Event, System
from remusnet.sip.flows import Endpoint, Flow, Target, Transport
from remusnet.sip.message import Framer, Malformed, Message, Request, Response, parse
from remusnet.sip.presets import RESILIENT, Preset
from remusnet.sip.signals import Bytes
from remusnet.sip.timers import Timers
from remusnet.sip.transport.sockets import Listener, OnUnsent
from remusnet.sip.transport.table import Table
from remusnet.sip.tree import Cores, specs
from remusnet.sip.wiring import Wiring

SERVER = Endpoint("192.0.2.100", 5060)
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Sent:
    """What the server sent, where to, and when (s of virtual time)."""

    message: Request | Response
    target: Target
    time: float


@dataclass(slots=True)
class FakeSockets:
    """Stands where `Sockets` stands; keeps what is sent. ``unreachable``: who can't be sent to."""

    bound: list[Listener] = field(
        default_factory=lambda: [
            Listener(transport, Endpoint(SERVER.host, transport.port)) for transport in Transport
        ]
    )
    log: list[Sent] = field(default_factory=list)
    raw: list[tuple[bytes, Target]] = field(default_factory=list)
    unreachable: set[Endpoint] = field(default_factory=set)
    framers: dict[int, Framer] = field(default_factory=dict)
    ended: list[Flow] = field(default_factory=list)
    flows: dict[tuple[Transport, Endpoint], Flow] = field(default_factory=dict)

    async def open(self, listeners: list[Listener]) -> None:
        """Bound already."""

    def close(self) -> None:
        """Nothing to close."""

    def framer(self, flow: Flow) -> Framer | None:
        return self.framers.setdefault(flow.connection, Framer()) if flow.connection else None

    def flow_to(self, transport: Transport, remote: Endpoint) -> Flow | None:
        return self.flows.get((transport, remote))

    def end(self, flow: Flow) -> None:
        self.ended.append(flow)

    def send(self, data: bytes, target: Target, on_unsent: OnUnsent | None = None) -> None:
        if target.remote in self.unreachable:
            if on_unsent is not None:
                on_unsent("no route to host")
            return
        self.raw.append((data, target))
        if data.strip():
            now = asyncio.get_running_loop().time()
            self.log.append(Sent(_read(data, target), target, now))


def _read(data: bytes, target: Target) -> Request | Response:
    try:
        return parse(data, stream=target.transport.reliable)
    except Malformed as error:
        # The answer to a request that lacks a header lacks it too.
        if not isinstance(error.message, Response):
            raise
        return error.message


class SipBench:
    """A whole tree above `FakeSockets`."""

    def __init__(
        self,
        cores: Callable[[Wiring], Cores],
        *,
        preset: Preset = RESILIENT,
        domains: tuple[str, ...] = ("example.org",),
    ) -> None:
        self.sockets = FakeSockets()
        self.events: list[Event] = []
        self.dead: list[DeadLetter] = []
        self.system = System(
            on_event=self.events.append, on_dead_letter=self.dead.append, strategy=preset.top
        )
        self.wiring = Wiring(
            timers=Timers(),
            domains=domains,
            sockets=self.sockets,  # type: ignore[arg-type]  # the same methods, no network
            table=Table(),
        )
        for spec in specs(self.wiring, cores(self.wiring), preset, self.sockets.bound):
            self.system.declare(spec)

    async def receive(self, message: Message | bytes, flow: Flow) -> None:
        """Let the server receive it, and do all that it does about it at once."""
        data = message if isinstance(message, bytes) else message.serialize()
        receiver = self.wiring.receiver
        assert receiver is not None
        receiver.tell(Bytes(data, flow))
        await self.settle()

    async def settle(self) -> None:
        """Let all that is ready happen."""
        for _ in range(50):
            await asyncio.sleep(0)

    def sent(self) -> list[Request | Response]:
        """What was sent since the last call."""
        messages = [sent.message for sent in self.sockets.log]
        del self.sockets.log[:]
        return messages

    def statuses(self) -> list[int]:
        """The statuses of the responses that were sent since the last call."""
        return [message.status for message in self.sent() if isinstance(message, Response)]


def phone(host: str = "192.0.2.1", port: int = 5060, transport: Transport = Transport.UDP) -> Flow:
    """The way from a phone to the server; each stream is a connection of its own."""
    connection = 0 if transport is Transport.UDP else next(_numbers)
    local = Endpoint(SERVER.host, transport.port)
    return Flow(transport, local, Endpoint(host, port), connection)


def request(method: str, uri: str, flow: Flow, **headers: str) -> Request:
    """A request that is well formed; ``headers`` (``max_forwards="70"``) take others' places."""
    number = next(_numbers)
    fields = {
        "via": f"SIP/2.0/{flow.transport.name} {flow.remote};branch=z9hG4bK{number}",
        "max_forwards": "70",
        "from": f"<sip:alice@example.org>;tag=a{number}",
        "to": f"<{uri}>",
        "call_id": f"call{number}@{flow.remote.host}",
        "cseq": f"{number} {method}",
        "contact": f"<sip:alice@{flow.remote}>",
        "content_length": "0",
        **headers,
    }
    made = Request(method.encode(), uri.encode(), [])
    for name, value in fields.items():
        if value:
            made.add(name.replace("_", "-").title(), value.encode())
    return made
