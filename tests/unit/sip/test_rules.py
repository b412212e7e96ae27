"""Rules of RFC 3261, 8, 9, 16 to 18, 22 and 26, and its updates, that no other test is about."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from remusnet.sip.auth import take_credentials
from remusnet.sip.flows import Endpoint, Flow, Target, Transport
from remusnet.sip.message import Message, Request, Response
from remusnet.sip.message.build import respond, tag_of
from remusnet.sip.message.via import read
from remusnet.sip.proxy.context import Context
from remusnet.sip.proxy.ways import by_bindings
from remusnet.sip.settings import Route, Settings
from tests.lib.sip_bench import SERVER, Sent, phone, request
from tests.lib.sip_whole import ALICE, BOB, OPEN, WholeBench, answered, invited, opened, virtual

CAROL = phone("192.0.2.3", 5080)
ROUTED = Settings(
    authenticate=False,
    min_expires=1,
    routes=(Route("next.example", Transport.UDP, Endpoint("192.0.2.50", 5060)),),
)


async def with_bob(settings: Settings = OPEN, **headers: str) -> WholeBench:
    bench = await opened(WholeBench(settings))
    await bench.register("bob", BOB, **headers)
    bench.sockets.log.clear()
    return bench


async def both(bench: WholeBench) -> WholeBench:
    """Bob's second phone."""
    fields = {"to": "<sip:bob@example.org>", "contact": f"<sip:bob@{CAROL.remote}>"}
    await bench.receive(request("REGISTER", "sip:example.org", CAROL, **fields), CAROL)
    bench.sent()
    return bench


def requests(messages: Sequence[Message]) -> list[Request]:
    return [each for each in messages if isinstance(each, Request)]


def statuses(messages: Sequence[Message]) -> list[int]:
    return [each.status for each in messages if isinstance(each, Response)]


def finals(messages: Sequence[Message]) -> list[int]:
    return [status for status in statuses(messages) if status >= 200]


async def asked(bench: WholeBench, made: Message, flow: Flow = ALICE) -> list[Request | Response]:
    await bench.receive(made, flow)
    return bench.sent()


# 8.2: what is asked of the server itself.


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("SUBSCRIBE", {}, 405),
        ("PUBLISH", {}, 405),
        ("FOO", {}, 405),
        ("MESSAGE", {}, 404),
        ("BYE", {"to": "<sip:example.org>;tag=gone"}, 481),
    ],
)
@virtual
async def test_what_the_server_itself_does_not_do_is_refused(
    method: str, headers: dict[str, str], status: int
) -> None:
    """8.2.1: 405 with Allow; 8.2.2.1: 404; 12.2.2: 481."""
    bench = await with_bob()
    [answer] = await asked(bench, request(method, "sip:example.org", ALICE, **headers))
    assert statuses([answer]) == [status]
    assert (b"OPTIONS" in (answer.get("allow") or b"")) == (status == 405)


@virtual
async def test_a_response_copies_what_it_must_and_has_a_tag_that_nobody_guesses() -> None:
    """8.2.6.2 and 19.3; the repetition of a request gets the same (8.2.7)."""
    bench = await with_bob()
    tags = []
    for _ in range(2):
        made = request(
            "OPTIONS", "sip:example.org", ALICE, via=f"{_via(ALICE)}, SIP/2.0/UDP x;branch=z9hG4bK2"
        )
        [first] = await asked(bench, made)
        [again] = await asked(bench, made)
        for name in ("from", "call-id", "cseq", "via"):
            assert first.values(name) == made.values(name)
        assert first.serialize() == again.serialize()
        tags.append(tag_of(first.get("to") or b""))
    assert tags[0] != tags[1]
    assert all(len(tag) >= 8 for tag in tags), "32 random bits"
    tagged = request("BYE", "sip:example.org", ALICE, to="<sip:example.org>;tag=theirs")
    [answer] = await asked(bench, tagged)
    assert answer.get("to") == b"<sip:example.org>;tag=theirs"


def _via(flow: Flow) -> str:
    return f"SIP/2.0/UDP {flow.remote};branch=z9hG4bKr{id(object())}"


