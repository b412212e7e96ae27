"""What strangers, and users who mean no good, can't make the server do."""

from __future__ import annotations

import asyncio
import hashlib
import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remusnet.actors.virtual import run
from remusnet.sip.auth import Nonces, Result, make_user, parse_credentials
from remusnet.sip.flows import Endpoint, Transport
from remusnet.sip.message import Request, Response
from remusnet.sip.settings import Route, Settings
from tests.lib.sip_bench import SERVER, request
from tests.lib.sip_whole import ALICE, BOB, OPEN, WholeBench, answered, invited, opened, virtual

CLOSED = Settings()
VICTIM = "192.0.2.66"
TRUNK = Endpoint("192.0.2.90", 5060)
ROUTED = Settings(
    authenticate=False, routes=(Route("trunk.example", Transport.UDP, TRUNK),), use_dns=False
)


def proof(challenged: Response, password: str, **other: str) -> str:
    """Alice's credentials for an INVITE to bob, as an answer to a 407 (RFC 7616, 3.4)."""
    found = parse_credentials(challenged.lines("proxy-authenticate")[0])
    assert found is not None
    assert found["algorithm"] == "SHA-256"
    fields = {"username": "alice", "realm": found["realm"], "nonce": found["nonce"]}
    fields |= {"uri": "sip:bob@example.org", "nc": "00000001", "cnonce": "c", "qop": "auth"}
    fields |= other

    def digest(*parts: str) -> str:
        return hashlib.sha256(":".join(parts).encode()).hexdigest()

    first = digest(fields["username"], fields["realm"], password)
    second = digest("INVITE", fields["uri"])
    middle = [fields[name] for name in ("nonce", "nc", "cnonce", "qop")]
    bare = ("nc", "qop")
    text = ", ".join(f"{n}={v}" if n in bare else f'{n}="{v}"' for n, v in fields.items())
    return f'Digest {text}, algorithm=SHA-256, response="{digest(first, *middle, second)}"'


async def challenged() -> tuple[WholeBench, Response]:
    """A server whose users are asked who they are; alice has been, bob has registered before."""
    bench = await opened(WholeBench(OPEN))
    assert (await bench.register("bob", BOB)).status == 200
    bench.held.calls.settings = CLOSED
    for name in ("alice", "carol"):
        await bench.store.put_user(make_user(name, "example.org", "secret"))
    bench.sockets.log.clear()
    await bench.receive(request("INVITE", "sip:bob@example.org", ALICE), ALICE)
    [_, response] = bench.sent()
    assert isinstance(response, Response)
    assert response.status == 407
    return bench, response


async def asked(bench: WholeBench, credentials: str, **headers: str) -> list[Request | Response]:
    """What the server sends, but for 100 Trying, when alice calls bob with ``credentials``."""
    invite = request("INVITE", "sip:bob@example.org", ALICE, **headers)
    invite.add("Proxy-Authorization", credentials.encode())
    await bench.receive(invite, ALICE)
    return [each for each in bench.sent() if isinstance(each, Request) or each.status != 100]


def status(sent: list[Request | Response]) -> int:
    [response] = sent
    assert isinstance(response, Response)
    return response.status


@virtual
async def test_a_call_with_the_right_password_goes_on_once_and_tells_nobody_the_proof() -> None:
    """22.3: credentials are for this proxy. A replay is as stale as an old nonce."""
    bench, response = await challenged()
    right = proof(response, "secret")
    [forwarded] = await asked(bench, right)
    assert isinstance(forwarded, Request)
    assert not forwarded.has("proxy-authorization")
    [replayed] = await asked(bench, right)
    assert isinstance(replayed, Response)
    assert replayed.status == 407
    assert b"stale=true" in replayed.lines("proxy-authenticate")[0]
    [again] = await asked(bench, proof(response, "secret", nc="00000002"))
    assert isinstance(again, Request)
    assert status(await asked(bench, proof(response, "secret", nc="00000001"))) == 407


