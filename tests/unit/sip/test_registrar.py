"""RFC 3261, 10.3: what a registrar must do, rule by rule."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from remusnet.sip.auth import make_user, parse_credentials
from remusnet.sip.bindings import Binding
from remusnet.sip.message import Request, Response
from remusnet.sip.settings import Settings
from tests.lib.sip_bench import request
from tests.lib.sip_digest import credentials
from tests.lib.sip_whole import BOB, WholeBench, opened, virtual

CLOSED = Settings(min_expires=60)
TO = "<sip:bob@example.org>"


async def registered(bench: WholeBench, **headers: str) -> Response:
    return await bench.register("bob", BOB, **headers)


def contacts(response: Response) -> Sequence[bytes]:
    return [value.partition(b";")[0] for value in response.values("contact")]


@virtual
async def test_an_older_or_equal_cseq_of_the_same_call_id_changes_nothing() -> None:
    """Step 7."""
    bench = await opened(WholeBench())
    first = {"call_id": "same", "contact": "<sip:bob@192.0.2.2>"}
    assert (await registered(bench, cseq="5 REGISTER", **first)).status == 200
    for number in (5, 4):
        late = await registered(bench, cseq=f"{number} REGISTER", expires="0", **first)
        assert late.status == 500
    asked = await registered(bench, contact="")
    assert contacts(asked) == [b"<sip:bob@192.0.2.2>"]
    # Another Call-ID: a phone that was restarted counts from anywhere.
    again = await registered(bench, cseq="1 REGISTER", call_id="other", contact=first["contact"])
    assert again.status == 200


@virtual
async def test_updates_are_done_all_or_none() -> None:
    bench = await opened(WholeBench())
    await registered(bench, call_id="a", cseq="9 REGISTER", contact="<sip:one@192.0.2.2>")
    both = "<sip:two@192.0.2.2>, <sip:one@192.0.2.2>"
    assert (await registered(bench, call_id="a", cseq="8 REGISTER", contact=both)).status == 500
    assert contacts(await registered(bench, contact="")) == [b"<sip:one@192.0.2.2>"]


@virtual
async def test_a_star_takes_all_away_and_only_with_expires_0() -> None:
    """Step 6."""
    bench = await opened(WholeBench())
    await registered(bench, contact="<sip:one@192.0.2.2>")
    await registered(bench, contact="<sip:two@192.0.2.2>")
    assert (await registered(bench, contact="*", expires="60")).status == 400
    assert (await registered(bench, contact="*, <sip:x@192.0.2.2>", expires="0")).status == 400
    assert len(contacts(await registered(bench, contact=""))) == 2
    assert contacts(await registered(bench, contact="*", expires="0")) == []


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("<sip:bob@PHONE.example>", True),
        ("<sip:%62ob@phone.example>", True),
        ("<SIP:bob@phone.example>", True),
        ("<sip:Bob@phone.example>", False),
        ("<sip:bob@phone.example:5060>", False),
        ("<sip:bob@phone.example;transport=udp>", False),
        ("<sip:bob@phone.example;x=1>", True),
        ("<sips:bob@phone.example>", False),
        ("<sip:bob@phone.example?subject=x>", False),
    ],
)
@virtual
async def test_contacts_are_compared_as_uris(other: str, same: bool) -> None:
    """RFC 3261, 19.1.4."""
    bench = await opened(WholeBench())
    await registered(bench, contact="<sip:bob@phone.example>")
    await registered(bench, contact=other)
    assert len(contacts(await registered(bench, contact=""))) == (1 if same else 2)


@pytest.mark.parametrize(
    ("expires", "granted"),
    [("4294967295", 86400), ("99999999999999", 86400), ("600", 600), ("x", 3600), ("", 3600)],
)
@virtual
async def test_expiry_is_bounded_and_nonsense_is_none(expires: str, granted: int) -> None:
    """20.19: what can't be read is as if it weren't there."""
    bench = await opened(WholeBench())
    response = await registered(bench, contact="<sip:bob@192.0.2.2>", expires=expires)
    assert response.values("contact") == [f"<sip:bob@192.0.2.2>;expires={granted}".encode()]


@virtual
async def test_too_brief_an_interval_is_423_with_the_least() -> None:
    bench = await opened(WholeBench(Settings(authenticate=False, min_expires=60)))
    response = await registered(bench, expires="59")
    assert response.status == 423
    assert response.get("min-expires") == b"60"
    own = await registered(bench, contact="<sip:bob@192.0.2.2>;expires=30", expires="3600")
    assert own.status == 423


@virtual
async def test_an_hour_is_never_too_brief() -> None:
    """Step 7: if and only if it is smaller than one hour."""
    settings = Settings(authenticate=False, min_expires=7200, default_expires=7200)
    bench = await opened(WholeBench(settings))
    granted = await registered(bench, contact="<sip:bob@192.0.2.2>", expires="3600")
    assert granted.values("contact") == [b"<sip:bob@192.0.2.2>;expires=3600"]
    assert (await registered(bench, expires="3599")).status == 423


@virtual
async def test_q_and_path_come_back() -> None:
    """RFC 3327, 5.3."""
    bench = await opened(WholeBench())
    refused = await registered(bench, path="<sip:p1.example;lr>")
    assert refused.status == 420
    assert refused.get("unsupported") == b"path"
    path = "<sip:192.0.2.2;lr>, <sip:p1.example;lr>"
    response = await registered(
        bench, path=path, supported="path", contact="<sip:bob@192.0.2.2>;q=0.25"
    )
    assert response.lines("path") == [path.encode()]
    assert b";q=0.25;" in response.values("contact")[0]


@pytest.mark.parametrize(
    ("uri", "headers", "status"),
    [
        ("sip:example.org", {"require": "foo"}, 420),
        ("sip:elsewhere.example", {}, 404),
        ("sip:bob@example.org", {}, 400),
        ("tel:+123", {}, 416),
        ("sip:example.org", {"to": "<sip:bob@elsewhere.example>"}, 404),
        ("sip:example.org", {"to": "<tel:+123>"}, 416),
        ("sip:example.org", {"contact": "<http://x>"}, 400),
    ],
)
@virtual
async def test_what_is_not_served_is_refused(
    uri: str, headers: dict[str, str], status: int
) -> None:
    bench = await opened(WholeBench())
    fields = {"to": TO, **headers}
    await bench.receive(request("REGISTER", uri, BOB, **fields), BOB)
    assert bench.statuses() == [status]


@virtual
async def test_a_contact_s_own_expiry_goes_before_the_header_s() -> None:
    """10.2.1.1."""
    bench = await opened(WholeBench())
    both = "<sip:one@192.0.2.2>;expires=300, <sip:two@192.0.2.2>"
    response = await registered(bench, contact=both, expires="600")
    assert sorted(value.rpartition(b"=")[2] for value in response.values("contact")) == [
        b"300",
        b"600",
    ]


@virtual
async def test_contacts_come_back_in_the_order_of_q() -> None:
    """10.2.1.2, and step 8."""
    bench = await opened(WholeBench())
    three = "<sip:low@192.0.2.2>;q=0.1, <sip:high@192.0.2.2>, <sip:middle@192.0.2.2>;q=0.5"
    response = await registered(bench, contact=three, expires="600")
    assert [value.split(b"@")[0] for value in response.values("contact")] == [
        b"<sip:high",
        b"<sip:middle",
        b"<sip:low",
    ]
    assert all(b";expires=600" in value for value in response.values("contact"))


@virtual
async def test_an_expiry_of_0_takes_that_contact_away() -> None:
    """10.2.2."""
    bench = await opened(WholeBench())
    await registered(bench, contact="<sip:one@192.0.2.2>, <sip:two@192.0.2.2>")
    left = await registered(bench, contact="<sip:one@192.0.2.2>;expires=0")
    assert contacts(left) == [b"<sip:two@192.0.2.2>"]
    assert contacts(await registered(bench, expires="0", contact="<sip:two@192.0.2.2>")) == []


@virtual
async def test_without_contacts_it_only_asks() -> None:
    """10.2.3: whatever its expiry says."""
    bench = await opened(WholeBench())
    await registered(bench, contact="<sip:one@192.0.2.2>")
    commits = bench.store.commits
    assert contacts(await registered(bench, contact="", expires="0")) == [b"<sip:one@192.0.2.2>"]
    assert bench.store.commits == commits


@virtual
async def test_an_address_of_record_counts_without_parameters_and_escapes() -> None:
    """Step 5."""
    bench = await opened(WholeBench())
    to = "<sip:%62ob@EXAMPLE.org;user=phone>"
    await registered(bench, contact="<sip:one@192.0.2.2>", to=to)
    assert contacts(await registered(bench, contact="")) == [b"<sip:one@192.0.2.2>"]


@virtual
async def test_a_record_route_means_nothing_to_a_registrar() -> None:
    """10.3; the answer has a Date (step 8)."""
    bench = await opened(WholeBench())
    response = await registered(bench, record_route="<sip:p1.example;lr>")
    assert response.status == 200
    assert not response.has("record-route")
    assert (response.get("date") or b"").endswith(b"GMT")


@pytest.mark.parametrize(
    "headers",
    [
        {"contact": f"<sip:{'x' * 2100}@192.0.2.2>"},
        {"to": f"<sip:{'x' * 600}@example.org>"},
    ],
    ids=["contact", "to"],
)
@virtual
async def test_what_no_store_can_take_is_refused(headers: dict[str, str]) -> None:
    """A key of PostgreSQL has 2704 bytes at most: one stranger's would fail a whole batch."""
    bench = await opened(WholeBench())
    assert (await registered(bench, **headers)).status == 400


