"""RFC 3261, 16, and its updates: what a stateful proxy must do, rule by rule."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from remusnet.sip.flows import Transport
from remusnet.sip.message import Request, Response
from remusnet.sip.message.build import respond
from remusnet.sip.settings import Settings
from tests.lib.sip_bench import SERVER, phone, request
from tests.lib.sip_whole import ALICE, BOB, OPEN, WholeBench, answered, invited, opened, virtual

CAROL = phone("192.0.2.3", 5080)


async def with_bob(settings: Settings = OPEN) -> WholeBench:
    bench = await opened(WholeBench(settings))
    await bench.register("bob", BOB)
    return bench


async def forked(**qs: str) -> WholeBench:
    """Bob has two phones."""
    bench = await opened(WholeBench())
    for flow, q in ((BOB, qs.get("bob", "1")), (CAROL, qs.get("carol", "1"))):
        fields = {"to": "<sip:bob@example.org>", "contact": f"<sip:bob@{flow.remote}>;q={q}"}
        await bench.receive(request("REGISTER", "sip:example.org", flow, **fields), flow)
        assert bench.statuses() == [200]
    return bench


def status(message: object) -> int:
    assert isinstance(message, Response)
    return message.status


@pytest.mark.parametrize(
    ("uri", "headers", "expected"),
    [
        ("sip:bob@example.org", {"max_forwards": "0"}, 483),
        ("sip:bob@example.org", {"max_forwards": "x"}, 400),
        ("sip:bob@example.org", {"proxy_require": "foo"}, 420),
        ("http://bob@example.org", {}, 416),
        ("sip:nobody@example.org", {}, 480),
        ("sip:example.org", {}, 404),
        ("sip:bob@example.org", {"max_breadth": "0"}, 440),
    ],
)
@virtual
async def test_a_request_is_validated(uri: str, headers: dict[str, str], expected: int) -> None:
    """16.3 and 16.5; RFC 5393, 5.3."""
    bench = await with_bob()
    await bench.receive(request("INVITE", uri, ALICE, **headers), ALICE)
    assert bench.statuses() == [100, expected]


@virtual
async def test_options_to_the_server_itself_are_answered() -> None:
    """11.2; also with Max-Forwards 0 (16.3)."""
    bench = await with_bob()
    await bench.receive(request("OPTIONS", "sip:example.org", ALICE, max_forwards="0"), ALICE)
    [response] = bench.sent()
    assert status(response) == 200
    assert b"INVITE" in (response.get("allow") or b"")


@virtual
async def test_a_loop_is_482_and_a_spiral_goes_on() -> None:
    """16.3, step 4; RFC 5393, 4.2."""
    bench = await with_bob()
    _, [forwarded] = await invited(bench)
    looped = forwarded.copy()
    looped.uri = b"sip:bob@example.org"
    looped.pop("record-route")
    await bench.receive(looped, BOB)
    assert bench.statuses() == [100, 482]
    spiral = forwarded.copy()
    spiral.uri = b"sip:bob@EXAMPLE.org;x=1"
    spiral.push("Via", b"SIP/2.0/UDP 192.0.2.2:5070;branch=z9hG4bKspiral")
    await bench.receive(spiral, BOB)
    [_, again] = bench.sent()
    assert isinstance(again, Request)
    assert again.uri == b"sip:bob@192.0.2.2:5070"


@virtual
async def test_unknown_headers_go_on_byte_for_byte() -> None:
    bench = await with_bob()
    folded = b"X-Odd:   a,\r\n  b  ;c=\xff"
    invite = request("INVITE", "sip:bob@example.org", ALICE)
    data = invite.serialize().replace(b"Content-Length", folded + b"\r\nContent-Length")
    await bench.receive(data, ALICE)
    assert any(folded in raw for raw, _ in bench.sockets.raw)


@virtual
async def test_a_provisional_response_goes_back_and_a_100_does_not() -> None:
    """16.7, step 5."""
    bench = await with_bob()
    _, [forwarded] = await invited(bench)
    assert await answered(bench, forwarded, 100) == []
    assert [status(each) for each in await answered(bench, forwarded, 183)] == [183]


@virtual
async def test_the_best_response_of_a_fork_goes_back_when_all_have_come() -> None:
    """16.7, step 6."""
    bench = await forked()
    _, [one, two] = await invited(bench)
    acks = await answered(bench, one, 486)
    assert [each.method for each in acks if isinstance(each, Request)] == [b"ACK"]
    sent = await answered(bench, two, 302, CAROL)
    assert [status(each) for each in sent if isinstance(each, Response)] == [302]


@virtual
async def test_a_6xx_cancels_the_others() -> None:
    bench = await forked()
    _, [one, two] = await invited(bench)
    await answered(bench, two, 180, CAROL)
    sent = await answered(bench, one, 603)
    assert sorted(each.method for each in sent if isinstance(each, Request)) == [b"ACK", b"CANCEL"]
    sent = await answered(bench, two, 487, CAROL)
    assert [status(each) for each in sent if isinstance(each, Response)] == [603]


@virtual
async def test_two_200s_of_a_fork_both_go_back() -> None:
    """16.7, step 5."""
    bench = await forked()
    _, [one, two] = await invited(bench)
    first = await answered(bench, one, 200)
    assert [status(each) for each in first if isinstance(each, Response)] == [200]
    second = await answered(bench, two, 200, CAROL)
    assert [status(each) for each in second if isinstance(each, Response)] == [200]


@virtual
async def test_contacts_of_lower_q_are_tried_when_the_others_have_failed() -> None:
    """16.6: serial forking."""
    bench = await forked(bob="0.5", carol="0.9")
    _, [first] = await invited(bench)
    assert first.uri == b"sip:bob@192.0.2.3:5080"
    sent = await answered(bench, first, 486, CAROL)
    second = [each for each in sent if isinstance(each, Request) and each.method == b"INVITE"]
    assert [each.uri for each in second] == [b"sip:bob@192.0.2.2:5070"]
    sent = await answered(bench, second[0], 200)
    assert [status(each) for each in sent if isinstance(each, Response)] == [200]


@virtual
async def test_a_503_of_a_branch_goes_back_as_500() -> None:
    """16.7, step 6."""
    bench = await with_bob()
    _, [forwarded] = await invited(bench)
    sent = await answered(bench, forwarded, 503)
    assert [status(each) for each in sent if isinstance(each, Response)] == [500]


@virtual
async def test_challenges_of_all_branches_go_back_together() -> None:
    """16.7, step 7."""
    bench = await forked()
    _, [one, two] = await invited(bench)
    await answered(bench, one, 401, www_authenticate='Digest realm="a"')
    sent = await answered(bench, two, 407, CAROL, proxy_authenticate='Digest realm="b"')
    [back] = [each for each in sent if isinstance(each, Response)]
    assert back.lines("www-authenticate") == [b'Digest realm="a"']
    assert back.lines("proxy-authenticate") == [b'Digest realm="b"']


@virtual
async def test_a_cancel_is_answered_at_once_and_cancels_the_branch() -> None:
    """9.2, 16.10; the CANCEL has a server transaction of its own."""
    bench = await with_bob()
    invite, [forwarded] = await invited(bench)
    await answered(bench, forwarded, 180)
    wanted = invite.copy()
    wanted.method = b"CANCEL"
    wanted.set("CSeq", b"%d CANCEL" % invite.cseq[0])
    await bench.receive(wanted, ALICE)
    ok, cancelling = bench.sent()
    assert status(ok) == 200
    assert isinstance(cancelling, Request)
    assert cancelling.method == b"CANCEL"
    assert cancelling.values("via") == forwarded.values("via")[:1]
    await bench.receive(wanted, ALICE)
    assert bench.statuses() == [200], "its repetition is answered, not 481"
    sent = await answered(bench, forwarded, 487)
    assert [status(each) for each in sent if isinstance(each, Response)] == [487]


@virtual
async def test_a_cancel_before_any_response_waits_for_one() -> None:
    """9.1."""
    bench = await with_bob()
    invite, [forwarded] = await invited(bench)
    wanted = invite.copy()
    wanted.method = b"CANCEL"
    wanted.set("CSeq", b"%d CANCEL" % invite.cseq[0])
    await bench.receive(wanted, ALICE)
    assert bench.statuses() == [200]
    sent = await answered(bench, forwarded, 180)
    assert b"CANCEL" in [each.method for each in sent if isinstance(each, Request)]


@virtual
async def test_a_cancelled_branch_that_never_ends_is_408_after_64_t1() -> None:
    """9.1 and 16.10: else it would leak."""
    bench = await with_bob()
    invite, [forwarded] = await invited(bench)
    await answered(bench, forwarded, 180)
    wanted = invite.copy()
    wanted.method = b"CANCEL"
    wanted.set("CSeq", b"%d CANCEL" % invite.cseq[0])
    await bench.receive(wanted, ALICE)
    bench.sent()
    await asyncio.sleep(33)
    assert 408 in bench.statuses()
    await asyncio.sleep(80)
    assert bench.held.calls.calls == {}


@virtual
async def test_timer_c_cancels_a_call_that_rings_for_ever() -> None:
    """16.6, step 11, and 16.8."""
    bench = await with_bob()
    _, [forwarded] = await invited(bench)
    await answered(bench, forwarded, 180)
    await asyncio.sleep(182)
    methods = [each.method for each in bench.sent() if isinstance(each, Request)]
    assert b"CANCEL" in methods


@virtual
async def test_a_silent_branch_is_408_after_64_t1() -> None:
    bench = await with_bob()
    await invited(bench)
    await asyncio.sleep(33)
    assert bench.statuses()[-1] == 408


@virtual
async def test_a_silent_branch_of_a_non_invite_gets_a_100_and_no_final_response() -> None:
    """RFC 4320: a 100 when Timer E has come to T2, not before (4.1), and never a 408 (4.2)."""
    bench = await with_bob()
    await bench.receive(request("MESSAGE", "sip:bob@example.org", ALICE), ALICE)
    await asyncio.sleep(3.4)
    assert bench.statuses() == []
    await asyncio.sleep(40)
    assert bench.statuses() == [100]


@virtual
async def test_a_retransmitted_invite_is_absorbed_and_timer_a_is_not_capped() -> None:
    """17.1.1.2: 0.5, 1, 2, 4, 8, 16 s."""
    bench = await with_bob()
    invite, [forwarded] = await invited(bench)
    await bench.receive(invite, ALICE)
    assert bench.statuses() == [100]
    await asyncio.sleep(31.9)
    times = [each.time for each in bench.sockets.log if isinstance(each.message, Request)]
    gaps = [round(later - earlier, 1) for earlier, later in pairwise(times)]
    assert gaps == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert all(each.values("via") == forwarded.values("via") for each in bench.sent())


@virtual
async def test_strangers_are_not_relayed() -> None:
    """No open relay: own domains and authenticated users are served, and nobody else."""
    bench = await with_bob(Settings())
    stranger = {"from": "<sip:x@elsewhere.example>;tag=1"}
    await bench.receive(request("INVITE", "sip:y@other.example", ALICE, **stranger), ALICE)
    assert bench.statuses() == [100, 403]
    await bench.receive(request("INVITE", "sip:bob@example.org", ALICE, **stranger), ALICE)
    assert bench.statuses()[-1] != 403


@virtual
async def test_own_users_are_challenged() -> None:
    bench = await with_bob(Settings())
    await bench.receive(request("INVITE", "sip:bob@example.org", ALICE), ALICE)
    assert bench.statuses() == [100, 407]


@pytest.mark.parametrize(
    "headers",
    [
        {"route": "<sip:victim.example;lr>"},
        {"route": "<sip:192.0.2.66;lr>"},
        {"route": f"<sip:{SERVER};lr>, <sip:192.0.2.66;lr>"},
    ],
)
@virtual
async def test_a_hostile_route_makes_it_send_nowhere(headers: dict[str, str]) -> None:
    bench = await with_bob()
    await bench.receive(request("INVITE", "sip:bob@example.org", ALICE, **headers), ALICE)
    assert bench.statuses() == [100, 403]


@virtual
async def test_a_hostile_contact_in_a_call_makes_it_send_only_to_where_that_came_from() -> None:
    bench = await with_bob()
    invite, [forwarded] = await invited(bench, contact="<sip:victim@192.0.2.66>")
    [ok] = await answered(bench, forwarded, 200, contact="<sip:bob@192.0.2.2:5070>")
    assert isinstance(ok, Response)
    bye = request(
        "BYE",
        "sip:victim@192.0.2.66",
        BOB,
        to=(invite.get("from") or b"").decode(),
        call_id=invite.call_id.decode(),
        route=ok.values("record-route")[0].decode(),
        **{"from": (ok.get("to") or b"").decode()},
    )
    await bench.receive(bye, BOB)
    [sent] = bench.sockets.log
    assert sent.target.remote == ALICE.remote


@virtual
async def test_a_call_over_tcp_goes_back_over_its_connection() -> None:
    """18.2.2."""
    bench = await with_bob()
    caller = phone("192.0.2.9", 40000, Transport.TCP)
    _, [forwarded] = await invited(bench, caller)
    bench.sockets.log.clear()
    await bench.receive(respond(forwarded, 180, tag="b"), BOB)
    [sent] = bench.sockets.log
    assert sent.target.flow == caller
    assert len(forwarded.values("record-route")) == 2, "one for each transport (RFC 5658)"


@virtual
async def test_a_path_is_followed() -> None:
    """RFC 3327, 5.3: to the proxy that the REGISTER came by."""
    bench = await opened(WholeBench())
    path = {"path": "<sip:192.0.2.50;lr>", "contact": f"<sip:bob@{BOB.remote}>"}
    await bench.register("bob", phone("192.0.2.50"), supported="path", **path)
    bench.sockets.log.clear()
    _, [forwarded] = await invited(bench)
    assert forwarded.values("route") == [b"<sip:192.0.2.50;lr>"]


@virtual
async def test_no_room_for_calls_is_503() -> None:
    bench = await with_bob()
    bench.held.calls.most = 0
    await bench.receive(request("INVITE", "sip:bob@example.org", ALICE), ALICE)
    [_, refused] = bench.sent()
    assert status(refused) == 503
    assert refused.get("retry-after") is not None