@virtual
async def test_a_100_has_the_timestamp_of_its_request_and_no_tag_of_ours() -> None:
    """8.2.6.1."""
    bench = await with_bob()
    sent = await asked(bench, request("INVITE", "sip:bob@example.org", ALICE, timestamp="54"))
    [trying] = [each for each in sent if isinstance(each, Response)]
    assert (trying.status, trying.get("timestamp")) == (100, b"54")
    assert not tag_of(trying.get("to") or b"")


@virtual
async def test_require_is_the_callee_s_and_no_proxy_s() -> None:
    """16.3: a proxy does not look at it; in a CANCEL it counts for nobody (8.2.2.3)."""
    bench = await with_bob()
    invite, [forwarded] = await invited(bench, require="foo")
    assert forwarded.get("require") == b"foo"
    wanted = _cancel(invite)
    wanted.add("Require", b"foo")
    assert statuses(await asked(bench, wanted)) == [200]


# 9: CANCEL.


def _cancel(invite: Request) -> Request:
    wanted = invite.copy()
    wanted.method = b"CANCEL"
    wanted.remove("require")
    wanted.set("CSeq", b"%d CANCEL" % invite.cseq[0])
    return wanted


@virtual
async def test_a_cancel_of_nothing_is_481() -> None:
    """9.2."""
    bench = await with_bob()
    cancel = request("CANCEL", "sip:bob@example.org", ALICE)
    assert statuses(await asked(bench, cancel)) == [481]


@virtual
async def test_a_cancel_after_the_final_response_changes_nothing() -> None:
    """9.2."""
    bench = await with_bob()
    invite, [forwarded] = await invited(bench)
    await answered(bench, forwarded, 200)
    sent = await asked(bench, _cancel(invite))
    assert statuses(sent) == [200]
    assert requests(sent) == []
    assert bench.held.calls.established == 1


# 16.4: what brought the request here is undone.


@virtual
async def test_a_maddr_that_is_this_server_is_taken_out_and_one_that_is_not_leads_there() -> None:
    """16.4 and 16.5."""
    bench = await with_bob()
    uri = f"sip:bob@example.org:5060;maddr={SERVER.host};transport=udp"
    sent = requests(await asked(bench, request("MESSAGE", uri, ALICE)))
    assert [each.uri for each in sent] == [b"sip:bob@192.0.2.2:5070"]
    uri = "sip:bob@example.org;maddr=192.0.2.77"
    await bench.receive(request("MESSAGE", uri, ALICE), ALICE)
    [elsewhere] = bench.sockets.log
    assert elsewhere.target.remote == Endpoint("192.0.2.77", 5060)
    assert isinstance(elsewhere.message, Request)
    assert elsewhere.message.uri == uri.encode()


@virtual
async def test_a_maddr_is_no_way_around_authentication_or_to_strangers() -> None:
    """26.3.2: no open relay."""
    bench = await with_bob(Settings(use_dns=False))
    spoofed = {"from": "<sip:alice@example.org;maddr=192.0.2.77>;tag=1"}
    sent = await asked(bench, request("MESSAGE", "sip:bob@example.org", ALICE, **spoofed))
    assert statuses(sent) == [407]
    stranger = {"from": "<sip:x@elsewhere.example>;tag=1"}
    uri = "sip:bob@example.org;maddr=192.0.2.77"
    assert statuses(await asked(bench, request("MESSAGE", uri, ALICE, **stranger))) == [403]


@virtual
async def test_our_own_routes_are_taken_out_and_a_strict_router_s_request_is_mended() -> None:
    """16.4."""
    bench = await with_bob()
    own = f"<sip:{SERVER};lr;leg=1>"
    loose = request("MESSAGE", "sip:bob@example.org", ALICE, route=f"{own}, {own}")
    strict = request("MESSAGE", own[1:-1], ALICE, route="<sip:bob@example.org>")
    for made in (loose, strict):
        [forwarded] = requests(await asked(bench, made))
        assert forwarded.uri == b"sip:bob@192.0.2.2:5070"
        assert not forwarded.has("route")