@virtual
async def test_a_merged_request_is_482() -> None:
    """8.2.2.2."""
    bench = await opened(WholeBench())
    first = request("REGISTER", "sip:example.org", BOB, to=TO)
    second = first.copy()
    second.set("Via", b"SIP/2.0/UDP 192.0.2.2:5070;branch=z9hG4bKanother")
    await bench.receive(first, BOB)
    await bench.receive(second, BOB)
    assert sorted(bench.statuses()) == [200, 482]


@virtual
async def test_a_store_that_is_away_is_503_and_nothing_confirmed_is_lost() -> None:
    bench = await opened(WholeBench())
    await registered(bench, contact="<sip:bob@192.0.2.2>", expires="3600")
    bench.store.away = True
    refused = await registered(bench, contact="<sip:new@192.0.2.2>")
    assert refused.status == 503
    assert refused.get("retry-after") is not None
    bench.store.away = False
    await _seconds(2)
    assert contacts(await registered(bench, contact="")) == [b"<sip:bob@192.0.2.2>"]


async def _seconds(seconds: float) -> None:
    import asyncio

    await asyncio.sleep(seconds)


def with_credentials(
    challenged: Request, response: Response, password: str, **other: str
) -> Request:
    """The request again, as bob's phone answers a challenge (RFC 7616, 3.4; the first one)."""
    again = challenged.copy()
    number = challenged.cseq[0]
    again.set("Via", b"SIP/2.0/UDP 192.0.2.2:5070;branch=z9hG4bK%d" % (number + 5000))
    again.set("CSeq", b"%d REGISTER" % (number + 1))
    value = response.lines("www-authenticate")[0]
    again.add("Authorization", credentials(value, "REGISTER", password, **other))
    return again