@virtual
async def test_who_waits_for_a_store_that_fails_as_nobody_foresaw_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The task that asked it ended, nobody was told, and the phone waited for ever."""
    bench, response = await challenged()
    right = proof(response, "secret")

    async def fails(_name: str, _domain: str) -> None:
        raise RuntimeError("as nobody foresaw")

    monkeypatch.setattr(bench.store, "user", fails)
    assert status(await asked(bench, right)) == 500
    registrar = await opened(WholeBench(CLOSED))
    monkeypatch.setattr(registrar.store, "user", fails)
    register = request("REGISTER", "sip:example.org", ALICE, to="<sip:alice@example.org>")
    register.add("Authorization", right.encode())
    await registrar.receive(register, ALICE)
    assert status(registrar.sent()) == 503


@pytest.mark.parametrize(
    ("password", "other", "expected"),
    [
        ("wrong", {}, 407),
        ("secret", {"username": "mallory"}, 407),
        ("secret", {"realm": "elsewhere.example"}, 407),
        ("secret", {"nonce": secrets.token_hex(30)}, 407),
        ("secret", {"nonce": ""}, 407),
        ("secret", {"qop": "auth-int"}, 407),
        ("secret", {"nc": "x"}, 407),
        # Right, but another user's: nobody calls in another's name.
        ("secret", {"username": "carol"}, 403),
    ],
)
@virtual
async def test_wrong_credentials_call_nobody(
    password: str, other: dict[str, str], expected: int
) -> None:
    bench, response = await challenged()
    assert status(await asked(bench, proof(response, password, **other))) == expected


@virtual
async def test_an_old_nonce_calls_nobody_though_the_password_is_right() -> None:
    bench, response = await challenged()
    await asyncio.sleep(301)
    bench.sent()  # its 407, again and again: nobody acknowledges it
    [stale] = await asked(bench, proof(response, "secret"))
    assert isinstance(stale, Response)
    assert stale.status == 407
    assert b"stale=true" in stale.lines("proxy-authenticate")[0]


def test_a_nonce_of_another_process_or_of_the_future_is_stale() -> None:
    ours, theirs = Nonces(lambda: 100.0), Nonces(lambda: 100.0)
    assert ours.judge(ours.make(), 1) is Result.GOOD
    assert ours.judge(theirs.make(), 1) is Result.STALE
    late = ours.make()
    ours.now = lambda: 50.0
    assert ours.judge(late, 1) is Result.STALE


@pytest.mark.parametrize(
    "path", [f"<sip:{VICTIM};lr>", "<sip:victim.example;lr>", f"<sip:{VICTIM};lr>, <sip:192.0.2.2>"]
)
@virtual
async def test_a_path_that_leads_elsewhere_than_back_is_refused(path: str) -> None:
    """Else a user could let the server send to whom he likes."""
    bench = await opened(WholeBench())
    response = await bench.register("bob", BOB, path=path, supported="path")
    assert response.status == 403


@virtual
async def test_a_path_may_begin_at_a_configured_route() -> None:
    bench = await opened(WholeBench(ROUTED))
    response = await bench.register("bob", BOB, path="<sip:trunk.example;lr>", supported="path")
    assert response.status == 200
    bench.sockets.log.clear()
    await bench.receive(request("INVITE", "sip:bob@example.org", ALICE), ALICE)
    targets = [
        each.target.remote for each in bench.sockets.log if isinstance(each.message, Request)
    ]
    assert targets == [TRUNK]


HOSTILE = st.sampled_from(
    [
        f"<sip:{VICTIM};lr>",
        f"<sip:{VICTIM}>",
        "<sip:victim.example;lr>",
        f"<sip:{SERVER};lr>, <sip:{VICTIM};lr>",
        f"<sip:{SERVER};lr;maddr={VICTIM}>",
        f"<sip:example.org;lr;maddr={VICTIM}>, <sip:x@{VICTIM}>",
        f"<sip:bob@example.org;maddr={VICTIM}>",
        f"<sip:bob@192.0.2.2;maddr={VICTIM}>",
        f"<sip:bob@{VICTIM}:5060;transport=tcp>",
        f"<sip:bob@192.0.2.2?Route=%3Csip:{VICTIM};lr%3E>",
        f"<sips:bob@{VICTIM}>",
        "<tel:+420123>",
    ]
)
URIS = st.sampled_from(
    [
        "sip:bob@example.org",
        f"sip:bob@example.org;maddr={VICTIM}",
        f"sip:bob@{SERVER};maddr={VICTIM};transport=tcp",
        f"sip:bob@example.org?Route=%3Csip:{VICTIM}%3E",
        f"sip:x@{VICTIM}",
        f"sip:{SERVER};lr",
        "sip:x@victim.example",
    ]
)


@settings(max_examples=150, deadline=None)
@given(
    method=st.sampled_from(["INVITE", "ACK", "BYE", "OPTIONS", "MESSAGE", "SUBSCRIBE", "CANCEL"]),
    uri=URIS,
    headers=st.fixed_dictionaries(
        {},
        optional={
            "route": HOSTILE,
            "contact": HOSTILE,
            "record_route": HOSTILE,
            "path": HOSTILE,
            "from": HOSTILE.map(lambda value: f"{value.partition(',')[0]};tag=x"),
            "via": st.just(f"SIP/2.0/UDP {VICTIM}:5060;branch=z9hG4bKx;received={VICTIM};rport=1"),
        },
    ),
    contact=HOSTILE,
    in_call=st.booleans(),
)
def test_no_stranger_makes_it_send_to_a_third_party(
    method: str, uri: str, headers: dict[str, str], contact: str, in_call: bool
) -> None:
    """Whatever Route, Contact, Via and URIs say: to whom registered, back to who sent, and on
    routes that are configured."""

    async def main() -> set[str]:
        bench = await opened(WholeBench(ROUTED))
        await bench.register("bob", BOB, contact=contact.partition(", ")[0])
        await bench.register("bob", BOB)
        bench.held.calls.settings = Settings(routes=ROUTED.routes, use_dns=False)
        fields = {"from": "<sip:mallory@elsewhere.example>;tag=m", **headers}
        if in_call:
            bench.held.calls.settings = ROUTED
            invite, found = await invited(bench)
            bench.held.calls.settings = Settings(routes=ROUTED.routes, use_dns=False)
            for forwarded in found:
                await answered(bench, forwarded, 200, contact=contact)
            fields |= {"call_id": invite.call_id.decode(), "to": "<sip:bob@example.org>;tag=t5070"}
        bench.sockets.log.clear()
        sent: list[str] = []
        await bench.receive(request(method, uri, ALICE, **fields), ALICE)
        await asyncio.sleep(1)
        sent += [str(each.target.remote and each.target.remote.host) for each in bench.sockets.log]
        return set(sent)

    known = {ALICE.remote.host, BOB.remote.host, TRUNK.host}
    assert run(main()) <= known
