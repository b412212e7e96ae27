"""The whole SIP server above `FakeSockets`, with a store in memory, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

from remusnet.actors import DeadLetter
from remusnet.actors.virtual import run
from remusnet.sip.flows import Flow
from remusnet.sip.message import Request, Response
from remusnet.sip.message.build import respond
from remusnet.sip.mourning import mourn
from remusnet.sip.presets import RESILIENT, Preset
from remusnet.sip.server import Holdings, cores, holdings
from remusnet.sip.settings import Settings
from remusnet.sip.tree import Cores
from remusnet.sip.wiring import Wiring
from tests.lib.sip_bench import SipBench, phone, request
from tests.lib.sip_store import MemoryStore

ALICE = phone("192.0.2.1")
BOB = phone("192.0.2.2", 5070)
OPEN = Settings(authenticate=False, min_expires=1)


class WholeBench(SipBench):
    """All of the server, with a store in memory."""

    def __init__(self, settings: Settings = OPEN, preset: Preset = RESILIENT) -> None:
        self.store = MemoryStore()
        self.held: Holdings

        def make(wiring: Wiring) -> Cores:
            self.held = holdings(settings, self.store, asyncio.get_running_loop().time)
            self.held.locations.opened = True
            wiring.via_maddr = settings.via_maddr
            return cores(wiring, self.held, preset)

        super().__init__(make, preset=preset)
        self.system.on_dead_letter = self._buried

    def _buried(self, letter: DeadLetter) -> None:
        self.dead.append(letter)
        mourn(letter, self.wiring, self.held.registrations, self.held.calls)

    async def settle(self) -> None:
        """Also let the store's thread do its work."""
        for _ in range(3):
            await super().settle()
            while self.held.locations.working is not None or self.held.registrations.tasks:
                await asyncio.sleep(0)
            await super().settle()

    async def register(self, name: str, flow: Flow, **headers: str) -> Response:
        contact = f"<sip:{name}@{flow.remote}>"
        fields = {"contact": contact, "to": f"<sip:{name}@example.org>", **headers}
        await self.receive(request("REGISTER", "sip:example.org", flow, **fields), flow)
        [response] = self.sent()
        assert isinstance(response, Response)
        return response


def virtual(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in a virtual loop."""

    @wraps(test)
    def in_virtual_time(*args: object, **kwargs: object) -> None:
        run(test(*args, **kwargs))

    return in_virtual_time


async def opened(bench: WholeBench) -> WholeBench:
    await bench.store.open()
    return bench


async def invited(
    bench: WholeBench, caller: Flow = ALICE, **headers: str
) -> tuple[Request, list[Request]]:
    """An INVITE to bob, and the requests that the server made of it (100 Trying is taken away)."""
    invite = request("INVITE", "sip:bob@example.org", caller, **headers)
    await bench.receive(invite, caller)
    sent = bench.sent()
    return invite, [each for each in sent if isinstance(each, Request)]


async def answered(
    bench: WholeBench, forwarded: Request, status: int, flow: Flow = BOB, **headers: str
) -> list[Request | Response]:
    """What the server sends when ``flow`` answers ``forwarded``."""
    response = respond(forwarded, status, tag=f"t{flow.remote.port}")
    for value in forwarded.lines("record-route"):
        response.add("Record-Route", value)
    for name, text in headers.items():
        response.add(name.replace("_", "-").title(), text.encode())
    await bench.receive(response, flow)
    return bench.sent()
