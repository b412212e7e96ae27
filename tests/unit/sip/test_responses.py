"""Rules of RFC 3261, 16.7 to 18, and its updates, that no other test is about: responses."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import ip_network

import pytest

from remusnet.sip.auth import take_credentials
from remusnet.sip.flows import Endpoint, Transport
from remusnet.sip.message import Request, Response
from remusnet.sip.message.build import respond
from remusnet.sip.proxy.context import Context
from remusnet.sip.proxy.ways import by_bindings
from tests.lib.sip_bench import phone, request
from tests.lib.sip_bob import (
    CAROL,
    asked,
    both,
    cancelling,
    finals,
    requests,
    statuses,
    with_bob,
)
from tests.lib.sip_whole import ALICE, BOB, OPEN, answered, invited, virtual

# 16.7: responses.


def without_another_via(forwarded: Request) -> Response:
    """A 200 to a request that this server has passed on, as if it were to one of its own."""
    made = respond(forwarded, 200, tag="b")
    made.headers = [each for each in made.headers if each.name != b"via"]
    made.push("Via", forwarded.values("via")[0])
    return made


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
@virtual
async def test_a_response_without_another_via_goes_no_further(method: str) -> None:
    """16.7, step 3. It ends nothing: the right one may follow."""
    bench = await with_bob()
    sent = await asked(bench, request(method, "sip:bob@example.org", ALICE))
    [forwarded] = requests(sent)
    assert await asked(bench, without_another_via(forwarded), BOB) == []
    assert bench.wiring.counts.malformed == 1
    assert statuses(await answered(bench, forwarded, 486)) == [486]


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
@virtual
async def test_who_answers_without_another_via_leaves_nothing_in_memory(method: str) -> None:
    """As a final response it ended the client transaction, and the call waited for ever."""
    bench = await with_bob()
    sent = await asked(bench, request(method, "sip:bob@example.org", ALICE))
    [forwarded] = requests(sent)
    await bench.receive(without_another_via(forwarded), BOB)
    await asyncio.sleep(600)
    assert len(bench.wiring.table) == 0
    assert bench.held.calls.calls == {}


@virtual
async def test_after_a_2xx_no_other_final_response_goes_back() -> None:
    """16.7, step 5."""
    bench = await both(await with_bob())
    _, [one, two] = await invited(bench)
    assert statuses(await answered(bench, one, 200)) == [200]
    assert statuses(await answered(bench, two, 486, CAROL)) == []


@virtual
async def test_of_a_forked_non_invite_one_2xx_goes_back() -> None:
    """16.7, step 5: its server transaction takes no other."""
    bench = await both(await with_bob())
    one, two = requests(await asked(bench, request("MESSAGE", "sip:bob@example.org", ALICE)))
    assert statuses(await answered(bench, one, 200)) == [200]
    assert statuses(await answered(bench, two, 200, CAROL)) == []


@pytest.mark.parametrize(
    ("first", "second", "best"),
    [
        (486, 302, 302),
        (486, 404, 486),
        (486, 401, 401),
        (503, 486, 486),
        (408, 486, 486),
        (500, 486, 486),
        (302, 603, 603),
        (503, 503, 500),
    ],
)
@virtual
async def test_the_best_response_is_a_6xx_or_of_the_lowest_class(
    first: int, second: int, best: int
) -> None:
    """16.7, step 6."""
    bench = await both(await with_bob())
    _, [one, two] = await invited(bench)
    sent = [*await answered(bench, one, first), *await answered(bench, two, second, CAROL)]
    assert finals(sent) == [best]


@virtual
async def test_a_response_goes_back_byte_for_byte_but_for_our_via() -> None:
    """16.7, steps 3 and 9."""
    bench = await with_bob()
    _, [forwarded] = await invited(bench)
    response = respond(forwarded, 183, tag="b", reason="As You  Like It")
    response.add("X-Odd", b"  a,\t b")
    response.body = b"v=0"
    response.set("Content-Length", b"3")
    await bench.receive(response, BOB)
    [back] = bench.sent()
    expected = response.serialize().split(b"\r\n")
    del expected[1]
    assert back.serialize().split(b"\r\n") == expected


@virtual
async def test_after_a_6xx_no_other_contact_is_tried() -> None:
    """16.7, step 5: no new branches."""
    bench = await with_bob(contact=f"<sip:bob@{BOB.remote}>;q=0.9")
    fields = {"to": "<sip:bob@example.org>", "contact": f"<sip:bob@{CAROL.remote}>;q=0.5"}
    await bench.receive(request("REGISTER", "sip:example.org", CAROL, **fields), CAROL)
    bench.sent()
    _, [first] = await invited(bench)
    sent = await answered(bench, first, 603)
    assert finals(sent) == [603]
    assert [each.method for each in requests(sent)] == [b"ACK"]


@virtual
async def test_an_ack_goes_where_its_invite_went() -> None:
    """17.1.1.3: the same address, port and transport."""
    bench = await with_bob()
    _, [forwarded] = await invited(bench)
    bench.sockets.log.clear()
    await bench.receive(respond(forwarded, 486, tag="b"), BOB)
    [ack] = [each for each in bench.sockets.log if isinstance(each.message, Request)]
    assert isinstance(ack.message, Request)
    assert ack.message.method == b"ACK"
    assert ack.target.remote == BOB.remote
    assert ack.message.values("via") == forwarded.values("via")[:1]


@virtual
async def test_a_place_that_can_not_be_reached_is_as_a_503() -> None:
    """16.9, with 16.7, step 6: 500."""
    bench = await with_bob()
    bench.sockets.unreachable.add(BOB.remote)
    sent = await asked(bench, request("INVITE", "sip:bob@example.org", ALICE))
    assert finals(sent) == [500]


@virtual
async def test_a_late_response_to_a_non_invite_goes_nowhere() -> None:
    """RFC 4320, 4.2: its server transaction has ended."""
    bench = await with_bob()
    [forwarded] = requests(await asked(bench, request("MESSAGE", "sip:bob@example.org", ALICE)))
    await asyncio.sleep(33)
    bench.sent()
    assert await answered(bench, forwarded, 200) == []


@virtual
async def test_a_2xx_of_an_invite_that_is_over_goes_nowhere() -> None:
    """RFC 6026, 8.9 and 7.3: a stray response is not forwarded."""
    bench = await with_bob()
    _, [forwarded] = await invited(bench)
    await answered(bench, forwarded, 486)
    await asyncio.sleep(40)
    bench.sent()
    stray = bench.wiring.counts.stray
    assert await answered(bench, forwarded, 200) == []
    assert bench.wiring.counts.stray == stray + 1


# 17: which transaction a message belongs to.


@virtual
async def test_a_response_belongs_to_the_request_of_its_branch_and_method() -> None:
    """17.1.3: the 200 to a CANCEL is none to its INVITE."""
    bench = await with_bob()
    invite, [forwarded] = await invited(bench)
    await answered(bench, forwarded, 180)
    [cancel] = requests(await asked(bench, cancelling(invite)))
    assert await answered(bench, cancel, 200) == []
    assert bench.held.calls.established == 0
    assert finals(await answered(bench, forwarded, 487)) == [487]


@virtual
async def test_a_request_belongs_to_the_transaction_of_its_branch_sent_by_and_method() -> None:
    """17.2.3."""
    bench = await with_bob()
    via = "SIP/2.0/UDP {};branch=z9hG4bKsame"
    for place in (ALICE.remote, CAROL.remote):
        made = request("OPTIONS", "sip:example.org", ALICE, via=via.format(place))
        assert statuses(await asked(bench, made)) == [200]
    assert len(bench.wiring.table.servers) == 3, "bob's REGISTER, and two OPTIONS"
    old = request("OPTIONS", "sip:example.org", ALICE, via=f"SIP/2.0/UDP {ALICE.remote};branch=1")
    other = old.copy()
    other.set("Call-ID", b"another")
    for made in (old, old, other):
        await asked(bench, made)
    assert len(bench.wiring.table.servers) == 5, "RFC 2543: by the headers"


# 18: transport.


@pytest.mark.parametrize(
    ("via", "remote"),
    [
        ("SIP/2.0/UDP 10.0.0.1:5062;maddr=198.51.100.9;branch=z9hG4bK{}", "198.51.100.9:5062"),
        ("SIP/2.0/UDP 10.0.0.1;maddr=198.51.100.9;rport;branch=z9hG4bK{}", "198.51.100.9:5060"),
        ("SIP/2.0/UDP 10.0.0.1:5062;maddr=192.0.2.99;branch=z9hG4bK{}", "192.0.2.1:5062"),
        ("SIP/2.0/UDP 10.0.0.1;maddr=192.0.2.99;rport;branch=z9hG4bK{}", "192.0.2.1:40000"),
        ("SIP/2.0/UDP 10.0.0.1;maddr=224.0.1.75;branch=z9hG4bK{}", "192.0.2.1:5060"),
        ("SIP/2.0/UDP 10.0.0.1;maddr=name.example;branch=z9hG4bK{}", "192.0.2.1:5060"),
        ("SIP/2.0/UDP 10.0.0.1:5062;branch=z9hG4bK{}", "192.0.2.1:5062"),
        ("SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK{}", "192.0.2.1:5060"),
        ("SIP/2.0/UDP 10.0.0.1:5062;rport;branch=z9hG4bK{}", "192.0.2.1:40000"),
    ],
)
@virtual
async def test_a_response_goes_to_maddr_where_that_is_allowed_or_to_whence_its_request_came(
    via: str, remote: str
) -> None:
    """18.2.2; RFC 3581, 4: over the socket that it came to. Else a stranger could aim it."""
    bench = await with_bob(replace(OPEN, via_maddr=(ip_network("198.51.100.0/24"),)))
    flow = phone("192.0.2.1", 40000)
    made = request("OPTIONS", "sip:example.org", flow, via=via.format(id(via)))
    await bench.receive(made, flow)
    [sent] = bench.sockets.log
    assert str(sent.target.remote) == remote
    assert sent.target.flow == flow


@virtual
async def test_a_response_over_tcp_goes_back_over_its_connection_or_to_the_port_of_via() -> None:
    """18.2.2."""
    bench = await with_bob()
    flow = phone("192.0.2.1", 40000, Transport.TCP)
    via = "SIP/2.0/TCP 10.0.0.1:5066;branch=z9hG4bKtcp"
    await bench.receive(request("OPTIONS", "sip:example.org", flow, via=via), flow)
    [sent] = bench.sockets.log
    assert sent.target.flow == flow
    assert sent.target.remote == Endpoint("192.0.2.1", 5066), "where that is gone"


# RFC 5393.


@virtual
async def test_breadth_is_60_where_none_is_stated_and_branches_share_it() -> None:
    """RFC 5393, 5.3.1 to 5.3.3."""
    bench = await both(await with_bob())
    for stated, shared in (("", [b"30", b"30"]), ("5", [b"3", b"2"])):
        headers = {"max_breadth": stated} if stated else {}
        _, copies = await invited(bench, ALICE, **headers)
        assert [each.get("max-breadth") for each in copies] == shared


@virtual
async def test_where_breadth_is_too_small_branches_follow_each_other_and_others_are_440() -> None:
    """RFC 5393, 5.3.3."""
    bench = await both(await with_bob())
    _, [first] = await invited(bench, max_breadth="1")
    sent = await answered(bench, first, 486, BOB if b"5070" in first.uri else CAROL)
    assert [each.method for each in requests(sent)] == [b"ACK", b"INVITE"]
    made = request("MESSAGE", "sip:bob@example.org", ALICE, max_breadth="1")
    assert statuses(await asked(bench, made)) == [440]


# RFC 3327 and 3581 are in test_registrar.py and test_transport.py; 22 and 26 here.


def test_credentials_for_another_proxy_go_on_to_it() -> None:
    """22.3: only those of our realm are ours."""
    made = request("INVITE", "sip:bob@example.org", ALICE)
    made.add("Proxy-Authorization", b'Digest realm="example.org", nonce="1", response="x"')
    made.add("Proxy-Authorization", b'Digest realm="other.example", nonce="2", response="y"')
    take_credentials(made, "example.org")
    [left] = made.lines("proxy-authorization")
    assert b"other.example" in left


@virtual
async def test_a_re_invite_during_a_bye_is_no_fault() -> None:
    """Others have lost calls, and processes, by that."""
    bench = await with_bob()
    invite, [forwarded] = await invited(bench)
    [ok] = await answered(bench, forwarded, 200, contact="<sip:bob@192.0.2.2:5070>")
    route = ", ".join(value.decode() for value in ok.values("record-route"))
    fields = {
        "to": (ok.get("to") or b"").decode(),
        "from": (invite.get("from") or b"").decode(),
        "call_id": invite.call_id.decode(),
        "route": route,
    }
    number = invite.cseq[0]
    uri = "sip:bob@192.0.2.2:5070"
    bye = request("BYE", uri, ALICE, **fields, cseq=f"{number + 1} BYE")
    [ending] = requests(await asked(bench, bye))
    swapped = {**fields, "to": fields["from"], "from": fields["to"], "cseq": "7 INVITE"}
    again = request("INVITE", "sip:alice@192.0.2.1:5060", BOB, **swapped)
    [_, changing] = await asked(bench, again, BOB)
    assert isinstance(changing, Request)
    assert finals(await answered(bench, ending, 200)) == [200]
    sent = await answered(bench, changing, 481, ALICE)
    assert finals(sent) == [481]
    assert bench.held.calls.established == 0
    assert not [event for event in bench.events if event.change.value == "failed"]
    await asyncio.sleep(100)
    assert bench.held.calls.calls == {}


def test_a_context_takes_no_answer_of_a_branch_that_it_does_not_have() -> None:
    """16.7, step 1."""
    made = request("INVITE", "sip:bob@example.org", ALICE)
    assert Context(made).answer(7, respond(made, 200)) == []


@virtual
async def test_contacts_of_a_user_are_tried_where_they_registered_from() -> None:
    """26.3.2: a hostile Contact leads nowhere else."""
    bench = await with_bob(contact="<sip:victim@192.0.2.66:5060>")
    [bindings] = bench.store.bindings.values()
    [[way]] = by_bindings(bindings, OPEN, bench.wiring.sockets)
    assert way.targets[0].remote == BOB.remote
