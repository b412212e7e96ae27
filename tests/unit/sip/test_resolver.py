"""RFC 3263: where a SIP URI leads, with a zone of our own instead of the world's names."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import dns.asyncresolver
import dns.rdatatype
import dns.resolver
import dns.zone
import pytest

from remusnet.sip.flows import Endpoint, Target, Transport
from remusnet.sip.message.uri import read_uri
from remusnet.sip.proxy.resolver import at_once, look_up
from remusnet.sip.settings import Settings

ZONE = dns.zone.from_text(
    """
$TTL 60
@ SOA ns hostmaster 1 1 1 1 1
@ NS ns
ns A 192.0.2.1
a A 192.0.2.10
b A 192.0.2.11
b AAAA 2001:db8::11
full NAPTR 20 50 "s" "SIP+D2T" "" _sip._tcp.full
full NAPTR 10 50 "s" "SIPS+D2T" "" tls.elsewhere
full NAPTR 30 50 "s" "SIP+D2S" "" _sip._sctp.full
full NAPTR 5 50 "u" "E2U+sip" "!.*!sip:x@evil.example!" .
full A 192.0.2.99
tls.elsewhere SRV 1 1 5071 a
_sip._tcp.full SRV 2 1 5082 a
_sip._tcp.full SRV 1 1 5081 b
_sips._tcp.full SRV 1 1 5061 b
srv A 192.0.2.98
_sip._udp.srv SRV 1 1 5090 a
_sip._tcp.srv SRV 1 1 5091 b
plain A 192.0.2.97
none A 192.0.2.96
_sip._udp.none SRV 0 0 0 .
weighted A 192.0.2.95
_sip._udp.weighted SRV 1 90 5060 a
_sip._udp.weighted SRV 1 10 5060 plain
_sip._udp.weighted SRV 2 100 5060 none
""",
    origin="example.",
    relativize=False,
)


class Resolver:
    """Answers from the zone; ``asked``: for what."""

    asked: list[tuple[str, str]]
    lifetime = 0.0

    async def resolve(self, name: str, kind: dns.rdatatype.RdataType) -> Any:
        self.asked.append((name, dns.rdatatype.to_text(kind)))
        try:
            found = ZONE.get_rrset(dns.name.from_text(name), kind)
        except KeyError:
            raise dns.resolver.NXDOMAIN from None
        if found is None:
            raise dns.resolver.NXDOMAIN
        return type("Answer", (), {"rrset": found})


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    monkeypatch.setattr(Resolver, "asked", [], raising=False)
    monkeypatch.setattr(dns.asyncresolver, "Resolver", Resolver)
    return Resolver.asked


def found(text: str) -> list[Target]:
    uri = read_uri(text.encode())
    assert uri is not None
    return list(asyncio.run(look_up(uri)))


def places(text: str) -> list[str]:
    return [f"{each.transport.value}:{each.remote}" for each in found(text)]


B = ("192.0.2.11", "[2001:db8::11]")


def test_naptr_says_which_transport_is_best_and_where_its_service_is() -> None:
    """4.1: by order; of services that are not ours, and of other kinds, nothing."""
    tcp = [*(f"tcp:{host}:5081" for host in B), "tcp:192.0.2.10:5082"]
    assert places("sip:x@full.example") == ["tls:192.0.2.10:5071", *tcp]


def test_a_name_s_certificate_is_that_of_the_domain_that_was_asked_for() -> None:
    """RFC 5922: who answers for DNS must not choose it."""
    assert {each.name for each in found("sip:x@full.example")} == {"full.example"}


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sip:x@srv.example", ["udp:192.0.2.10:5090", *(f"tcp:{host}:5091" for host in B)]),
        ("sip:x@srv.example;transport=tcp", [f"tcp:{host}:5091" for host in B]),
        ("sips:x@full.example", [f"tls:{host}:5061" for host in B]),
    ],
)
def test_srv_says_which_port_and_who(uri: str, expected: list[str]) -> None:
    """4.1 and 4.2: a transport that the URI names, and sips, leave no choice."""
    assert places(uri) == expected


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sip:x@plain.example", ["udp:192.0.2.97:5060"]),
        ("sips:x@plain.example", ["tls:192.0.2.97:5061"]),
        ("sip:x@plain.example;transport=tcp", ["tcp:192.0.2.97:5060"]),
        ("sip:x@nobody.example", []),
    ],
)
def test_without_srv_the_name_itself_is_asked_for_at_the_usual_port(
    uri: str, expected: list[str]
) -> None:
    """4.2."""
    assert places(uri) == expected


def test_a_port_that_is_named_is_taken_and_no_service_asked_for(
    asked: list[tuple[str, str]],
) -> None:
    """4.2."""
    assert places("sip:x@srv.example:5555") == ["udp:192.0.2.98:5555"]
    assert places("sips:x@srv.example:5555") == ["tls:192.0.2.98:5555"]
    assert {kind for _, kind in asked} == {"A", "AAAA"}


def test_a_service_that_is_not_there_is_not_asked_for_at_the_root() -> None:
    """RFC 2782: a target of ``.``."""
    assert places("sip:x@none.example") == ["udp:192.0.2.96:5060"]


def test_of_one_priority_hosts_are_drawn_by_weight_and_another_comes_after() -> None:
    """RFC 2782."""
    orders = Counter(tuple(each[-2:] for each in _hosts()) for _ in range(400))
    assert {order[2] for order in orders} == {"96"}
    first = sum(number for order, number in orders.items() if order[0] == "10")
    # 360 of 400 on average; 300 is ten standard deviations away.
    assert 300 < first < 400


def _hosts() -> list[str]:
    return [each.remote.host for each in found("sip:x@weighted.example") if each.remote is not None]


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sip:192.0.2.5", Target(Transport.UDP, Endpoint("192.0.2.5", 5060), name="192.0.2.5")),
        ("sips:192.0.2.5", Target(Transport.TLS, Endpoint("192.0.2.5", 5061), name="192.0.2.5")),
        (
            "sip:[2001:db8::1]:5070;transport=tcp",
            Target(Transport.TCP, Endpoint("2001:db8::1", 5070), name="[2001:db8::1]"),
        ),
        ("sip:names.example", None),
    ],
)
def test_an_address_is_taken_as_it_is(uri: str, expected: Target | None) -> None:
    """4.1: UDP, or TLS for sips."""
    parsed = read_uri(uri.encode())
    assert parsed is not None
    assert at_once(parsed, Settings()) == expected
