"""Flows: their one form as text, which frames belong to the same one, and what policies do to them.

A `Judgement` is what the reference classifier says of each frame (equal headers are judged once), a
`Survey` what a policy does to a capture: flows with their verdicts, and the hazards in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address

import numpy as np

from remusnet.classify.columns import Columns, columns, group_rows
from remusnet.classify.headers import Headers, dissect
from remusnet.classify.reference import Decision, Hazard, hazards_of_frame, judge
from remusnet.frames import Bools, Frames, Int64s
from remusnet.policy.policy import ETHERTYPES, PORT_PROTOCOLS, PROTOCOLS, Policy
from remusnet.policy.verdict import Verdict

_PROTOCOL_NAMES = {number: name for name, number in PROTOCOLS.items()}
_ETHERTYPE_NAMES = {number: name for name, number in ETHERTYPES.items()}


def address_text(address: int) -> str:
    """A 128-bit address as people write it; ``::ffff:a.b.c.d`` is IPv4.

    >>> address_text(0xFFFF0A000001), address_text(1)
    ('10.0.0.1', '::1')
    """
    found = IPv6Address(address)
    return str(found.ipv4_mapped or found)


def protocol_text(protocol: int) -> str:
    """``tcp``, ``udp``, ``icmpv6`` ...; ``protocol 253`` without a name, ``ip`` for -1 (hidden)."""
    if protocol < 0:
        return "ip"
    return _PROTOCOL_NAMES.get(protocol, f"protocol {protocol}")


def endpoint_text(address: str, port: int) -> str:
    """``10.0.0.1:5004``, ``[2001:db8::1]:5004``; the address alone where the port is -1."""
    if port < 0:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def flow_text(protocol: int, source: str, sport: int, destination: str, dport: int) -> str:
    """The one form of a flow; -1 is an unknown protocol or port.

    >>> flow_text(17, "10.0.0.1", 5004, "2001:db8::2", 6000)
    'udp 10.0.0.1:5004 > [2001:db8::2]:6000'
    >>> flow_text(1, "10.0.0.1", -1, "10.0.0.2", -1)
    'icmp 10.0.0.1 > 10.0.0.2'
    """
    ends = f"{endpoint_text(source, sport)} > {endpoint_text(destination, dport)}"
    return f"{protocol_text(protocol)} {ends}"


def address(columns: Columns, index: int, *, source: bool) -> int:
    """The 128-bit source or destination address of frame ``index``; IPv4 is mapped."""
    high, low = (columns.source if source else columns.destination)[index].tolist()
    return int(high) << 64 | int(low)


def ethertype_text(ethertype: int | None) -> str:
    """``arp``, ``ethertype 0x88b5``; ``no ethertype`` for None."""
    if ethertype is None:
        return "no ethertype"
    return _ETHERTYPE_NAMES.get(ethertype, f"ethertype 0x{ethertype:04x}")


def flow_of(columns: Columns, index: int) -> str:
    """The flow of frame ``index``: `flow_text` for IP, else the ethertype."""
    if columns.ip_version[index] == 0:
        ethertype = int(columns.ethertype[index])
        return ethertype_text(None if ethertype < 0 else ethertype)
    protocol = int(columns.protocol[index])
    # ICMP has no ports, and a later fragment hides them; a frame may be cut before them.
    ported = protocol in PORT_PROTOCOLS
    return flow_text(
        protocol,
        address_text(address(columns, index, source=True)),
        int(columns.sport[index]) if ported else -1,
        address_text(address(columns, index, source=False)),
        int(columns.dport[index]) if ported else -1,
    )


def flow_keys(columns: Columns) -> tuple[Int64s, list[int]]:
    """Which flow each frame belongs to: (inverse int64[n], one frame of each flow).

    A flow is one direction: equal ethertype, protocol, addresses and ports. Flows are numbered in
    order of their first frames, and those are the representatives.
    """
    # Four small numbers in one key: 17 + 9 + 17 + 17 bits, each one up so that -1 becomes 0.
    small = columns.ethertype + 1
    for column, bits in ((columns.protocol, 9), (columns.sport, 17), (columns.dport, 17)):
        small = small << bits | column + 1
    first, inverse = group_rows([small, *_address_keys(columns)])
    return inverse, first.tolist()


def connection_keys(columns: Columns) -> tuple[Int64s, list[int]]:
    """As `flow_keys`, but with both directions of a flow under one number."""
    inverse, first = flow_keys(columns)
    numbers: dict[tuple[object, ...], int] = {}
    connection = np.zeros(len(first), np.int64)
    representatives: list[int] = []
    for flow, index in enumerate(first):
        ends = [
            (address(columns, index, source=True), int(columns.sport[index])),
            (address(columns, index, source=False), int(columns.dport[index])),
        ]
        key = (int(columns.ethertype[index]), int(columns.protocol[index]), *sorted(ends))
        if key not in numbers:
            numbers[key] = len(representatives)
            representatives.append(index)
        connection[flow] = numbers[key]
    return connection[inverse], representatives


def _address_keys(columns: Columns) -> list[np.ndarray[tuple[int], np.dtype[np.uint64]]]:
    return [
        columns.source[:, 0],
        columns.source[:, 1],
        columns.destination[:, 0],
        columns.destination[:, 1],
    ]


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """The decisions on n frames: ``decisions[group[i]]`` is that on frame i.

    ``hold``: bool[n]; ``group``: int64[n]; ``headers``: what the frames of each group have alike.
    """

    policy: Policy
    hold: Bools
    group: Int64s
    decisions: tuple[Decision, ...]
    headers: tuple[Headers, ...]

    def decision(self, index: int) -> Decision:
        """The decision on frame ``index``, counted from 0."""
        return self.decisions[int(self.group[index])]


def judge_frames(policies: Sequence[Policy], frames: Frames, columns: Columns) -> list[Judgement]:
    """The decisions of each of ``policies`` on all ``frames``, whose headers are ``columns``."""
    first, group = group_rows(columns.decisive())
    headers = tuple(dissect(frames.frame(i), int(frames.length[i])) for i in first)
    judgements = []
    for policy in policies:
        decisions = tuple(judge(policy, each) for each in headers)
        held = np.array([each.verdict is Verdict.HOLD for each in decisions], np.bool_)
        hold = held[group] if len(held) else np.zeros(0, np.bool_)
        judgements.append(Judgement(policy, hold, group, decisions, headers))
    return judgements


@dataclass(frozen=True, slots=True)
class FlowVerdict:
    """Frames of one flow (one direction) that the same rule decided on; ``bytes`` on the wire."""

    flow: str
    frames: int
    bytes: int
    verdict: Verdict
    rule: str


@dataclass(frozen=True, slots=True)
class SeenHazard:
    """A hazard, in how many frames it was seen, and the flow in which it was seen first."""

    name: str
    text: str
    frames: int
    flow: str


@dataclass(frozen=True, slots=True)
class Survey:
    """What ``policy`` does to all frames of a capture, of all senders."""

    policy: Policy
    held: int
    bypassed: int
    flows: tuple[FlowVerdict, ...]
    hazards: tuple[SeenHazard, ...]


def survey(frames: Frames, policies: Sequence[Policy]) -> tuple[list[Survey], list[Judgement]]:
    """A survey for each of ``policies``, and the judgements they come from, in the same order."""
    headers = columns(frames)
    flow, first = flow_keys(headers)
    names = [flow_of(headers, index) for index in first]
    judgements = judge_frames(policies, frames, headers)
    return [_survey(frames, headers, flow, names, each) for each in judgements], judgements


def _survey(
    frames: Frames,
    headers: Columns,
    flow: np.ndarray[tuple[int], np.dtype[np.int64]],
    names: list[str],
    judgement: Judgement,
) -> Survey:
    # Decisions differ in their reasons too; a flow has a row for each rule that decided on it.
    rules: dict[tuple[Verdict, str], int] = {}
    rule_of_group = np.array(
        [rules.setdefault((d.verdict, d.rule), len(rules)) for d in judgement.decisions], np.int64
    )
    rule = rule_of_group[judgement.group] if len(headers) else judgement.group
    first, row = group_rows([flow, rule])
    counts = np.bincount(row, minlength=len(first))
    sizes = np.bincount(row, weights=frames.length, minlength=len(first))
    kinds = list(rules)
    flows = tuple(
        FlowVerdict(names[int(flow[i])], int(count), int(size), *kinds[int(rule[i])])
        for i, count, size in zip(first, counts, sizes, strict=True)
    )
    held = int(judgement.hold.sum())
    every = np.arange(len(headers))
    return Survey(
        judgement.policy, held, len(headers) - held, flows, hazards_seen(judgement, headers, every)
    )


def hazards_seen(
    judgement: Judgement, columns: Columns, rows: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> tuple[SeenHazard, ...]:
    """The hazards in the frames at ``rows`` (int64[n], ascending), which were judged."""
    group = judgement.group[rows]
    counts = np.bincount(group, minlength=len(judgement.headers))
    seen: dict[str, tuple[Hazard, list[int]]] = {}
    pairs = zip(judgement.headers, judgement.decisions, strict=True)
    for number, (headers, decision) in enumerate(pairs):
        if counts[number]:
            for hazard in hazards_of_frame(judgement.policy, headers, decision.verdict):
                seen.setdefault(hazard.name, (hazard, []))[1].append(number)
    found = []
    for name, (hazard, numbers) in seen.items():
        first = int(rows[np.argmax(np.isin(group, numbers))])
        total = int(counts[numbers].sum())
        found.append(SeenHazard(name, hazard.text, total, flow_of(columns, first)))
    return tuple(found)
