"""The kernel's way with a frame and flower filters, in Python, mixed with u32 filters.

Written from the kernel's sources and not from remusnet:

- net/core/flow_dissector.c, __skb_flow_dissect(): what it finds in untagged IP packets, and that
  it leaves 0 where it found nothing; ``old``: as before Linux 5.16, which looked into tunnels;
- net/sched/cls_flower.c, fl_classify(): what it compares; masks in the order of their creation,
  and for each at most one filter that agrees.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby

from remusnet.classify.filters import Filter
from remusnet.classify.flower.conditions import FlowerMatch
from remusnet.policy.policy import Fragment, Network
from remusnet.policy.verdict import Verdict
from tests.lib import u32_machine

_IPV4, _IPV6 = 0x0800, 0x86DD
_MOST_HEADERS = 15
_TUNNELS = {4: _IPV4, 41: _IPV6}
_GRE, _MPLS = 47, 137
_FRAGMENT, _WALKED = 44, (0, 43, 60)


@dataclass(frozen=True, slots=True)
class Keys:
    """struct fl_flow_key: what was found, else 0."""

    n_proto: int
    ip_proto: int = 0
    source: int = 0
    destination: int = 0
    tos: int = 0
    fragment: Fragment = Fragment.WHOLE
    ports: tuple[int, int] = (0, 0)
    icmp_type: int = 0


def dissect(data: bytes, protocol: int, *, old: bool = False) -> Keys:
    """What the dissector finds in the network packet ``data``."""
    keys, at = Keys(protocol), 0
    for _ in range(_MOST_HEADERS):
        found = _network(data, at, keys)
        if found is None:
            return keys
        keys, at = found
        keys, at, again = _transport(data, at, keys, old)
        if not again:
            return keys
    return keys


def _network(data: bytes, at: int, keys: Keys) -> tuple[Keys, int] | None:
    """None where it gives up. It does not look at the version."""
    header = data[at:]
    if keys.n_proto == _IPV4:
        if len(header) < 20 or header[0] & 15 < 5:
            return None
        flags = int.from_bytes(header[6:8], "big")
        fragment = (
            Fragment.LATER
            if flags & 0x1FFF
            else Fragment.FIRST
            if flags & 0x2000
            else Fragment.WHOLE
        )
        keys = replace(
            keys,
            ip_proto=header[9],
            source=int.from_bytes(header[12:16], "big"),
            destination=int.from_bytes(header[16:20], "big"),
            tos=header[1],
            fragment=fragment,
        )
        return keys, at + (header[0] & 15) * 4
    if keys.n_proto == _IPV6:
        if len(header) < 40:
            return None
        keys = replace(
            keys,
            ip_proto=header[6],
            source=int.from_bytes(header[8:24], "big"),
            destination=int.from_bytes(header[24:40], "big"),
            tos=int.from_bytes(header[:2], "big") >> 4 & 0xFF,
        )
        return keys, at + 40
    return None


def _transport(data: bytes, at: int, keys: Keys, old: bool) -> tuple[Keys, int, bool]:
    """True: another network header follows."""
    if keys.fragment is not Fragment.WHOLE:
        return keys, at, False
    for _ in range(_MOST_HEADERS):
        if keys.n_proto != _IPV6 or keys.ip_proto not in (*_WALKED, _FRAGMENT):
            break
        if len(data) < at + (8 if keys.ip_proto == _FRAGMENT else 2):
            return keys, at, False
        if keys.ip_proto == _FRAGMENT:
            later = int.from_bytes(data[at + 2 : at + 4], "big") & 0xFFF8
            fragment = Fragment.LATER if later else Fragment.FIRST
            return replace(keys, ip_proto=data[at], fragment=fragment), at + 8, False
        keys, at = replace(keys, ip_proto=data[at]), at + (data[at + 1] + 1) * 8
    if keys.ip_proto == _MPLS:
        return replace(keys, n_proto=0x8847), at, False
    if old and keys.ip_proto in _TUNNELS:
        return replace(keys, n_proto=_TUNNELS[keys.ip_proto]), at, True
    if old and keys.ip_proto == _GRE and data[at : at + 2] == b"\0\0" and len(data) >= at + 4:
        return replace(keys, n_proto=int.from_bytes(data[at + 2 : at + 4], "big")), at + 4, True
    if keys.ip_proto in (1, 58) and len(data) >= at + 8:
        keys = replace(keys, icmp_type=data[at])
    if len(data) >= at + 4:
        ports = (
            int.from_bytes(data[at : at + 2], "big"),
            int.from_bytes(data[at + 2 : at + 4], "big"),
        )
        keys = replace(keys, ports=ports)
    return keys, at, False


def agrees(match: FlowerMatch, protocol: int, keys: Keys) -> bool:
    """Whether a filter of this protocol takes a packet with these keys."""
    return keys.n_proto == protocol and all(
        (
            match.ip_proto in (None, keys.ip_proto),
            match.dscp in (None, keys.tos >> 2),
            match.fragment in (None, keys.fragment),
            _is_in(match.source, keys.source),
            _is_in(match.destination, keys.destination),
            _is_port(match.source_port, keys.ports[0]),
            _is_port(match.destination_port, keys.ports[1]),
            match.icmp_type in (None, keys.icmp_type),
        )
    )


def _is_in(network: Network | None, address: int) -> bool:
    if network is None:
        return True
    return address & int(network.netmask) == int(network.network_address)


def _is_port(wanted: tuple[int, int] | None, port: int) -> bool:
    return wanted is None or port & wanted[1] == wanted[0]


class Machine:
    """The filters at one vif's ingress, of u32 and flower, one of them a preference."""

    def __init__(self, filters: Iterable[Filter], *, old: bool = False) -> None:
        self._old = old
        by_preference = sorted(filters, key=lambda each: each.pref)
        self._preferences = [
            list(group) for _, group in groupby(by_preference, key=lambda each: each.pref)
        ]
        for group in self._preferences:
            check(group)

    def verdict(self, frame: bytes) -> Verdict | None:
        """What becomes of ``frame``; None where the kernel drops it before the filters."""
        packet = u32_machine.receive(frame)
        if packet is None:
            return None
        keys = dissect(packet.data[packet.network :], packet.protocol, old=self._old)
        for group in self._preferences:
            if isinstance(group[0].match, FlowerMatch):
                found = self._flower(group, packet.protocol, keys)
            else:
                found = u32_machine.Machine(group).decide(packet)
            if found is not None:
                return found.verdict
        return Verdict.BYPASS

    @staticmethod
    def _flower(group: Iterable[Filter], protocol: int, keys: Keys) -> Filter | None:
        for each in group:
            assert isinstance(each.match, FlowerMatch)
            if each.protocol == protocol and agrees(each.match, protocol, keys):
                return each
        return None


def check(group: list[Filter]) -> None:
    """Raises AssertionError for filters of one preference that the kernel or tc refuses, or whose
    order would matter: flower has none.
    """
    (_,) = {each.protocol for each in group}
    (kind,) = {type(each.match) for each in group}
    if kind is not FlowerMatch:
        return
    matches = [each.match for each in group if isinstance(each.match, FlowerMatch)]
    assert len(set(matches)) == len(matches), "the same filter twice: EEXIST"
    (_,) = {each.verdict for each in group}
    for match in matches:
        ports = match.source_port, match.destination_port
        assert ports == (None, None) or match.ip_proto in (6, 17, 132)
        for port in ports:
            assert port is None or not port[0] & ~port[1]
        if match.icmp_type is not None:
            assert (group[0].protocol, match.ip_proto) in ((_IPV4, 1), (_IPV6, 58))
        for network in (match.source, match.destination):
            if network is not None:
                assert {4: _IPV4, 6: _IPV6}[network.version] == group[0].protocol
