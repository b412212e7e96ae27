"""Rules of RFC 3261, 8, 9, 16.4 to 16.6, 22 and 26, that no other test is about: requests."""

from __future__ import annotations

import asyncio

import pytest

from remusnet.sip.flows import Endpoint, Flow, Target, Transport
from remusnet.sip.message import Request, Response
from remusnet.sip.message.build import respond, tag_of
from remusnet.sip.message.via import read
from remusnet.sip.settings import Settings
from tests.lib.sip_bench import SERVER, Sent, phone, request
from tests.lib.sip_bob import (
    ROUTED,
    asked,
    both,
    cancelling,
    finals,
    requests,
    statuses,
    with_bob,
)
from tests.lib.sip_whole import ALICE, answered, invited, virtual

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
    wanted = cancelling(invite)
    wanted.add("Require", b"foo")
    assert statuses(await asked(bench, wanted)) == [200]


# 9: CANCEL.


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
    sent = await asked(bench, cancelling(invite))
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
