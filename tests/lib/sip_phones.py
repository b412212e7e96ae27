"""Phones around a whole server in virtual time. They repeat what gets no answer, as RFC 3261 says.

What is lost is what a phone's user would call so: a call that doesn't come up, can't be changed or
ended, a registration that is refused or forgotten. `play` runs them all once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from typing import Any

from remusnet.actors import Cell, Change
from remusnet.actors.virtual import run
from remusnet.sip.flows import Flow, Target, Transport
from remusnet.sip.message import Framer, Request, Response
from remusnet.sip.message.build import ack, cancel, respond, tag_of
from remusnet.sip.message.via import top
from remusnet.sip.presets import Preset
from remusnet.sip.signals import Bytes
from remusnet.sip.transport.sockets import Listener, OnUnsent
from tests.lib.sip_bench import FakeSockets, phone, request
from tests.lib.sip_whole import WholeBench, opened

T1 = 0.5
T2 = 4.0
_HOP = 0.001  # s from a phone to the server, and back
_NEVER = float("inf")
_connections = count(1_000_000)


class Lost(Exception):
    """What a user would complain about."""


class Network(FakeSockets):
    """Brings what the server sends to the phones."""

    def __init__(self) -> None:
        super().__init__()
        self.phones: list[Phone] = []
        self._open = set[int]()

    def connected(self, flow: Flow) -> Flow:
        """A connection for ``flow``, where it needs one and has none."""
        if flow.transport is Transport.UDP or flow.connection in self._open:
            return flow
        new = replace(flow, connection=next(_connections))
        self._open.add(new.connection)
        self.flows[new.transport, new.remote] = new
        return new

    async def open(self, listeners: list[Listener]) -> None:
        self.bound = list(listeners)

    def close(self) -> None:
        """Streams end with their listener (under `thesis`)."""
        self.bound = []
        self._open.clear()
        self.flows.clear()
        self.framers.clear()

    def framer(self, flow: Flow) -> Framer | None:
        return super().framer(flow) if flow.connection in self._open else None

    def send(self, data: bytes, target: Target, on_unsent: OnUnsent | None = None) -> None:
        super().send(data, target, on_unsent)
        message = self.log.pop().message
        for each in self.phones:
            if each.flow.remote == target.remote:
                asyncio.get_running_loop().call_later(_HOP, each.heard, message)


@dataclass(slots=True)
class Phone:
    """One phone. ``acked``: the dialogs and numbers of the INVITEs that it has an ACK for."""

    bench: WholeBench
    network: Network
    name: str
    flow: Flow
    acked: set[tuple[bytes, int]] = field(default_factory=set)
    cancelled: set[bytes] = field(default_factory=set)
    ringing: set[bytes] = field(default_factory=set)
    _asked: dict[tuple[bytes, bytes], asyncio.Queue[Response]] = field(default_factory=dict)
    _acks: dict[tuple[bytes, int], Request] = field(default_factory=dict)
    _answers: dict[tuple[bytes, bytes], Response] = field(default_factory=dict)
    _invites: dict[bytes, Request] = field(default_factory=dict)
    _invited: dict[tuple[bytes, bytes], Request] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def contact(self) -> str:
        """Where it is."""
        kind = "" if self.flow.transport is Transport.UDP else ";transport=tcp"
        return f"<sip:{self.name}@{self.flow.remote}{kind}>"

    def send(self, message: Request | Response) -> None:
        """To the server, which it reaches a hop later."""
        data = message.serialize()

        def arrive() -> None:
            self.flow = self.network.connected(self.flow)
            if self.bench.wiring.receiver is not None and self.network.bound:
                self.bench.wiring.receiver.tell(Bytes(data, self.flow))

        asyncio.get_running_loop().call_later(_HOP, arrive)

    def request(self, method: str, uri: str, **headers: str) -> Request:
        """A request of its own, in no dialog."""
        sender = f"<sip:{self.name}@example.org>;tag={self.name}"
        fields = {"from": sender, "contact": self.contact, **headers}
        return request(method, uri, self.flow, **fields)

    async def ask(self, asked: Request) -> Response:
        """Its final response. Raises Lost where none comes in 64*T1 (17.1)."""
        loop = asyncio.get_running_loop()
        key = (top(asked).branch, asked.method)
        queue = self._asked[key] = asyncio.Queue[Response]()
        invite = asked.method == b"INVITE"
        if invite:
            self._invited[key] = asked
        self.send(asked)
        interval, deadline = T1, loop.time() + 64 * T1
        again = loop.time() + interval if self.flow.transport is Transport.UDP else _NEVER
        while True:
            try:
                async with asyncio.timeout_at(min(again, deadline)):
                    response = await queue.get()
            except TimeoutError:
                if loop.time() >= deadline:
                    raise Lost(f"{asked.method.decode()}: no answer") from None
                self.send(asked)
                interval = 2 * interval if invite else min(2 * interval, T2)
                again = loop.time() + interval
                continue
            if response.status >= 200:
                return response
            if invite:
                again = _NEVER
            if response.status == 180:
                self.ringing.add(asked.call_id)

    async def want(self, asked: Request, status: int) -> Response:
        """Its response, which must have ``status``. Raises Lost."""
        response = await self.ask(asked)
        if response.status != status:
            raise Lost(f"{asked.method.decode()}: {response.status} instead of {status}")
        return response

    def acknowledge(self, invite: Request, response: Response) -> None:
        """ACK a 2xx, now and each time that it comes again."""
        made = self.within(invite, response, "ACK", invite.cseq[0])
        self._acks[invite.call_id, invite.cseq[0]] = made
        self.send(made)

    def within(self, invite: Request, response: Response, method: str, number: int) -> Request:
        """A request in the dialog that ``response`` to its ``invite`` made."""
        routes = response.values("record-route")[::-1] or invite.values("route")
        return self.request(
            method,
            response.values("contact")[0].decode().strip("<>"),
            to=(response.get("to") or b"").decode(),
            call_id=invite.call_id.decode(),
            cseq=f"{number} {method}",
            route=", ".join(route.decode() for route in routes),
        )

    def back(self, call_id: bytes, method: str, number: int) -> Request:
        """A request in the dialog that an INVITE to this phone made."""
        invite = self._invites[call_id]
        routes = invite.values("record-route")
        return self.request(
            method,
            invite.values("contact")[0].decode().strip("<>"),
            to=(invite.get("from") or b"").decode(),
            call_id=call_id.decode(),
            cseq=f"{number} {method}",
            route=", ".join(route.decode() for route in routes),
        )

    def heard(self, message: Request | Response) -> None:
        """Something has come from the server."""
        if isinstance(message, Request):
            self._called(message)
            return
        key = (top(message).branch, message.cseq[1])
        if key in self._invited and message.status >= 300:
            self.send(ack(self._invited[key], message))
        elif message.status >= 200 and (message.call_id, message.cseq[0]) in self._acks:
            self.send(self._acks[message.call_id, message.cseq[0]])
        if key in self._asked:
            self._asked[key].put_nowait(message)

    def _called(self, asked: Request) -> None:
        key = (top(asked).branch, asked.method)
        if asked.method == b"ACK":
            self.acked.add((asked.call_id, asked.cseq[0]))
        elif key in self._answers:
            self.send(self._answers[key])
        elif asked.method == b"CANCEL":
            self._answer(asked, 200)
            self.cancelled.add(asked.call_id)
            self._start(self._insist(self._invites[asked.call_id], 487))
        elif asked.method != b"INVITE":
            self._answer(asked, 200)
        elif tag_of(asked.get("to") or b""):
            self._start(self._insist(asked, 200))
        else:
            self._invites[asked.call_id] = asked
            self._answer(asked, 180)
            if not asked.has("subject"):
                self._start(self._insist(asked, 200, after=0.1))

    def _answer(self, asked: Request, status: int) -> None:
        response = respond(asked, status, tag=self.name)
        for value in asked.lines("record-route"):
            response.add("Record-Route", value)
        response.add("Contact", self.contact.encode())
        self._answers[top(asked).branch, asked.method] = response
        self.send(response)

    async def _insist(self, invite: Request, status: int, after: float = 0.0) -> None:
        """A final response to an INVITE is repeated until its ACK comes (13.3.1.4, 17.2.1)."""
        await asyncio.sleep(after)
        interval = T1
        while (invite.call_id, invite.cseq[0]) not in self.acked and interval < 64 * T1:
            self._answer(invite, status)
            await asyncio.sleep(interval)
            interval *= 2

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _until(holds: Callable[[], bool], what: str) -> None:
    for _ in range(round(64 * T1 / _HOP)):
        if holds():
            return
        await asyncio.sleep(_HOP if not holds() else 0)
    raise Lost(what)


async def register(who: Phone, **headers: str) -> list[bytes]:
    """Register; the bindings that were confirmed. Raises Lost."""
    to = f"<sip:{who.name}@example.org>"
    fields = {"to": to, "expires": "600", **headers}
    asked = who.request("REGISTER", "sip:example.org", **fields)
    bindings = (await who.want(asked, 200)).values("contact")
    if not any(who.contact.encode() in binding for binding in bindings):
        raise Lost("REGISTER: the binding is missing")
    return bindings


async def call(caller: Phone, callee: Phone, done: Callable[[str], None]) -> None:
    """INVITE, ACK, a re-INVITE from the callee and its ACK, BYE. Raises Lost."""
    invite = caller.request("INVITE", f"sip:{callee.name}@example.org")
    name, number = invite.call_id, invite.cseq[0]
    response = await caller.want(invite, 200)
    done("answered")
    caller.acknowledge(invite, response)
    await _until(lambda: (name, number) in callee.acked, "ACK")
    done("up")
    await asyncio.sleep(1)
    again = callee.back(name, "INVITE", number + 1)
    response_again = await callee.want(again, 200)
    callee.acknowledge(again, response_again)
    await _until(lambda: (name, number + 1) in caller.acked, "ACK of the re-INVITE")
    done("changed")
    await asyncio.sleep(1)
    await caller.want(caller.within(invite, response, "BYE", number + 2), 200)
    done("ended")


async def cancelled(caller: Phone, callee: Phone, done: Callable[[str], None]) -> None:
    """INVITE, 180, CANCEL, 487. Raises Lost."""
    invite = caller.request("INVITE", f"sip:{callee.name}@example.org", subject="ring on")
    answer = asyncio.ensure_future(caller.want(invite, 487))
    try:
        await _until(lambda: invite.call_id in caller.ringing or answer.done(), "no 180")
        done("rings")
        await asyncio.sleep(0.5)
        await caller.want(cancel(invite), 200)
        await answer
    finally:
        answer.cancel()
    if invite.call_id not in callee.cancelled:
        raise Lost("the callee still rings")
    done("cancelled")


@dataclass(slots=True)
class Outcome:
    """What one run came to. ``times``: when each step was done (s). ``lost``: by name, and why."""

    times: dict[tuple[str, str], float] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)
    struck: str = ""  # the message that was hit
    escalations: int = 0
    failures: int = 0
    ended: bool = False  # the system
    left: int = 0  # transactions, and calls that are not up, that the server holds at the end
    up: int = 0  # calls that nobody has ended

    @property
    def calls_lost(self) -> int:
        return sum(name.startswith("call") for name in self.lost)

    @property
    def bindings_lost(self) -> int:
        return sum(name.startswith("binding") for name in self.lost)

    def delay(self, healthy: Outcome) -> float:
        """The longest that a step came later than in a run without a fault, s."""
        return max(
            (time - healthy.times[step] for step, time in self.times.items()),
            default=0.0,
        )


Strike = Callable[[Cell, object], None]


def play(preset: Preset, transport: Transport, strike: Callable[[WholeBench], Strike]) -> Outcome:
    """Two registrations, a call and a cancelled call; ``strike`` sees each message before it is
    handled, and may raise."""
    return run(_play(preset, transport, strike))


async def _play(
    preset: Preset, transport: Transport, strike: Callable[[WholeBench], Strike]
) -> Outcome:
    bench = await opened(WholeBench(preset=preset))
    network = Network()
    bench.wiring.sockets = network  # type: ignore[assignment]  # the same methods, no network
    bench.system.before = strike(bench)
    outcome = Outcome()
    loop = asyncio.get_running_loop()

    def made(name: str, number: int) -> Phone:
        flow = phone(f"192.0.2.{number}", 5070, transport)
        network.phones.append(Phone(bench, network, name, flow))
        return network.phones[-1]

    alice, bob, carol, dave = map(made, ("alice", "bob", "carol", "dave"), (1, 2, 3, 4))

    async def watched(name: str, work: Callable[[Callable[[str], None]], Any]) -> None:
        def done(step: str) -> None:
            outcome.times[name, step] = loop.time()

        try:
            await work(done)
        except Lost as error:
            outcome.lost[name] = str(error)

    async def confirmed(who: Phone, done: Callable[[str], None]) -> None:
        await register(who)
        done("confirmed")

    async def there(who: Phone, done: Callable[[str], None]) -> None:
        await register(who, contact="", expires="")
        done("there")

    async with asyncio.TaskGroup() as group:
        for who in (bob, dave):
            group.create_task(watched(f"binding of {who.name}", partial(confirmed, who)))
    async with asyncio.TaskGroup() as group:
        group.create_task(watched("call", partial(call, alice, bob)))
        group.create_task(watched("call cancelled", partial(cancelled, carol, dave)))
    # Until all transactions are over, and all but the bindings is forgotten.
    await asyncio.sleep(100 * T1)
    for who in (bob, dave):
        await watched(f"binding of {who.name}, later", partial(there, who))
    await asyncio.sleep(600 * T1)  # longer than Timer C and all that follows it
    outcome.escalations = sum(each.change is Change.ESCALATED for each in bench.events)
    outcome.failures = sum(each.change is Change.FAILED for each in bench.events)
    outcome.ended = bench.system.failure is not None
    calls = bench.held.calls
    outcome.up = calls.established
    outcome.left = len(bench.wiring.table) + len(calls.calls) - calls.established
    return outcome
