"""Proxy to proxy with a real Kamailio, both ways: Record-Route of both, a spiral, a loop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from remusnet.sip.message import Request, Response
from tests.lib.kamailio import Kamailio, free_port, kamailio
from tests.lib.sip_agent import HOST, Agent
from tests.lib.sip_process import ServerProcess, serving

pytestmark = pytest.mark.xdist_group("kamailio")
OURS, THEIRS = "ours.example", "theirs.example"
# Users of theirs whose calls go on to ours: to another user there, and to the one who was called.
_ROUTES = """\
    if (uri == myself && $rU == "away") $ru = "sip:bob@ours.example";
    if (uri == myself && $rU == "round") $ru = "sip:round@ours.example";
    if ($rd == "ours.example") $du = "sip:127.0.0.1:{port};transport={transport}";
"""


@pytest.fixture(scope="module", params=["udp", "tcp"])
def chain(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ServerProcess, Kamailio]]:
    """Both; between them it is UDP, or TCP. The phones speak UDP."""
    transport = request.param
    folder = tmp_path_factory.mktemp("chain")
    port = free_port()
    with kamailio(THEIRS, _ROUTES.format(port=port, transport=transport)) as theirs:
        file = folder / "sip.toml"
        file.write_text(
            f'listen = ["udp:{HOST}:{port}", "tcp:{HOST}:{port}"]\n'
            f'domains = ["{OURS}"]\nauthenticate = false\n'
            f'store = "sqlite:{folder / "sip.db"}"\nt1 = "100ms"\ndns = false\n'
            f'[[route]]\ndomain = "{THEIRS}"\nto = "{transport}:{HOST}:{theirs.port}"\n'
        )
        with serving(
            folder, str(file), "--store", f"sqlite:{folder / 'sip.db'}", listen=()
        ) as ours:
            yield ours, theirs


def call(caller: Agent, callee: Agent, first: int, last: int, uri: str, hops: int) -> None:
    """INVITE by ``first``; 180, 200, ACK; BYE by the callee, who is behind ``last``."""
    invite = caller.request("INVITE", uri)
    caller.send(invite, first)
    asked = callee.wait_for("INVITE")
    assert len(asked.values("via")) == hops + 1
    # Two of one proxy's, where it goes from one transport to another (RFC 5658).
    assert len(asked.values("record-route")) in range(hops, 2 * hops + 1)
    callee.answer(asked, 180)
    caller.wait(lambda each: isinstance(each, Response) and each.status == 180)
    ok = callee.answer(asked, 200)
    answer = caller.wait(lambda each: isinstance(each, Response) and each.status == 200)
    assert isinstance(answer, Response)
    assert answer.values("via") == invite.values("via")[:1] or len(answer.values("via")) == 1
    assert answer.values("record-route") == ok.values("record-route")
    caller.send(caller.within(invite, answer, "ACK", invite.cseq[0]), first)
    assert callee.wait_for("ACK").values("route") == []
    # The callee's route set is what it got, in that order (12.1.1).
    bye = callee.request(
        "BYE",
        caller.contact.strip("<>"),
        to=(invite.get("from") or b"").decode(),
        call_id=invite.call_id.decode(),
        route=", ".join(value.decode() for value in asked.values("record-route")),
        **{"from": (ok.get("to") or b"").decode()},
    )
    callee.send(bye, last)
    ended = caller.wait_for("BYE")
    assert len(ended.values("via")) == hops + 1, "the BYE takes the whole way back"
    caller.answer(ended, 200)
    callee.wait(lambda each: isinstance(each, Response) and each.cseq[1] == b"BYE")


def test_a_call_goes_from_ours_through_kamailio(chain: tuple[ServerProcess, Kamailio]) -> None:
    ours, theirs = chain
    with Agent("alice", OURS) as alice, Agent("carol", THEIRS) as carol:
        assert carol.register(theirs.port).status == 200
        uri = f"sip:carol@{THEIRS}"
        call(alice, carol, ours.ports["udp"], theirs.port, uri, hops=2)


def test_a_call_goes_from_kamailio_through_ours(chain: tuple[ServerProcess, Kamailio]) -> None:
    ours, theirs = chain
    port = ours.ports["udp"]
    with Agent("carol", THEIRS) as carol, Agent("bob", OURS) as bob:
        assert bob.register(port).status == 200
        call(carol, bob, theirs.port, port, f"sip:bob@{OURS}", hops=2)


def test_a_spiral_through_kamailio_and_back_works(chain: tuple[ServerProcess, Kamailio]) -> None:
    """RFC 3261, 16.3: it comes back for another user."""
    ours, _theirs = chain
    port = ours.ports["udp"]
    with Agent("alice", OURS) as alice, Agent("bob", OURS) as bob:
        assert bob.register(port).status == 200
        call(alice, bob, port, port, f"sip:away@{THEIRS}", hops=3)
        assert ours.status()["calls"] == 0


def test_a_loop_through_kamailio_ends_at_once(chain: tuple[ServerProcess, Kamailio]) -> None:
    """RFC 3261, 16.3, step 4: it comes back for the same user."""
    ours, theirs = chain
    port = ours.ports["udp"]
    with Agent("round", OURS) as round_, Agent("alice", OURS) as alice:
        path = {"path": f"<sip:{HOST}:{theirs.port};lr>", "supported": "path"}
        contact = f"<sip:round@{THEIRS}>"
        assert round_.register(port, contact=contact, **path).status == 200
        before = ours.status()["requests"].get("INVITE", 0)
        answer = alice.answer_to(alice.request("INVITE", f"sip:round@{OURS}"), port)
        assert answer is not None
        assert answer.status in (482, 483)
        assert ours.status()["requests"]["INVITE"] - before <= 3, "it goes round once"
        assert isinstance(answer, Response)
        assert not isinstance(answer, Request)
