"""A forked call whose messages cross each other in any order, late, twice, or not at all."""

from __future__ import annotations

import asyncio
import random

from remusnet.actors import Change
from remusnet.actors.virtual import run
from remusnet.sip.flows import Flow
from remusnet.sip.message import Request, Response
from remusnet.sip.message.build import ack, respond, tag_of
from tests.lib.long import count
from tests.lib.long import seed as chosen
from tests.lib.sip_bench import request
from tests.lib.sip_bob import CAROL, both, cancelling, with_bob
from tests.lib.sip_whole import ALICE, BOB, WholeBench

PLACES = {flow.remote: flow for flow in (BOB, CAROL)}
STATUSES = (100, 180, 183, 200, 200, 302, 401, 404, 486, 487, 503, 603)


class Race:
    """Alice calls Bob, who has two phones; each of them says what it likes, when it likes."""

    def __init__(self, bench: WholeBench, random_: random.Random) -> None:
        self.bench = bench
        self.random = random_
        self.invite = request("INVITE", "sip:bob@example.org", ALICE)
        self.forwarded: dict[bytes, tuple[Request, Flow]] = {}
        self.finals: list[int] = []
        self.cancels: list[int] = []
        self.accepted: dict[bytes, Response] = {}
        self.early: dict[bytes, Response] = {}
        self.cancelled = False
        self.number = self.invite.cseq[0]

    async def step(self) -> None:
        """Something happens."""
        kind = self.random.choice(("answer",) * 5 + ("cancel", "again", "prack", "bye", "wait"))
        if kind == "answer" and self.forwarded:
            branch = self.random.choice(list(self.forwarded))
            asked, flow = self.forwarded[branch]
            status = self.random.choice(STATUSES)
            response = respond(asked, status, tag=f"t{flow.remote.port}")
            response.add("Contact", f"<sip:bob@{flow.remote}>".encode())
            for value in asked.lines("record-route"):
                response.add("Record-Route", value)
            await self.tell(response, flow)
        elif kind == "cancel":
            self.cancelled = True
            await self.tell(cancelling(self.invite), ALICE)
        elif kind == "again" and not self.finals:
            await self.tell(self.invite, ALICE)
        elif kind == "prack" and self.early:
            await self.within(self.random.choice(list(self.early.values())), "PRACK")
        elif kind == "bye" and self.accepted:
            await self.within(self.random.choice(list(self.accepted.values())), "BYE")
        elif kind == "wait":
            await asyncio.sleep(self.random.choice((0.01, 0.6, 5, 33)))
            await self.look()

    async def within(self, response: Response, method: str) -> None:
        """A request in the dialog that ``response`` has made, of the caller's."""
        self.number += 1
        contact = response.values("contact")[0].decode().strip("<>")
        fields = {
            "to": (response.get("to") or b"").decode(),
            "from": (self.invite.get("from") or b"").decode(),
            "call_id": self.invite.call_id.decode(),
            "cseq": f"{self.number} {method}",
            "route": ", ".join(value.decode() for value in response.values("record-route")),
        }
        await self.tell(request(method, contact, ALICE, **fields), ALICE)

    async def tell(self, message: Request | Response, flow: Flow) -> None:
        await self.bench.receive(message, flow)
        await self.look()

    async def look(self) -> None:
        """Take what the server has sent, and do what must be done at once."""
        await self.bench.settle()
        log, self.bench.sockets.log[:] = list(self.bench.sockets.log), []
        for sent in log:
            message, place = sent.message, sent.target.remote
            if isinstance(message, Response):
                assert place == ALICE.remote
                await self.heard(message)
                continue
            assert place in PLACES, f"{message!r} goes to {place}"
            flow = PLACES[place]
            if message.method == b"INVITE":
                self.forwarded[message.values("via")[0]] = message, flow
            elif message.method != b"ACK" and self.random.random() < 0.8:
                await self.tell(respond(message, 200), flow)

    async def heard(self, response: Response) -> None:
        """What the caller does about a response."""
        method = response.cseq[1]
        if method == b"CANCEL":
            self.cancels.append(response.status)
        elif method == b"INVITE":
            tag = tag_of(response.get("to") or b"") or b""
            if response.status >= 200:
                # Over UDP a failure is repeated until its ACK comes: the first one counts.
                if response.status < 300 or response.status not in self.finals:
                    self.finals.append(response.status)
                if response.status >= 300:
                    await self.tell(ack(self.invite, response), ALICE)
                else:
                    self.accepted[tag] = response
            elif response.status > 100:
                self.early[tag] = response


async def race(seed: int) -> None:
    bench = await both(await with_bob())
    found = Race(bench, random.Random(seed))
    await found.tell(found.invite, ALICE)
    for _ in range(found.random.randrange(2, 14)):
        await found.step()
    await asyncio.sleep(400)
    await found.look()
    await asyncio.sleep(100)
    await found.look()
    assert [each for each in bench.events if each.change is Change.FAILED] == []
    # What comes for a call that is over is no loss.
    assert [each for each in bench.dead if each.reason != "the actor has stopped"] == []
    assert found.finals, "a caller is told how it ended"
    failures = [status for status in found.finals if status >= 300]
    assert len(failures) <= 1
    assert not failures or len(found.finals) == 1, "a call that failed is not accepted, or again"
    assert set(found.cancels) <= {200, 481}
    assert bool(found.cancels) == found.cancelled
    if not found.accepted:
        assert bench.held.calls.calls == {}
    assert len(bench.wiring.table) == 0


def test_whatever_crosses_what_a_call_ends_once_and_leaves_nothing() -> None:
    first = chosen()
    for seed in range(first, first + count(sample=60, long=3_000)):
        try:
            run(race(seed))
        except BaseException as error:
            error.add_note(f"REMUSNET_SEED={seed}")
            raise
