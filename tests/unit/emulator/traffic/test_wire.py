from __future__ import annotations

import pytest
from scapy.layers.dns import DNS
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import Ether

from remusnet.emulator.traffic.conversations import Conversation, conversations
from remusnet.emulator.traffic.endpoints import (
    Payload,
    Received,
    Segment,
    Send,
    Started,
    dns_server,
)
from remusnet.emulator.traffic.sip import request
from remusnet.emulator.traffic.wire import What
from tests.unit.emulator.scenes import scenario


def only(text: str) -> Conversation:
    (found,) = conversations(scenario(text))
    return found


FRAMES: dict[str, tuple[str, list[What]]] = {
    "tcp": (
        "[[tcp]]",
        [
            Segment(0, 0, 0, syn=True),
            Segment(0, 1, 0, syn=True),
            Segment(1, 1, 0),
            Segment(2**32 - 5, 77, 1460),
            Segment(1, 1, 5, ends=((6, Payload("x", 5, text=b"hello")),)),
        ],
    ),
    "sip": ("[[sip]]", [request("INVITE", scenario("[[sip]]").sip[0], 3, 0)]),
    "dns": ("[[dns]]", [Payload("query", 33, 70_000), Payload("answer", 49, 2)]),
    "icmp": ("[[icmp]]\ncount = 1", [Payload("echo-request", 56, 3), Payload("echo-reply", 57, 3)]),
}


@pytest.mark.parametrize("from_guest", [False, True])
@pytest.mark.parametrize("kind", FRAMES)
def test_every_frame_has_its_length_and_its_checksums(kind: str, from_guest: bool) -> None:
    """scapy computes both anew where they are taken out."""
    text, said = FRAMES[kind]
    wire = only(text).wire
    for what in said:
        frame = wire.frame(what, from_guest=from_guest)
        assert len(frame) == wire.length(what)
        again = Ether(frame)
        transport = next(layer for layer in (TCP, UDP, ICMP) if layer in again)
        del again[IP].chksum
        del again[IP].len
        del again[transport].chksum
        assert bytes(again) == frame
        assert (again[IP].src == "192.0.2.1") == from_guest


def test_both_directions_of_a_connection_have_each_others_ports() -> None:
    wire = only('[[tcp]]\nport = 8080\nclient = "guest"').wire
    out, back = (Ether(wire.frame(Segment(1, 1, 0), from_guest=side)) for side in (True, False))
    assert (out[TCP].dport, back[TCP].sport) == (8080, 8080)
    assert out[TCP].sport == back[TCP].dport
    assert (out[TCP].seq, out[TCP].ack) == (back[TCP].ack, back[TCP].seq)


def test_an_answer_is_dns_and_as_long_as_the_server_says() -> None:
    wire = only("[[dns]]").wire
    (said,) = dns_server().handle(Received(Payload("query", 33, 9)), 0)
    assert isinstance(said, Send)
    frame = wire.frame(said.what, from_guest=False)
    assert len(frame) == wire.length(said.what)
    found = Ether(frame)[DNS]
    assert (found.id, found.qr, found.an[0].rdata) == (9, 1, "192.0.2.80")


@pytest.mark.parametrize("inner", ["rtp", "tcp"])
@pytest.mark.parametrize(
    ("kind", "protocol"), [("gre", 47), ("ipip", 4), ("vxlan", 17), ("esp", 50)]
)
def test_a_tunnels_frame_is_that_of_its_kind(kind: str, protocol: int, inner: str) -> None:
    found = only(f'[[tunnels]]\nkind = "{kind}"\ninner = "{inner}"')
    what = Payload("tunnelled", 200)
    frame = found.wire.frame(what, from_guest=True)
    assert frame[23] == found.wire.protocol == protocol
    assert len(frame) == found.wire.length(what) == int.from_bytes(frame[16:18], "big") + 14
    # A tunnel says nothing to what comes back.
    assert list(found.peer.handle(Started(), 0)) == []
