"""Registrations and calls through the whole server, in virtual time."""

from __future__ import annotations

import asyncio

from remusnet.sip.message import Request, Response
from remusnet.sip.message.build import respond
from tests.lib.sip_bench import request
from tests.lib.sip_whole import ALICE, BOB, WholeBench, opened, virtual


@virtual
async def test_a_registration_is_confirmed_with_its_bindings() -> None:
    bench = await opened(WholeBench())
    response = await bench.register("bob", BOB, expires="600")
    assert response.status == 200
    assert response.values("contact") == [b"<sip:bob@192.0.2.2:5070>;expires=600"]


@virtual
async def test_a_call_goes_through() -> None:
    bench = await opened(WholeBench())
    await bench.register("bob", BOB)
    await call(bench)


async def call(bench: WholeBench) -> None:
    """INVITE, 180, 200, ACK, BYE from the caller; each message is looked at."""
    invite = request("INVITE", "sip:bob@example.org", ALICE)
    await bench.receive(invite, ALICE)
    trying, forwarded = bench.sent()
    assert isinstance(trying, Response)
    assert trying.status == 100
    assert isinstance(forwarded, Request)
    assert forwarded.uri == b"sip:bob@192.0.2.2:5070"
    assert forwarded.get("max-forwards") == b"69"
    assert len(forwarded.values("via")) == 2
    for status in (180, 200):
        answer = respond(forwarded, status, tag="bob", contact=b"<sip:bob@192.0.2.2:5070>")
        for value in forwarded.lines("record-route"):
            answer.add("Record-Route", value)
        await bench.receive(answer, BOB)
        [back] = bench.sent()
        assert isinstance(back, Response)
        assert back.status == status
        assert len(back.values("via")) == 1
    assert bench.held.calls.established == 1
    routes = back.values("record-route")[0].decode()
    fields = {
        "to": (back.get("to") or b"").decode(),
        "from": (invite.get("from") or b"").decode(),
        "call_id": invite.call_id.decode(),
        "route": routes,
    }
    number = invite.cseq[0]
    ack = request("ACK", "sip:bob@192.0.2.2:5070", ALICE, cseq=f"{number} ACK", **fields)
    await bench.receive(ack, ALICE)
    [acked] = bench.sent()
    assert isinstance(acked, Request)
    assert (acked.method, acked.values("route")) == (b"ACK", [])
    bye = request("BYE", "sip:bob@192.0.2.2:5070", ALICE, cseq=f"{number + 1} BYE", **fields)
    await bench.receive(bye, ALICE)
    [ended] = bench.sent()
    assert isinstance(ended, Request)
    assert ended.method == b"BYE"
    await bench.receive(respond(ended, 200), BOB)
    assert bench.statuses() == [200]
    assert bench.held.calls.established == 0
    await asyncio.sleep(70)
    assert len(bench.wiring.table) == 0
    assert bench.held.calls.calls == {}
    assert list(bench.system.find("proxy").children) == []
