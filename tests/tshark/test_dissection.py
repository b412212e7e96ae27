"""tshark dissects the same 20,000 frames: TCP, UDP, fragments and ports, of the outermost packet.

Every departure belongs to a named kind with a count. The counts are those of tshark 4.0; another
version may stop a little earlier or later in damaged headers, and then says here by how much.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from remusnet.capture import write
from remusnet.classify.headers import Headers, dissect
from remusnet.classify.reference import judge
from remusnet.frames import Frames
from remusnet.policy.policy import TCP, UDP, Fragment
from remusnet.policy.presets import PRESETS
from remusnet.policy.verdict import Verdict
from tests.lib import framegen, scapy_frames
from tests.lib.framegen import COMBINATIONS, Sample
from tests.tshark.conftest import Tshark

pytestmark = pytest.mark.tshark

FRAMES = 20_000
SEED = 20240731
LINK_LAYERS = {"eth", "ethertype", "vlan", "ieee8021ad", "llc"}
CHAIN = {"ipv6.hopopts", "ipv6.routing", "ipv6.dstopts", "ipv6.fraghdr", "ah"}
FIELDS = (
    "frame.protocols", "_ws.expert.message",
    "ip.proto", "ip.flags.mf", "ip.frag_offset",
    "ipv6.nxt", "ipv6.fraghdr.nxt", "ipv6.fraghdr.more", "ipv6.fraghdr.offset",
    "tcp.srcport", "tcp.dstport", "udp.srcport", "udp.dstport",
)  # fmt: skip

UNEXPLAINED = "unexplained"
DEPARTURES = {
    # remusnet does not judge these and holds them; tshark shows what it can.
    "more than two VLAN tags": 1028,
    "more than eight extension headers": 278,
    "cut in an IPv4 header": 169,
    "cut in an IPv6 header": 440,
    "cut in the IPv4 options": 93,
    "IPv4 header length below 20 bytes": 350,
    # tshark goes by the version, whatever the ethertype; most are IPv6 behind LLC's IPv4.
    "IPv4 ethertype, but another IP version": 1188,
    # tshark stops where the lengths of IP or 802.3 leave no room for a header. remusnet reads on in
    # what the frame has, as the kernel's classifiers do; no receiver takes such a packet.
    "tshark: IPv4 length shorter than its header": 71,
    "tshark: a header ends beyond the packet": 101,
    # The packet ends where the transport would begin: tshark names none, remusnet goes by the
    # protocol number.
    "tshark: no byte of the transport": 23,
}


@dataclass(frozen=True, slots=True)
class Outermost:
    """What both say of the outermost IP packet: nothing where there is none."""

    version: int = 0
    fragment: Fragment | None = None
    transport: int | None = None
    """TCP or UDP; None for others, and in later fragments where it is hidden."""
    ports: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """tshark's word on one frame."""

    outermost: Outermost
    stopped: bool
    """Nothing follows the IP headers, not even undissected data."""
    remarks: str


def from_remusnet(headers: Headers) -> Outermost:
    ports = None
    if headers.source_port is not None and headers.destination_port is not None:
        ports = headers.source_port, headers.destination_port
    transport = headers.protocol if headers.protocol in (TCP, UDP) else None
    return Outermost(
        headers.version,
        headers.fragment,
        transport,
        ports if transport else None,
    )


def from_tshark(line: str) -> Seen:
    fields = dict(zip(FIELDS, line.split("\t"), strict=True))

    def first(name: str) -> str:
        """Of the outermost header, should a tunnel or a quoted packet have another."""
        return fields[name].split(",")[0]

    layers = fields["frame.protocols"].split(":")
    remarks = fields["_ws.expert.message"]
    at = 0
    while at < len(layers) and layers[at] in LINK_LAYERS:
        at += 1
    if at == len(layers) or layers[at] not in ("ip", "ipv6"):
        return Seen(Outermost(), False, remarks)
    behind = at + 1
    while behind < len(layers) and layers[behind] in CHAIN:
        behind += 1
    name = layers[behind] if behind < len(layers) else ""
    version, prefix, more = 4, "ip.frag_", "ip.flags.mf"
    if layers[at] == "ipv6":
        version, prefix, more = 6, "ipv6.fraghdr.", "ipv6.fraghdr.more"
    fragment = Fragment.WHOLE
    if version == 4 or "ipv6.fraghdr" in layers[at:behind]:
        if int(first(f"{prefix}offset") or 0):
            fragment = Fragment.LATER
        elif first(more) == "1":
            fragment = Fragment.FIRST
    transport, ports = {"tcp": TCP, "udp": UDP}.get(name), None
    if fragment is Fragment.LATER:
        number = int(first("ip.proto" if version == 4 else "ipv6.fraghdr.nxt") or -1)
        transport = number if number in (TCP, UDP) else None
    elif transport and first(f"{name}.srcport") and first(f"{name}.dstport"):
        ports = int(first(f"{name}.srcport")), int(first(f"{name}.dstport"))
    return Seen(Outermost(version, fragment, transport, ports), not name, remarks)


