"""Calls that this process did not set up: their dialogs go on (RFC 3261, 16.12 and 16.6)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import pytest

from remusnet.sip.flows import Flow
from remusnet.sip.message import Message, Request, Response
from remusnet.sip.message.build import respond
from remusnet.sip.settings import Settings
from tests.lib.sip_bench import phone, request
from tests.lib.sip_bob import ROUTED, asked, requests, statuses
from tests.lib.sip_whole import ALICE, BOB, OPEN, WholeBench, opened, virtual

STRANGER = phone("198.51.100.7")
ASKING = Settings(min_expires=1)


@dataclass
class Side:
    """One end of a dialog: what it says of itself and of the other."""

    flow: Flow
    me: str
    other: str
    remote: str  # the other's Contact
    call_id: str
    number: int = 10
    leg: int = 1

    def within(self, method: str, **headers: str) -> Request:
        self.number += method != "ACK"
        fields = {
            "from": self.me,
            "to": self.other,
            "call_id": self.call_id,
            "cseq": f"{self.number} {method}",
            "contact": f"<sip:x@{self.flow.remote}>",
            "route": f"<sip:192.0.2.100;lr;leg={self.leg}>" if self.leg else "",
            **headers,
        }
        return request(method, self.remote, self.flow, **fields)


def dialog(
    caller: Flow = ALICE, name: str = "alice@example.org", leg: int = 1
) -> tuple[Side, Side]:
    """The caller's and bob's side of a call that a process before this one has set up."""
    one, two = f"<sip:{name}>;tag=one", "<sip:bob@example.org>;tag=two"
    from_caller = Side(caller, one, two, f"sip:bob@{BOB.remote}", "lost@call", leg=leg)
    to_caller = f"sip:{name.partition('@')[0]}@{caller.remote}"
    return from_caller, Side(BOB, two, one, to_caller, "lost@call", leg=leg)


async def server(settings: Settings = OPEN) -> WholeBench:
    """It knows where alice and bob are, and of no call."""
    before = await opened(WholeBench(replace(settings, authenticate=False)))
    await before.register("alice", ALICE)
    await before.register("bob", BOB)
    bench = WholeBench(settings)
    bench.store = bench.held.locations.store = before.store
    return bench


async def passed(bench: WholeBench, made: Request, sender: Flow) -> tuple[Request, object]:
    """The request that the server makes of it, and where that goes."""
    await bench.receive(made, sender)
    found = [each for each in bench.sockets.log if isinstance(each.message, Request)]
    answers = statuses([each.message for each in bench.sockets.log])
    bench.sockets.log.clear()
    assert len(found) == 1, answers
    assert isinstance(found[0].message, Request)
    return found[0].message, found[0].target.remote


async def done(bench: WholeBench, made: Request, sender: Flow, status: int = 200) -> None:
    """It reaches the other side, whose answer comes back."""
    there = BOB if sender is not BOB else ALICE
    forwarded, remote = await passed(bench, made, sender)
    assert remote == there.remote
    assert forwarded.values("route") == []
    if made.method != b"ACK":
        response = respond(forwarded, status, contact=f"<sip:x@{there.remote}>".encode())
        assert statuses(await asked(bench, response, there)) == [status]


@pytest.mark.parametrize("leg", [0, 1, 3])
@pytest.mark.parametrize(
    "steps",
    [
        "caller INFO, caller INFO, callee INFO, caller UPDATE, callee BYE",
        "caller INVITE, caller ACK, callee INFO, callee INVITE, callee ACK, callee BYE",
        "callee INVITE, callee ACK, caller INFO, caller INVITE, caller ACK, caller BYE",
        "caller ACK, callee BYE",
        "callee UPDATE, caller INVITE 488, caller INFO, callee INFO, caller BYE",
        "caller BYE 408, caller BYE",
    ],
)
@virtual
async def test_each_request_of_a_lost_call_reaches_the_other_side(steps: str, leg: int) -> None:
    """Not the first one alone."""
    bench = await server()
    caller, callee = dialog(leg=leg)
    for step in steps.split(", "):
        who, method, *status = step.split()
        side = caller if who == "caller" else callee
        await done(bench, side.within(method), side.flow, *map(int, status))
    await asyncio.sleep(70)
    assert bench.held.calls.calls == {}


@pytest.mark.parametrize("leg", [0, 2])
@virtual
async def test_requests_of_a_lost_call_pass_while_another_is_pending(leg: int) -> None:
    """The first made a leg that knew its sender alone: what came next got 481."""
    bench = await server()
    caller, callee = dialog(leg=leg)
    await passed(bench, caller.within("INVITE"), ALICE)
    await passed(bench, caller.within("INFO"), ALICE)
    await passed(bench, callee.within("INFO"), BOB)
    await passed(bench, callee.within("BYE"), BOB)
    await passed(bench, caller.within("BYE"), ALICE)


@virtual
async def test_a_lost_spiral_goes_both_ways_each_time() -> None:
    """Its two ways through this server have the same tags: the number in the Route tells them."""
    bench = await server(ROUTED)
    caller, callee = dialog(leg=1)
    hop = phone("192.0.2.50")
    through = "<sip:192.0.2.100;lr;leg={}>, <sip:next.example;lr>, <sip:192.0.2.100;lr;leg={}>"
    for _ in range(2):
        for side, there, legs in ((caller, BOB, (1, 2)), (callee, ALICE, (2, 1))):
            made = side.within("INVITE", route=through.format(*legs))
            out, remote = await passed(bench, made, side.flow)
            assert remote == hop.remote
            again = out.copy()
            again.pop("route")
            branch = f"z9hG4bK{side.number}x{legs[0]}"
            again.push("Via", f"SIP/2.0/UDP {hop.remote};branch={branch}".encode())
            last, remote = await passed(bench, again, hop)
            assert remote == there.remote
            contact = f"<sip:x@{there.remote}>".encode()
            [back] = await asked(bench, respond(last, 200, contact=contact), there)
            assert isinstance(back, Response)
            back.pop("via")
            assert statuses(await asked(bench, back, hop)) == [200]


@virtual
async def test_a_contact_of_a_lost_call_is_reached_where_it_registered_from() -> None:
    """Its phone is behind NAT: what its Contact says leads nowhere."""
    bench = await server()
    home = "<sip:bob@10.0.0.7>"
    fields = {"to": "<sip:bob@example.org>", "contact": home}
    bench.sockets.log.clear()
    await bench.receive(request("REGISTER", "sip:example.org", BOB, **fields), BOB)
    bench.sockets.log.clear()
    caller, _ = dialog()
    caller.remote = "sip:bob@10.0.0.7"
    _, remote = await passed(bench, caller.within("BYE"), ALICE)
    assert remote == BOB.remote


@virtual
async def test_of_a_lost_call_a_stranger_reaches_the_contact_of_the_user_that_it_was_with() -> None:
    bench = await server(ASKING)
    caller, _ = dialog(STRANGER, "eve@elsewhere.example")
    _, remote = await passed(bench, caller.within("ACK"), STRANGER)
    assert remote == BOB.remote
    _, remote = await passed(bench, caller.within("BYE"), STRANGER)
    assert remote == BOB.remote


@virtual
async def test_a_dialog_that_somebody_makes_up_leads_a_stranger_to_nobody_else() -> None:
    bench = await server(ASKING)
    caller, _ = dialog(STRANGER, "eve@elsewhere.example")
    for remote in ("sip:x@203.0.113.9", f"sip:bob@{BOB.remote.host}:9", f"sip:bob@{ALICE.remote}"):
        caller.remote = remote
        for leg in (0, 1, 7):
            caller.leg = leg
            for method, answers in (("ACK", []), ("BYE", [403]), ("INFO", [403])):
                sent: list[Message] = list(await asked(bench, caller.within(method), STRANGER))
                assert (requests(sent), statuses(sent)) == ([], answers)


@virtual
async def test_of_a_lost_call_own_users_are_asked_who_they_are() -> None:
    bench = await server(ASKING)
    caller, _ = dialog()
    assert statuses(await asked(bench, caller.within("BYE"), ALICE)) == [407]
    assert requests(await asked(bench, caller.within("ACK"), ALICE)) != [], "nobody can ask that"


@virtual
async def test_a_lost_call_ends_while_the_store_is_away_where_no_contact_is_needed() -> None:
    bench = await server()
    bench.held.locations.opened = False
    caller, _ = dialog()
    _, remote = await passed(bench, caller.within("BYE"), ALICE)
    assert remote == BOB.remote
