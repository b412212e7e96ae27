"""The emulator's core against the same model written with SimPy, and a replay against a mere read.

All is measured in one process: imports, scapy's templates and the scenario file are left out, as
they are in ``speed`` of ``simulate --json``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import simpy
from scapy.utils import RawPcapReader

from remusnet.capture import read, write
from remusnet.emulator.run.recordings import simulate
from remusnet.emulator.run.scenario_run import run_scenario
from remusnet.policy import PRESETS
from remusnet.scenario.library import shipped
from remusnet.scenario.scenario import Network, Scenario, constant
from remusnet.scenario.scenario_file import overridden
from remusnet.schedule import Schedule
from scripts.benchmarks.captures import CALL, repeated
from scripts.benchmarks.ratio import Ratio

S = 1_000_000_000
FRAMES = 500_000
# The same traffic for both; SimPy takes two to three microseconds a packet.
CALLS, SECONDS = 20, 500
# What 10 million packets a second take: the goal for the core, in packets.
LARGE_CALLS, LARGE_SECONDS = 100, 1000
LARGE_PACKETS = 2 * LARGE_CALLS * LARGE_SECONDS * 50


@contextmanager
def ratios() -> Iterator[list[Ratio]]:
    """Fig. 10's and 11's models in SimPy and here; 10 million packets against one second."""
    with TemporaryDirectory() as folder:
        capture = Path(folder, "large.pcap")
        write(capture, repeated(read(CALL).frames, FRAMES))
        yield [
            _against_simpy("fig11"),
            _against_simpy("fig10"),
            Ratio(
                f"{LARGE_PACKETS:,} packets of fig11",
                "10 million packets a second",
                1,
                _ours(_sized("fig11", LARGE_CALLS, LARGE_SECONDS)),
                _a_second_for(LARGE_PACKETS),
            ),
            Ratio(
                f"read and replay {FRAMES:,} frames",
                "RawPcapReader, reading them",
                0.5,
                lambda: _replay(capture),
                lambda: sum(1 for _ in RawPcapReader(str(capture))),
            ),
        ]


def _sized(name: str, calls: int, seconds: int) -> Scenario:
    return overridden(shipped(name), calls=calls, duration_ns=seconds * S, seed=None)


def _against_simpy(name: str) -> Ratio:
    scenario = _sized(name, CALLS, SECONDS)
    packets = 2 * CALLS * SECONDS * 50
    hold = scenario.policies == ("hold-all",)
    return Ratio(
        f"{packets:,} packets of {name}",
        "SimPy, one event a packet",
        20,
        _ours(scenario),
        lambda: SimpyModel(scenario, hold=hold).run(),
    )


def _ours(scenario: Scenario) -> Callable[[], None]:
    policies = [PRESETS[name] for name in scenario.policies]

    def run() -> None:
        run_scenario(scenario, policies)

    return run


def _a_second_for(packets: int) -> Callable[[], None]:
    """Stands for a rate: it takes the time that ``packets`` may take at 10 million a second."""
    return lambda: time.sleep(packets / 10_000_000)


def _replay(capture: Path) -> None:
    schedule = Schedule(400_000_000, 50_000_000, 5_000_000)
    frames = read(capture).frames
    simulate(frames, [PRESETS["tcp-only"]], schedule, 10**8, capture="large")


class SimpyModel:
    """The core's model of RTP as SimPy programs are written: a process a stream, an event a packet.

    Pauses, hold until the commit, a network that delays by chance and keeps the order, and RFC
    3550's jitter of what arrives. It measures less than the core: no gaps, bursts or losses.
    """

    def __init__(self, scenario: Scenario, *, hold: bool) -> None:
        remus = scenario.checkpointing
        if remus is None:
            raise ValueError("a scenario with checkpoints")
        self.interval = remus.interval_ns
        self.pause = constant(remus.pause) or 0
        self.delay = constant(remus.commit_delay) or 0
        self.scenario = scenario
        self.hold = hold
        self.environment = simpy.Environment()
        self.resumed_ns = 0
        self.held: list[tuple[_Listener, int]] = []
        self.closing: list[tuple[_Listener, int]] = []
        self.listeners: list[_Listener] = []

    def run(self) -> None:
        """Until the scenario's end."""
        self.environment.process(self._checkpoints())
        for calls in self.scenario.calls:
            for _ in range(calls.count):
                for from_guest in (True, False):
                    listener = _Listener(calls.ptime_ns, self.scenario.network)
                    self.listeners.append(listener)
                    step = calls.ptime_ns + calls.ptime_ns * calls.drift_ppm // 1_000_000
                    self.environment.process(self._stream(listener, step, from_guest))
        self.environment.run(until=self.scenario.duration_ns)

    def _now(self) -> int:
        """SimPy would take fractions too; here every time is whole nanoseconds."""
        return int(self.environment.now)

    def _checkpoints(self) -> Generator[Any, Any, None]:
        while True:
            yield self.environment.timeout(self.interval)
            self.resumed_ns = self._now() + self.pause
            self.closing, self.held = self.held, []
            yield self.environment.timeout(self.pause + self.delay)
            for listener, number in self.closing:
                listener.hear(self._now(), number)

    def _stream(
        self, listener: _Listener, step: int, from_guest: bool
    ) -> Generator[Any, Any, None]:
        number = 0
        while True:
            yield self.environment.timeout(step)
            now = self._now()
            if from_guest and now < self.resumed_ns:
                now = self.resumed_ns
            if from_guest and self.hold:
                self.held.append((listener, number))
            else:
                listener.hear(now, number)
            number += 1


class _Listener:
    """RFC 3550's estimator, packet by packet."""

    def __init__(self, ptime_ns: int, network: Network) -> None:
        self.ptime_ns = ptime_ns
        self.network = network
        self.chance = Random(0)
        self.latest = 0
        self.transit = 0
        self.jitter = 0.0
        self.total = 0.0
        self.packets = 0

    def hear(self, now: int, number: int) -> None:
        """A packet has left, and comes through the network."""
        delay = self.network.delay_ns + int(self.chance.gauss(0, self.network.jitter_ns))
        self.latest = max(self.latest, now + max(delay, 0))
        transit = self.latest - number * self.ptime_ns
        if self.packets:
            self.jitter += (abs(transit - self.transit) - self.jitter) / 16
            self.total += self.jitter
        self.transit = transit
        self.packets += 1