# 16.6: forwarding.


@virtual
async def test_max_forwards_is_70_where_there_is_none_and_one_less_else() -> None:
    """16.6, step 3."""
    bench = await with_bob()
    for given, left in (("", b"70"), ("10", b"9")):
        made = request("MESSAGE", "sip:bob@example.org", ALICE, max_forwards=given)
        [forwarded] = requests(await asked(bench, made))
        assert forwarded.get("max-forwards") in (left, b"69")
        assert given == "" or forwarded.get("max-forwards") == left


@virtual
async def test_what_may_not_stand_in_a_request_uri_is_taken_out_of_a_contact() -> None:
    """16.6, step 2; 19.1.1, table 1."""
    contact = "<sip:b?ob@192.0.2.2:5070;method=INVITE;x=1?Subject=y&Route=%3Csip:evil%3E>"
    bench = await with_bob(contact=contact)
    [forwarded] = requests(await asked(bench, request("MESSAGE", "sip:bob@example.org", ALICE)))
    assert forwarded.uri == b"sip:b?ob@192.0.2.2:5070;x=1"


@virtual
async def test_record_route_is_ours_is_loose_and_only_where_a_dialog_may_begin() -> None:
    """16.6, step 4."""
    bench = await with_bob()
    _, [forwarded] = await invited(bench)
    [value] = forwarded.values("record-route")
    assert value.startswith(f"<sip:{SERVER};lr".encode())
    sent = requests(await asked(bench, request("MESSAGE", "sip:bob@example.org", ALICE)))
    assert not sent[0].has("record-route")


@virtual
async def test_a_sips_uri_is_reached_over_tls_alone_and_recorded_as_sips() -> None:
    """16.6, step 4, and 26.2.2."""
    bench = await with_bob()
    sent = await asked(bench, request("INVITE", "sips:bob@example.org", ALICE))
    assert finals(sent) == [480]
    tls = phone("192.0.2.2", 40000, Transport.TLS)
    bench.sockets.flows[Transport.TLS, tls.remote] = tls
    await bench.register("bob", tls, contact="<sips:bob@192.0.2.2:5061>")
    bench.sent()
    sent = await asked(bench, request("INVITE", "sips:bob@example.org", ALICE))
    [forwarded] = requests(sent)
    assert forwarded.uri == b"sips:bob@192.0.2.2:5061"
    assert read(forwarded.values("via")[0]).transport == b"TLS"
    assert [value[:6] for value in forwarded.values("record-route")] == [b"<sips:"]


@virtual
async def test_record_route_can_be_off_but_where_tls_begins_or_ends() -> None:
    """16.6, step 4."""
    settings = Settings(authenticate=False, min_expires=1, record_route=False)
    bench = await with_bob(settings)
    _, [forwarded] = await invited(bench)
    assert not forwarded.has("record-route")
    _, [forwarded] = await invited(bench, phone("192.0.2.1", 40000, Transport.TLS))
    assert len(forwarded.values("record-route")) == 2
    assert not any(b"sips:" in value for value in forwarded.values("record-route"))


@virtual
async def test_a_strict_router_is_the_request_uri_and_the_callee_the_last_route() -> None:
    """16.6, step 6."""
    path = "<sip:192.0.2.50>, <sip:p2.example;lr>"
    bench = await with_bob(ROUTED, path=path, supported="path")
    await bench.receive(request("MESSAGE", "sip:bob@example.org", ALICE), ALICE)
    [sent] = bench.sockets.log
    assert isinstance(sent.message, Request)
    assert sent.message.uri == b"sip:192.0.2.50"
    assert sent.message.values("route") == [b"<sip:p2.example;lr>", b"<sip:bob@192.0.2.2:5070>"]
    assert sent.target.remote == Endpoint("192.0.2.50", 5060)


@virtual
async def test_our_via_is_on_top_with_a_branch_that_no_other_has() -> None:
    """16.6, step 8."""
    bench = await both(await with_bob())
    _, copies = await invited(bench)
    vias = [read(each.values("via")[0]) for each in copies]
    assert len({via.branch for via in vias}) == len(copies) == 2
    for via in vias:
        assert via.wants_rport, "over UDP (RFC 3581, 3)"
        assert via.branch.startswith(b"z9hG4bK")
        assert via.host.decode() == SERVER.host


