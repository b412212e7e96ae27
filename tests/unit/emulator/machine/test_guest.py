from __future__ import annotations

import numpy as np
import pytest

from remusnet.classify.columns import Columns, columns
from remusnet.emulator.machine.guest import find_guest
from remusnet.errors import InvalidInput
from remusnet.frames import Frames
from tests.unit.emulator.recorded import FROM_GUEST, FROM_PEER, GUEST, OTHER, PEER, by
from tests.unit.metrics import packets as make
from tests.unit.metrics.packets import Flow

XEN_2 = bytes.fromhex("00163e000002")
OVER_IPV6 = Flow("2001:db8::1", 20000, "2001:db8::2", 30000)
ARP = bytes(12) + bytes.fromhex("0806") + bytes(28)


def sent_by(*sources: bytes, frame: bytes | None = None) -> Columns:
    """One frame from each of the MAC addresses."""
    frame = frame or make.udp(bytes(20), FROM_GUEST)
    return columns(Frames.of([by(source, frame) for source in sources]))


def test_a_mac_address_takes_all_frames_with_that_source() -> None:
    found = find_guest(sent_by(PEER, GUEST, GUEST), "00:16:3E:00:00:01")
    assert found.sent.tolist() == [False, True, True]
    assert (found.address, found.reason) == ("00:16:3e:00:00:01", "as asked")
    assert find_guest(sent_by(PEER), "02-00-00-00-00-02").address == "02:00:00:00:00:02"


def test_an_ip_address_takes_the_packets_with_that_source() -> None:
    frames = [
        by(GUEST, make.udp(bytes(20), FROM_GUEST)),
        by(GUEST, make.udp(bytes(20), FROM_PEER)),
        by(GUEST, make.udp(bytes(20), OVER_IPV6)),
        by(GUEST, ARP),
    ]
    headers = columns(Frames.of(frames))
    assert find_guest(headers, "10.0.0.1").sent.tolist() == [True, False, False, False]
    assert find_guest(headers, "2001:DB8:0::1").sent.tolist() == [False, False, True, False]
    assert find_guest(headers, "2001:DB8:0::1").address == "2001:db8::1"


def test_an_address_that_sends_nothing_is_refused_with_those_that_do() -> None:
    with pytest.raises(InvalidInput, match=r"no frame is from 10\.0\.0\.9; senders are 02:00"):
        find_guest(sent_by(PEER), "10.0.0.9")
    with pytest.raises(InvalidInput, match="no frame is from ff:00:00:00:00:01"):
        find_guest(sent_by(PEER), "ff:00:00:00:00:01")
    many = [bytes((2, 0, 0, 0, 0, n)) for n in range(4)]
    with pytest.raises(InvalidInput, match="senders are .*:00, .*:01, .*:02, and others$"):
        find_guest(sent_by(*many), "10.0.0.9")


@pytest.mark.parametrize(
    "text",
    ["", "guest", "00:16:3e:00:00", "00:16-3e:00:00:01", "10.0.0", "10.0.0.1/24", "::g", "\x1b"],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="invalid guest: .*; expected a MAC address"):
        find_guest(sent_by(PEER), text)


def test_without_a_name_xens_prefix_decides() -> None:
    found = find_guest(sent_by(PEER, PEER, GUEST))
    assert found.address == "00:16:3e:00:00:01"
    assert found.reason == "the only sender with Xen's prefix 00:16:3e"


def test_of_several_with_xens_prefix_the_busiest_is_taken() -> None:
    found = find_guest(sent_by(GUEST, XEN_2, XEN_2, PEER))
    assert found.address == "00:16:3e:00:00:02"
    assert found.reason == "it sent most frames of 2 senders with Xen's prefix 00:16:3e"


def test_without_xens_prefix_the_busiest_is_taken() -> None:
    found = find_guest(sent_by(OTHER, PEER, OTHER, PEER, PEER))
    assert found.address == "02:00:00:00:00:02"
    assert found.reason == "it sent most frames of 2 senders; none has Xen's prefix 00:16:3e"
    assert find_guest(sent_by(PEER)).reason == "the only sender"


def test_of_equally_busy_ones_the_first_is_taken() -> None:
    assert find_guest(sent_by(OTHER, PEER)).address == "02:00:00:00:00:03"
    assert find_guest(sent_by(PEER, OTHER)).address == "02:00:00:00:00:02"


def test_neither_a_group_nor_the_loopback_device_is_a_guest() -> None:
    group, nobody = bytes.fromhex("01005e000001"), bytes(6)
    assert find_guest(sent_by(group, group, nobody, nobody, PEER)).address == "02:00:00:00:00:02"


def test_without_a_sender_s_mac_address_it_is_the_busiest_ip_address() -> None:
    """A call over loopback, or over link layers without such addresses."""
    nobody = bytes(6)
    frames = [by(nobody, make.udp(bytes(20), flow)) for flow in (FROM_PEER, FROM_GUEST, FROM_GUEST)]
    found = find_guest(columns(Frames.of([*frames, by(nobody, ARP)])))
    assert (found.address, found.sent.tolist()) == ("10.0.0.1", [False, True, True, False])
    assert found.reason == (
        "no frame has a sender's MAC address; it sent most packets of 2 IP addresses"
    )
    alone = find_guest(sent_by(nobody, nobody))
    assert alone.reason.endswith("the only IP address that sends")
    over_ipv6 = find_guest(sent_by(nobody, frame=make.udp(bytes(20), OVER_IPV6)))
    assert over_ipv6.address == "2001:db8::1"
    with pytest.raises(
        InvalidInput, match=r"no frame is from 10\.0\.0\.9; senders are 10\.0\.0\.1$"
    ):
        find_guest(sent_by(nobody), "10.0.0.9")


def test_who_sends_to_a_group_or_has_no_address_is_no_guest() -> None:
    nobody = bytes(6)
    for source in ("0.0.0.0", "255.255.255.255", "224.0.0.1", "ff02::1", "::"):
        there = "2001:db8::2" if ":" in source else "10.0.0.2"
        frame = make.udp(bytes(20), Flow(source, 68, there, 67))
        with pytest.raises(InvalidInput, match="no frame has a unicast source address, MAC or IP"):
            find_guest(sent_by(nobody, frame=frame))


def test_no_frames_and_frames_without_addresses_are_no_traffic() -> None:
    with pytest.raises(InvalidInput, match="no guest traffic: there are no frames"):
        find_guest(columns(Frames.of([])))
    with pytest.raises(InvalidInput, match="no guest traffic"):
        find_guest(columns(Frames.of([b"short"])))
    with pytest.raises(InvalidInput, match="senders are unknown"):
        find_guest(columns(Frames.of([b"short"])), "10.0.0.1")


def test_the_frames_are_told_by_an_array_of_truth_values() -> None:
    assert find_guest(sent_by(PEER)).sent.dtype == np.bool_