async def closed(settings: Settings = CLOSED) -> tuple[WholeBench, Request, Response]:
    """A server that wants credentials, a REGISTER, and its challenge."""
    bench = await opened(WholeBench(settings))
    await bench.store.put_user(make_user("bob", "example.org", "secret"))
    asked = request("REGISTER", "sip:example.org", BOB, to=TO)
    await bench.receive(asked, BOB)
    [challenge] = bench.sent()
    assert isinstance(challenge, Response)
    assert challenge.status == 401
    return bench, asked, challenge


@virtual
async def test_the_right_password_registers_once_for_each_nonce_count() -> None:
    """22.4; RFC 8760: SHA-256 stands first."""
    bench, asked, challenge = await closed()
    first = parse_credentials(challenge.lines("www-authenticate")[0])
    assert first is not None
    assert first["algorithm"] == "SHA-256"
    good = with_credentials(asked, challenge, "secret")
    await bench.receive(good, BOB)
    assert bench.statuses() == [200]
    replayed = good.copy()
    replayed.set("Via", b"SIP/2.0/UDP 192.0.2.2:5070;branch=z9hG4bKreplayed")
    replayed.set("CSeq", b"999999 REGISTER")
    await bench.receive(replayed, BOB)
    [refused] = bench.sent()
    assert isinstance(refused, Response)
    assert refused.status == 401
    assert b"stale=true" in refused.lines("www-authenticate")[0]


