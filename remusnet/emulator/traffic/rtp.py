"""The RTP streams of a scenario: who sends each, where to, and from when to when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from remusnet.metrics.flows import flow_text
from remusnet.policy.match import UDP
from remusnet.scenario.extent import frame_bytes, legs
from remusnet.scenario.scenario import Calls, Role, Scenario

GUEST_PORT = 10_000
PEER_PORT = 30_000
# RFC 2544's networks for tests: the phones that the guest sends to, and those that send to it.
_TO_NETWORK, _FROM_NETWORK = "198.18", "198.19"
_SPREAD = 0x9E3779B1
"""An odd number: its multiples modulo 2**32 are all different, and look like chance."""


@dataclass(frozen=True, slots=True)
class Source:
    """One stream. ``group`` and ``call`` count from 1; ``number``: of the stream in the scenario.

    ``leg`` tells a call's two streams apart. ``source`` and ``destination``: address and port.
    ``first_ns``: the first packet, before any jitter; packets come until ``end_ns``, that excluded.
    """

    calls: Calls
    group: int
    call: int
    leg: int
    number: int
    from_guest: bool
    source: tuple[str, int]
    destination: tuple[str, int]
    first_ns: int
    end_ns: int

    @property
    def ssrc(self) -> int:
        """Different for every stream."""
        return (self.number + 1) * _SPREAD % 2**32

    @property
    def first_sequence(self) -> int:
        """RFC 3550 wants a random one; here it depends on the stream alone, not on the seed."""
        return self.ssrc >> 13 & 0xFFFF

    @property
    def first_timestamp(self) -> int:
        """As `first_sequence`."""
        return self.ssrc * _SPREAD % 2**32

    @property
    def interval_ns(self) -> int:
        """Between two packets, by the checkpointer's clock: the sender's may drift."""
        return self.calls.ptime_ns + self.calls.ptime_ns * self.calls.drift_ppm // 1_000_000

    @property
    def packets(self) -> int:
        """At most so many packets (silence suppression leaves some out)."""
        return max(0, -(-(self.end_ns - self.first_ns) // self.interval_ns))

    @property
    def frame_bytes(self) -> int:
        """Of one packet on the wire, without the checksum of Ethernet."""
        return frame_bytes(self.calls)

    @property
    def flow(self) -> str:
        """As reports name it."""
        return flow_text(UDP, *self.source, *self.destination)


def sources(scenario: Scenario) -> Iterator[Source]:
    """All streams, call by call."""
    number = call_number = 0
    for group, calls in enumerate(scenario.calls, start=1):
        end_ns = scenario.duration_ns
        if calls.duration_ns is not None:
            end_ns = min(end_ns, calls.start_ns + calls.duration_ns)
        phases = _phases(scenario, group, calls)
        for call in range(calls.count):
            for leg, from_guest in legs(calls):
                source, destination = _ends(calls, call_number, leg, from_guest)
                first_ns = calls.start_ns + phases[call]
                yield Source(
                    calls, group, call + 1, leg, number, from_guest, source, destination,
                    first_ns, end_ns,
                )  # fmt: skip
                number += 1
            call_number += 1


def _phases(scenario: Scenario, group: int, calls: Calls) -> list[int]:
    """How late each call's first packet is."""
    if calls.phase_ns is not None:
        return [calls.phase_ns] * calls.count
    rng = generator(scenario.seed, "phase", group)
    drawn: list[int] = rng.integers(0, calls.ptime_ns, calls.count).tolist()
    return drawn


_PURPOSES = ("phase", "media", "checkpoints", "network", "guest")


def generator(seed: int, purpose: str, *index: int) -> np.random.Generator:
    """The stream of chance for one purpose, which nothing else of the scenario draws from."""
    key = (_PURPOSES.index(purpose), *index)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def _ends(
    calls: Calls, call: int, leg: int, from_guest: bool
) -> tuple[tuple[str, int], tuple[str, int]]:
    """Source and destination. A relay has a phone on either side, a server has one."""
    relayed_back = calls.role is Role.RELAY and leg == 1
    peer = _address(_FROM_NETWORK if relayed_back else _TO_NETWORK, call, calls.ip), PEER_PORT
    port = GUEST_PORT + 2 * (call % 10_000) + (20_000 if relayed_back else 0)
    guest = "192.0.2.1" if calls.ip == 4 else "2001:db8::1", port
    return (guest, peer) if from_guest else (peer, guest)


def _address(network: str, number: int, version: int) -> str:
    if version == 4:
        return f"{network}.{number >> 8 & 255}.{number & 255}"
    return f"2001:db8:{network[-2:]}::{number + 1:x}"
