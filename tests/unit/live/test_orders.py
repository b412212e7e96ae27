"""What can be asked of a live run, and what can't."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from remusnet.errors import Conflict, InvalidInput
from remusnet.live.network import choose_subnet
from remusnet.live.orders import RunOrder, filled, parse_published, parse_subnet
from remusnet.schedule import Schedule


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5060/udp", ("127.0.0.1", 5060, 5060, "udp")),
        ("8080:80/tcp", ("127.0.0.1", 8080, 80, "tcp")),
        ("0.0.0.0:8080:80/TCP", ("0.0.0.0", 8080, 80, "tcp")),
    ],
)
def test_a_port_is_published_on_this_machine_alone_unless_told(
    text: str, expected: tuple[str, int, int, str]
) -> None:
    found = parse_published(text)
    assert (str(found.address), found.host, found.guest, found.transport) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("5060", "expected 5060/udp"),
        ("5060/sctp", "expected 5060/udp"),
        ("0/udp", "ports are 1 to 65535"),
        ("70000:1/tcp", "ports are 1 to 65535"),
        ("1.2.3.4:80/tcp", "1.2.3.4:80:80/tcp"),
        ("host:80:80/tcp", "no IPv4 address"),
        ("1.2.3:80:80/tcp", "no IPv4 address"),
        ("::1:80/tcp", "invalid --publish"),
    ],
)
def test_what_can_not_be_published_is_told_in_one_line(text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match="invalid --publish") as caught:
        parse_published(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["10.77.0.0", "10.77.0.1/24", "10.0.0.0/30", "net", "::/64"])
def test_a_subnet_has_room_for_two_and_is_written_whole(text: str) -> None:
    with pytest.raises(InvalidInput, match="--subnet"):
        parse_subnet(text)


def test_the_first_subnet_that_nothing_overlaps_is_taken() -> None:
    taken = [IPv4Network("10.77.0.0/23"), IPv4Network("10.77.2.7/32")]
    assert choose_subnet(None, taken) == IPv4Network("10.77.3.0/24")


def test_a_wanted_subnet_that_is_taken_is_a_conflict_that_names_what_takes_it() -> None:
    with pytest.raises(Conflict, match="10.0.0.0/8"):
        choose_subnet(IPv4Network("10.99.0.0/24"), [IPv4Network("10.0.0.0/8")])


def test_no_subnet_is_left() -> None:
    with pytest.raises(Conflict, match="--subnet"):
        choose_subnet(None, [IPv4Network("10.0.0.0/8")])


def test_a_port_that_is_published_twice_is_a_mistake() -> None:
    twice = (parse_published("53/udp"), parse_published("53:5353/udp"))
    with pytest.raises(InvalidInput, match="twice"):
        RunOrder(("true",), Schedule(1, 0, 0), None, 1, published=twice)


def test_tcp_and_udp_of_one_port_are_two() -> None:
    both = (parse_published("53/udp"), parse_published("53/tcp"))
    assert RunOrder(("true",), Schedule(1, 0, 0), None, 1, published=both).published == both


def test_the_program_is_told_its_address_wherever_it_asks_for_it() -> None:
    found = filled(["x", "--listen={address}:80", "{other}"], IPv4Address("10.77.0.2"))
    assert found == ["x", "--listen=10.77.0.2:80", "{other}"]