@pytest.mark.parametrize(
    ("password", "other"),
    [
        ("wrong", {}),
        ("secret", {"username": "mallory"}),
        ("secret", {"qop": "auth-int"}),
        ("secret", {"nc": "x"}),
    ],
)
@virtual
async def test_wrong_credentials_are_challenged_again(password: str, other: dict[str, str]) -> None:
    bench, asked, challenge = await closed()
    await bench.receive(with_credentials(asked, challenge, password, **other), BOB)
    assert bench.statuses() == [401]
    assert bench.store.bindings == {}


@pytest.mark.parametrize("digests", [("MD5",), ("SHA-256",), ("MD5", "SHA-256")])
@virtual
async def test_users_are_asked_for_the_digests_that_are_configured_and_no_other_will_do(
    digests: tuple[str, ...],
) -> None:
    """RFC 8760, 2.3: a challenge for each, in the order of preference."""
    bench, asked, challenge = await closed(Settings(digests=digests))
    offered = [parse_credentials(value) for value in challenge.lines("www-authenticate")]
    assert [each["algorithm"] for each in offered if each] == list(digests)
    await bench.receive(with_credentials(asked, challenge, "secret"), BOB)
    assert bench.statuses() == [200]
    other = {"MD5": b"SHA-256", "SHA-256": b"MD5"}[digests[0]]
    changed = challenge.copy()
    value = challenge.lines("www-authenticate")[0].replace(digests[0].encode(), other)
    changed.set("WWW-Authenticate", value)
    fresh = asked.copy()
    fresh.set("CSeq", b"%d REGISTER" % (asked.cseq[0] + 10))
    again = with_credentials(fresh, changed, "secret", nc="00000002")
    await bench.receive(again, BOB)
    assert bench.statuses() == ([200] if other.decode() in digests else [401])


@virtual
async def test_an_old_nonce_is_stale_though_the_password_is_right() -> None:
    bench, asked, challenge = await closed()
    await _seconds(301)
    await bench.receive(with_credentials(asked, challenge, "secret"), BOB)
    [refused] = bench.sent()
    assert isinstance(refused, Response)
    assert b"stale=true" in refused.lines("www-authenticate")[0]


@virtual
async def test_users_register_themselves_and_nobody_else() -> None:
    """Step 4."""
    bench, asked, _ = await closed()
    asked = asked.copy()
    asked.set("To", b"<sip:alice@example.org>")
    asked.set("Via", b"SIP/2.0/UDP 192.0.2.2:5070;branch=z9hG4bKother")
    asked.set("Call-ID", b"another")
    await bench.receive(asked, BOB)
    [challenge] = bench.sent()
    assert isinstance(challenge, Response)
    await bench.receive(with_credentials(asked, challenge, "secret"), BOB)
    assert bench.statuses() == [403]


@virtual
async def test_a_register_with_2_000_contacts_is_refused_before_they_are_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each with each of 64 KB: that kept everybody waiting for seconds."""
    compared = 0
    same_contact = Binding.same_contact

    def counted(binding: Binding, uri: bytes) -> bool:
        nonlocal compared
        compared += 1
        return same_contact(binding, uri)

    monkeypatch.setattr(Binding, "same_contact", counted)
    bench = await opened(WholeBench())
    contact = ", ".join(f"<sip:a@192.0.2.1:{port}>" for port in range(2_000, 4_000))
    assert (await registered(bench, contact=contact)).status == 403
    assert compared == 0
