"""Flows as text, and the grouping of frames."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from remusnet.classify.columns import Columns, columns
from remusnet.frames import Frames
from remusnet.metrics.flows import (
    address_text,
    connection_keys,
    flow_keys,
    flow_of,
    flow_text,
    protocol_text,
)
from tests.unit.metrics import packets as make
from tests.unit.metrics.packets import Flow

ARP = make.MACS + bytes.fromhex("0806 0001 0800 06 04 0001") + bytes(20)


def of(*frames: bytes) -> Columns:
    return columns(Frames.of(frames))


def test_a_flow_is_text_with_names_and_brackets_for_ipv6() -> None:
    udp = flow_text(17, "10.0.0.1", 5004, "10.0.0.2", 6000)
    assert udp == "udp 10.0.0.1:5004 > 10.0.0.2:6000"
    tcp = flow_text(6, "2001:db8::1", 5060, "fe80::1", 1)
    assert tcp == "tcp [2001:db8::1]:5060 > [fe80::1]:1"


def test_what_has_no_ports_shows_none() -> None:
    assert flow_text(58, "fe80::1", -1, "ff02::1", -1) == "icmpv6 fe80::1 > ff02::1"
    assert flow_text(253, "10.0.0.1", -1, "10.0.0.2", -1) == "protocol 253 10.0.0.1 > 10.0.0.2"


def test_a_protocol_that_a_fragment_hides_is_ip() -> None:
    assert protocol_text(-1) == "ip"


@pytest.mark.parametrize("text", ["10.0.0.1", "255.255.255.255", "::1", "2001:db8::1", "::"])
def test_addresses_are_written_as_people_write_them(text: str) -> None:
    frame = make.udp(b"", Flow(text, 1, text, 2))
    assert flow_of(of(frame), 0).split()[1].startswith(f"[{text}]" if ":" in text else f"{text}:")


def test_ipv4_is_not_shown_as_mapped_ipv6() -> None:
    assert address_text(0xFFFF << 32 | 0x0A000001) == "10.0.0.1"


def test_frames_without_ip_are_named_by_their_ethertype() -> None:
    unnamed = make.MACS + b"\x88\xb5" + bytes(46)
    found = of(ARP, unnamed, b"short")
    assert [flow_of(found, n) for n in range(3)] == ["arp", "ethertype 0x88b5", "no ethertype"]


def test_flows_are_numbered_in_order_of_appearance() -> None:
    there, back = Flow(), Flow("10.0.0.2", 20002, "10.0.0.1", 20000)
    tagged = replace(there, tagged=True)
    frames = [make.udp(b"a", back), ARP, make.udp(b"b", there), make.udp(b"c", back)]
    inverse, first = flow_keys(of(*frames, make.udp(b"d", tagged)))
    assert inverse.tolist() == [0, 1, 2, 0, 2], "a tag makes no other flow"
    assert first == [0, 1, 2]


@pytest.mark.parametrize(
    "other",
    [
        Flow(source="10.0.0.9"),
        Flow(destination="10.0.0.9"),
        Flow(sport=1),
        Flow(dport=1),
        Flow("2001:db8::1", 20000, "2001:db8:1::2", 20002),
    ],
)
def test_each_end_tells_flows_apart(other: Flow) -> None:
    assert flow_keys(of(make.udp(b"", Flow()), make.udp(b"", other)))[1] == [0, 1]


def test_protocols_tell_flows_apart() -> None:
    assert flow_keys(of(make.udp(b"", Flow()), make.tcp(b"", 1, Flow())))[1] == [0, 1]


def test_both_directions_are_one_connection() -> None:
    there, back = Flow(), Flow("10.0.0.2", 20002, "10.0.0.1", 20000)
    crossed = Flow("10.0.0.2", 20000, "10.0.0.1", 20002)
    frames = [make.tcp(b"", 1, flow) for flow in (back, there, crossed, back)]
    inverse, first = connection_keys(of(*frames))
    assert inverse.tolist() == [0, 0, 1, 0]
    assert first == [0, 2]


def test_nothing_has_no_flows() -> None:
    inverse, first = flow_keys(of())
    assert (inverse.tolist(), first) == ([], [])
    assert connection_keys(of())[1] == []


@pytest.mark.parametrize("flows", [10, 150_000])
def test_a_flow_table_of_150_000_frames_takes_a_moment(flows: int) -> None:
    """Quarters of the classify command's time are lost here if frames are looked at one by one."""
    few = columns(Frames.of([make.udp(b"", Flow())]))
    row = np.zeros(150_000, np.int64)
    ports = np.random.default_rng(1).integers(0, flows, len(row))
    many = replace(
        few,
        ethertype=few.ethertype[row],
        protocol=few.protocol[row],
        source=few.source[row],
        destination=few.destination[row],
        sport=ports % 2**16,
        dport=ports // 2**16,
    )
    best = min(_seconds(many) for _ in range(5))
    inverse, first = flow_keys(many)
    assert (ports[first][inverse] == ports).all()
    # 0.03 to 0.06 s on two old cores; ten times that is a loop over frames.
    assert best < 0.3


def _seconds(many: Columns) -> float:
    begin = time.process_time()  # others may use the processor meanwhile
    flow_keys(many)
    return time.process_time() - begin