@virtual
async def test_a_body_of_unstated_length_has_its_length_stated() -> None:
    """16.6, step 9."""
    bench = await with_bob()
    made = request("MESSAGE", "sip:bob@example.org", ALICE, content_length="")
    made.body = b"hello"
    [forwarded] = requests(await asked(bench, made))
    assert forwarded.get("content-length") == b"5"
    assert forwarded.body == b"hello"


@virtual
async def test_where_the_first_place_fails_the_next_gets_a_transaction_of_its_own() -> None:
    """16.6, step 10; RFC 3263, 4.3: another branch, and the transport of that place in Via."""
    bench = await with_bob(ROUTED)
    targets = (
        Target(Transport.TCP, Endpoint("192.0.2.60", 5060)),
        Target(Transport.UDP, Endpoint("192.0.2.61", 5060)),
    )
    bench.sockets.unreachable.add(targets[0].remote)  # type: ignore[arg-type]
    invite = request("INVITE", "sip:x@next.example", ALICE)
    await bench.receive(invite, ALICE)
    [call] = bench.held.calls.calls.values()
    [work] = call.works.values()
    first = work.context.branches[1]
    first.others = list(targets)
    before = read(first.request.values("via")[0])
    bench.sockets.log.clear()
    await bench.receive(respond(first.request, 503, tag="n"), phone("192.0.2.50"))
    requests_ = [each for each in bench.sockets.log if _is_invite(each)]
    assert [each.target for each in requests_] == [targets[1]]
    via = read(requests_[0].message.values("via")[0])
    assert (via.transport, via.branch != before.branch) == (b"UDP", True)
    assert len(requests_[0].message.values("via")) == 2


def _is_invite(sent: Sent) -> bool:
    return isinstance(sent.message, Request) and sent.message.method == b"INVITE"


@virtual
async def test_only_a_provisional_response_above_100_gives_a_branch_more_time() -> None:
    """16.7, step 2: Timer C."""
    bench = await with_bob()
    _, [forwarded] = await invited(bench)
    await answered(bench, forwarded, 100)
    await asyncio.sleep(170)
    await answered(bench, forwarded, 180)
    await asyncio.sleep(170)
    assert requests(bench.sent()) == []
    await asyncio.sleep(20)
    assert b"CANCEL" in [each.method for each in requests(bench.sent())]


# 16.7: responses.


@virtual
async def test_a_response_without_another_via_goes_no_further() -> None:
    """16.7, step 3."""
    bench = await with_bob()
    _, [forwarded] = await invited(bench)
    alone = respond(forwarded, 200, tag="b")
    alone.headers = [each for each in alone.headers if each.name != b"via"]
    alone.push("Via", forwarded.values("via")[0])
    assert await asked(bench, alone, BOB) == []


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
    [cancel] = requests(await asked(bench, _cancel(invite)))
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
        ("SIP/2.0/UDP 10.0.0.1:5062;maddr=192.0.2.99;branch=z9hG4bK{}", "192.0.2.99:5062"),
        ("SIP/2.0/UDP 10.0.0.1;maddr=192.0.2.99;rport;branch=z9hG4bK{}", "192.0.2.99:5060"),
        ("SIP/2.0/UDP 10.0.0.1;maddr=name.example;branch=z9hG4bK{}", "192.0.2.1:5060"),
        ("SIP/2.0/UDP 10.0.0.1:5062;branch=z9hG4bK{}", "192.0.2.1:5062"),
        ("SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK{}", "192.0.2.1:5060"),
        ("SIP/2.0/UDP 10.0.0.1:5062;rport;branch=z9hG4bK{}", "192.0.2.1:40000"),
    ],
)
@virtual
async def test_a_response_goes_to_maddr_or_to_whence_its_request_came(
    via: str, remote: str
) -> None:
    """18.2.2; RFC 3581, 4: over the socket that it came to."""
    bench = await with_bob()
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