def departure(headers: Headers, seen: Seen) -> str | None:
    """The kind of the difference, None where there is none."""
    if from_remusnet(headers) == seen.outermost:
        return None
    if headers.odd is not None:
        return re.sub(r"but IP version \d+", "but another IP version", headers.odd)
    without_ports = replace(from_remusnet(headers), ports=None)
    if seen.outermost == without_ports:
        return "tshark: a header ends beyond the packet"
    if not seen.stopped:
        return UNEXPLAINED
    if "Malformed" in seen.remarks:
        return "tshark: a header ends beyond the packet"
    if "Bogus IP length" in seen.remarks:
        return "tshark: IPv4 length shorter than its header"
    return "tshark: no byte of the transport"


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """Frames of both hands: scapy's, and the generator's that has every combination whole."""
    by_scapy = scapy_frames.generate()
    assert FRAMES - len(by_scapy) >= 2 * len(COMBINATIONS)
    return [*framegen.generate(FRAMES - len(by_scapy), SEED), *by_scapy]


@pytest.fixture(scope="module")
def dissected(
    tshark: Tshark, samples: list[Sample], tmp_path_factory: pytest.TempPathFactory
) -> list[Seen]:
    """What tshark says of each; it looks at each frame by itself, and guesses nothing."""
    path: Path = tmp_path_factory.mktemp("kinds") / "kinds.pcap"
    write(path, Frames.of([sample.frame for sample in samples]))
    options = ["-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE"]
    options += ["-o", "tcp.desegment_tcp_streams:FALSE"]
    columns = [option for field in FIELDS for option in ("-e", field)]
    form = ["-T", "fields", "-E", "occurrence=a", "-E", "aggregator=,"]
    lines = tshark("-n", "-r", path, *options, *form, *columns).splitlines()
    assert len(lines) == len(samples)
    return [from_tshark(line) for line in lines]


def test_remusnet_and_tshark_agree_on_tcp_udp_fragments_and_ports(
    samples: list[Sample], dissected: list[Seen]
) -> None:
    kinds: Counter[str] = Counter()
    unexplained = []
    for sample, seen in zip(samples, dissected, strict=True):
        headers = dissect(sample.frame)
        kind = departure(headers, seen)
        if kind == UNEXPLAINED:
            unexplained.append((sample.kind, sample.frame.hex(), headers, seen))
        elif kind is not None:
            kinds[kind] += 1
    assert unexplained == []
    assert kinds == DEPARTURES


def test_whole_frames_differ_only_where_remusnet_declines_to_judge(
    samples: list[Sample], dissected: list[Seen]
) -> None:
    """Frames without damage: three tags, nine headers, and IPv6 where LLC announces IPv4."""
    differing = set()
    for sample, seen in zip(samples, dissected, strict=True):
        headers = dissect(sample.frame)
        if sample.damage == "whole" and departure(headers, seen) is not None:
            assert headers.odd is not None
            differing.add((sample.link, sample.network.partition("-chain-9")[1]))
    assert differing - {("three-tags", ""), ("llc-ip", "")} == {
        (link, "-chain-9") for link in framegen.LINKS if link not in ("snap-cisco", "llc-stp")
    }


def test_what_tshark_calls_tcp_is_held_and_whole_udp_only_where_it_is_odd(
    samples: list[Sample], dissected: list[Seen]
) -> None:
    """The verdict of tcp-only against a judge that shares no line with remusnet."""
    held = bypassed = 0
    for sample, seen in zip(samples, dissected, strict=True):
        headers = dissect(sample.frame)
        verdict = judge(PRESETS["tcp-only"], headers).verdict
        if seen.outermost.transport == TCP:
            assert verdict is Verdict.HOLD, sample
            held += 1
        elif seen.outermost.transport == UDP and headers.odd is None:
            assert verdict is Verdict.BYPASS, sample
            bypassed += 1
    # Enough of both that agreement is no accident.
    assert held > 1_000
    assert bypassed > 4_000
