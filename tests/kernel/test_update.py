"""A vif's policy and classifier change while its guest sends: nothing leaks, is lost or waits long.

A frame that the policies before and after both hold must leave with the commit of its own epoch,
and one of RTP that both let pass at the next commit at the latest. What was in force when a frame
was sent is known but for the time that a change takes: then it is both, and after a kill all that
was tried, until something has put it right.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np
import pytest

from remusnet.classify.columns import columns
from remusnet.classify.headers import dissect
from remusnet.frames import Bools, Frames
from remusnet.kernel.wire.messages import PlugAction
from remusnet.metrics.flows import judge_frames
from remusnet.policy.match import PayloadClass
from remusnet.policy.presets import PRESETS
from tests.kernel.lab.load import Load
from tests.kernel.lab.packets import Capture, stamp_of
from tests.kernel.lab.protection import EACH, Site, failing, killed, stopping
from tests.kernel.lab.sorting import too_short
from tests.kernel.lab.wait import wait_until
from tests.lib.common_frames import common_frames
from tests.lib.framegen import generate
from tests.lib.long import count

pytestmark = pytest.mark.uml(timeout=count(sample=240, long=1200))

RATE = 3000
Choice = tuple[str, str]
"""A policy and a classifier."""


def every_kind() -> list[bytes]:
    """Frames of every kind, some hundred of them RTP."""
    samples = [*generate(1000, 22, shortest=14), *common_frames(1000, 22, shortest=14)]
    return [each.frame for each in samples if not too_short(each.frame)]


@dataclass
class Commits:
    """The plug's epochs: when each was ended (BUFFER) and when it was let go (RELEASE_ONE).

    Of each command the times before and after it.
    """

    buffered: list[tuple[int, int]] = field(default_factory=list)
    released: list[tuple[int, int]] = field(default_factory=list)

    def commit(self, tell: Callable[[PlugAction], object]) -> None:
        """As a checkpoint does. The plug stays closed."""
        for action, noted in (
            (PlugAction.BUFFER, self.buffered),
            (PlugAction.RELEASE_ONE, self.released),
        ):
            before = time.time_ns()
            tell(action)
            noted.append((before, time.time_ns()))

    def not_before(self, sent: tuple[int, int]) -> int:
        """When a held frame that was sent between these times may leave: its epoch's commit.

        Epoch n ends with ``buffered[n]``, and the frame came after ``buffered[n - 1]`` for sure.
        """
        epoch = sum(after < sent[0] for _, after in self.buffered)
        return self.released[epoch][0]

    def not_after(self, sent: tuple[int, int]) -> int:
        """When it must have left: before the commit that follows that of its epoch."""
        epoch = sum(before <= sent[1] for before, _ in self.buffered)
        return self.released[epoch + 1][0]


@dataclass
class InForce:
    """Which policies may have been in force when."""

    since: list[tuple[int, frozenset[str]]] = field(default_factory=list)

    def add(self, policies: frozenset[str]) -> None:
        """From now on it is one of these."""
        self.since.append((time.time_ns(), policies))

    def between(self, sent: tuple[int, int]) -> frozenset[str]:
        """One of these judged what was sent between these times."""
        starts = np.array([start for start, _ in self.since])
        first = int(np.searchsorted(starts, sent[0], "right")) - 1
        last = int(np.searchsorted(starts, sent[1], "right"))
        return frozenset().union(*(names for _, names in self.since[max(0, first) : last]))


def drained(client: Capture, arrived: dict[int, int]) -> None:
    """Note when each stamped frame has come; none comes twice."""
    for each in client.drain():
        number = stamp_of(each.frame)
        if number is not None:
            assert number not in arrived, f"frame {number} came twice"
            arrived[number] = each.time_ns


def changing(
    site: Site,
    random: Random,
    changes: int,
    change: Callable[[Choice, InForce, frozenset[str]], frozenset[str]],
    log: Path,
    rate: int = RATE,
) -> None:
    """Sends through ``changes`` of them, each in an epoch of its own, and judges all that came."""
    frames = every_kind()
    commits, in_force = Commits(), InForce()
    arrived: dict[int, int] = {}
    now = random.choice(EACH)
    site.apply(site.plan(*now))
    site.plug(PlugAction.BUFFER)
    possible = frozenset([now[0]])
    in_force.add(possible)
    slowest = 0.0
    with site.bed.from_guest() as guest, site.bed.at_client() as client:
        load = Load(guest, frames, rate, log)
        with load:
            time.sleep(0.05)
            for _ in range(changes):
                commits.commit(site.plug)
                now = random.choice([each for each in EACH if each != now])
                start = time.monotonic()
                possible = change(now, in_force, possible)
                slowest = max(slowest, time.monotonic() - start)
                drained(client, arrived)
                time.sleep(random.random() * 0.05)
        for _ in range(3):
            commits.commit(site.plug)
        site.plug(PlugAction.RELEASE_INDEFINITE)

        def all_came() -> bool:
            drained(client, arrived)
            return len(arrived) == load.sent

        wait_until(all_came, f"all {load.sent} frames")
    judge(load, frames, arrived, commits, in_force)
    print(f"{changes} changes, the slowest {slowest * 1000:.0f} ms; {load.sent} frames")
    site.remove()


def judge(
    load: Load,
    frames: Sequence[bytes],
    arrived: dict[int, int],
    commits: Commits,
    in_force: InForce,
) -> None:
    """No frame was early, and no RTP late."""
    many = Frames.of(list(frames))
    found = judge_frames(list(PRESETS.values()), many, columns(many))
    holds: dict[str, Bools] = {name: each.hold for name, each in zip(PRESETS, found, strict=True)}
    is_rtp = [dissect(each).payload_class is PayloadClass.RTP for each in frames]
    early, late = [], []
    held = rtp = 0
    for number in range(load.sent):
        sent, base = load.when(number), number % len(frames)
        verdicts = {bool(holds[name][base]) for name in in_force.between(sent)}
        if verdicts == {True}:
            held += 1
            if arrived[number] < commits.not_before(sent):
                early.append(number)
        elif verdicts == {False} and is_rtp[base]:
            rtp += 1
            if arrived[number] > commits.not_after(sent):
                late.append(number)
    print(f"{held} held for sure, {len(early)} early; {rtp} RTP to pass, {len(late)} late")
    assert (early, late) == ([], [])
    assert held > load.sent // 10
    assert rtp > 0


@pytest.fixture
def random() -> Random:
    seed = Random().randrange(1 << 32)
    print("seed", seed)
    return Random(seed)


def test_no_frame_is_early_lost_or_late_while_policies_and_classifiers_change(
    site: Site, random: Random, tmp_path: Path
) -> None:
    def change(to: Choice, in_force: InForce, before: frozenset[str]) -> frozenset[str]:
        after = frozenset([to[0]])
        in_force.add(before | after)
        site.apply(site.plan(*to))
        in_force.add(after)
        return after

    changing(site, random, count(sample=20, long=100), change, tmp_path / "log")


def test_nothing_leaks_where_a_change_is_killed_after_any_operation(
    site: Site, random: Random, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next change, to something else again, puts it right; some of those are killed, too."""
    points: Iterator[int] = iter(())
    killings = 0

    def change(to: Choice, in_force: InForce, before: frozenset[str]) -> frozenset[str]:
        nonlocal points, killings
        after = frozenset([to[0]])
        in_force.add(before | after)
        at = next(points, None)
        if at is None:
            # From the first operation to the last of an update, in an order of chance.
            each = list(range(1, count(sample=12, long=60)))
            random.shuffle(each)
            points = iter(each)
            at = next(points)
        with failing(site, at, stopping) as netlink:
            if killed(lambda: site.apply(site.plan(*to), netlink), monkeypatch):
                killings += 1
                return before | after
        in_force.add(after)
        return after

    changing(site, random, count(sample=20, long=100), change, tmp_path / "log")
    print(f"{killings} changes were killed")
    assert killings > 5
