"""A vif's policy and classifier change while its guest sends: nothing leaks, is lost or waits long.

A frame that the policies before and after both hold must leave with the commit of its own epoch,
and one of RTP that both let pass at the next commit at the latest. What was in force when a frame
was sent is known but for the time that a change takes: then it is both, and after a kill all that
was tried, until something has put it right.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Protocol

import numpy as np
import pytest

from remusnet.classify.columns import columns
from remusnet.classify.headers import dissect
from remusnet.frames import Bools, Frames
from remusnet.kernel.state import observe
from remusnet.kernel.wire.codec import (
    HEADER,
    NLM_F_CREATE,
    QDISC,
    RTM_DELQDISC,
    RTM_NEWQDISC,
    TCMSG,
)
from remusnet.kernel.wire.messages import PlugAction
from remusnet.kernel.wire.netlink import Answer, Netlink
from remusnet.kernel.wire.objects import Qdisc
from remusnet.metrics.flows import judge_frames
from remusnet.policy.policy import PayloadClass
from remusnet.policy.presets import PRESETS
from tests.kernel.lab.load import Load
from tests.kernel.lab.packets import Capture, stamp_of
from tests.kernel.lab.protection import BUFFER, EACH, TCP_FRAME, Site, failing, killed, stopping
from tests.kernel.lab.sorting import too_short
from tests.kernel.lab.wait import wait_until
from tests.lib.classifiers import CLASSIFIERS
from tests.lib.common_frames import common_frames
from tests.lib.framegen import generate
from tests.lib.long import count

RATE, FAST = 3000, 30_000
"""Frames a second in UML, where all that happens takes ten times as long, and in a namespace."""
in_uml = pytest.mark.uml(timeout=count(sample=240, long=1200))
in_namespaces = pytest.mark.netns(timeout=count(sample=240, long=1200))

SHAPED = "root tbf rate 100bit burst 2000 limit 1000000000"
"""A queue that lets the first frames go, and then nothing for 80 s: 1,000 bytes at 100 bit/s."""
OPENED = "root tbf rate 40mbit burst 20000 limit 1000000000"
"""Lets go no more than a backlog (net.core.netdev_max_backlog, 1,000 frames) and we can take."""
LARGE = 1_000_000_000
"""Bytes that the plug takes, so that it drops nothing of what one epoch has."""
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


class Holder(Protocol):
    """What holds frames in the buffer device."""

    commits: Commits

    def close(self) -> None:
        """After the first apply."""

    def commit(self) -> None:
        """As a checkpoint does; it stays closed."""

    def open(self) -> None:
        """Let all go."""


class RealPlug:
    """sch_plug."""

    def __init__(self, site: Site) -> None:
        self.commits = Commits()
        self._site = site

    def close(self) -> None:
        self._site.plug(PlugAction.BUFFER)

    def commit(self) -> None:
        for action, noted in (
            (PlugAction.BUFFER, self.commits.buffered),
            (PlugAction.RELEASE_ONE, self.commits.released),
        ):
            before = time.time_ns()
            self._site.plug(action)
            noted.append((before, time.time_ns()))

    def open(self) -> None:
        for _ in range(3):  # so that there is a commit after the next of the last frame
            self.commit()
        self._site.plug(PlugAction.RELEASE_INDEFINITE)


class Shaper:
    """A tbf that lets nothing go until the end: one epoch, for kernels without sch_plug."""

    def __init__(self, site: Site) -> None:
        self.commits = Commits()
        self._site = site

    def close(self) -> None:
        with self._site.bed.from_guest() as guest:
            guest.send([TCP_FRAME + bytes(1400)] * 2)
        self._site.bed.wait_for_held(BUFFER, 1)

    def commit(self) -> None:
        """None before the end."""

    def open(self) -> None:
        now = time.time_ns()
        # All of it is one epoch; and what is to pass has not waited for its end.
        self.commits.released += [(now, now)] * 2
        self._site.bed.dom0.tc(f"qdisc change dev {BUFFER} {OPENED}")
        # Its timer still has the old rate; a frame that comes makes it look again.
        with self._site.bed.from_guest() as guest:
            guest.send([TCP_FRAME])


class ShapingNetlink(Netlink):
    """Makes a tbf where a plug is to be made; whatever else a plug is told is done at once."""

    def __init__(self, site: Site) -> None:
        with site.bed.dom0.entered():
            super().__init__()
        self._site = site

    def ask(self, messages: Sequence[bytes]) -> list[Answer]:
        return [self._one(each) for each in messages]

    def _one(self, request: bytes) -> Answer:
        _, kind, flags, _, _ = HEADER.unpack_from(request)
        fields = QDISC.decode(request, HEADER.size + TCMSG.size)
        if kind not in (RTM_NEWQDISC, RTM_DELQDISC) or fields.get("kind") != "plug":
            return super().ask([request])[0]
        if flags & NLM_F_CREATE:
            self._site.bed.dom0.tc(f"qdisc add dev {BUFFER} {SHAPED}")
        return Answer(0)


@dataclass
class InForce:
    """Which policies and classifiers may have been in force when."""

    since: list[tuple[int, frozenset[Choice]]] = field(default_factory=list)

    def add(self, choices: frozenset[Choice]) -> None:
        """From now on it is one of these."""
        self.since.append((time.time_ns(), choices))

    def between(self, sent: tuple[int, int]) -> frozenset[Choice]:
        """One of these judged what was sent between these times."""
        starts = np.array([start for start, _ in self.since])
        first = int(np.searchsorted(starts, sent[0], "right")) - 1
        last = int(np.searchsorted(starts, sent[1], "right"))
        return frozenset().union(*(choices for _, choices in self.since[max(0, first) : last]))


def drained(client: Capture, arrived: dict[int, int]) -> None:
    """Note when each stamped frame has come; none comes twice."""
    for each in client.drain():
        number = stamp_of(each.frame)
        if number is not None:
            assert number not in arrived, f"frame {number} came twice"
            arrived[number] = each.time_ns


@dataclass
class Changing:
    """Changes the vif of ``site`` while its guest sends ``rate`` frames a second."""

    site: Site
    holder: Holder
    choices: Sequence[Choice]
    random: Random
    log: Path
    rate: int
    netlink: Netlink | None = None

    def run(
        self,
        changes: int,
        change: Callable[[Choice, InForce, frozenset[Choice]], frozenset[Choice]],
    ) -> None:
        """So many changes, each in an epoch of its own; then all that came is judged.

        ``change`` gets what to change to, and what may be in force before it; it gives what may be
        after.
        """
        frames = every_kind()
        in_force = InForce()
        arrived: dict[int, int] = {}
        now = self.random.choice(self.choices)
        self.site.apply(self.site.plan(*now, limit=LARGE), self.netlink)
        self.holder.close()
        possible = frozenset([now])
        in_force.add(possible)
        slowest = 0.0
        with self.site.bed.from_guest() as guest, self.site.bed.at_client() as client:
            with Load(guest, frames, self.rate, self.log) as load:
                begin = time.monotonic()
                for _ in range(changes):
                    time.sleep(self.random.random() * 0.05)
                    self.holder.commit()
                    now = self.random.choice([each for each in self.choices if each != now])
                    start = time.monotonic()
                    possible = change(now, in_force, possible)
                    slowest = max(slowest, time.monotonic() - start)
                    drained(client, arrived)
                taken = time.monotonic() - begin
            self.holder.open()

            def all_came() -> bool:
                drained(client, arrived)
                return len(arrived) == load.sent

            wait_until(all_came, f"all {load.sent} frames", 120)
        rate = load.sent / taken
        print(
            f"{changes} changes, the slowest in {slowest:.3f} s; {load.sent} frames, {rate:.0f}/s"
        )
        judge(load, frames, arrived, self.holder.commits, in_force)
        self.site.remove(netlink=self.netlink)


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

    compiled = {(policy, name): CLASSIFIERS[name].compile(PRESETS[policy]) for policy, name in EACH}

    @cache
    def passes(choice: Choice, base: int) -> bool:
        """Whether the policy lets it pass, and the classifier can tell it from what is held."""
        policy, name = choice
        beyond = CLASSIFIERS[name].kinds_of(compiled[choice], frames[base])
        return not holds[policy][base] and not beyond

    # All frames of one batch have the same.
    between = cache(in_force.between)
    not_before, not_after = cache(commits.not_before), cache(commits.not_after)
    early, late = [], []
    held = rtp = 0
    for number in range(load.sent):
        sent, base = load.when(number), number % len(frames)
        choices = between(sent)
        if all(holds[policy][base] for policy, _ in choices):
            held += 1
            if arrived[number] < not_before(sent):
                early.append(number)
        elif is_rtp[base] and all(passes(each, base) for each in choices):
            rtp += 1
            if arrived[number] > not_after(sent):
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


def applying(
    site: Site, netlink: Netlink | None = None
) -> Callable[[Choice, InForce, frozenset[Choice]], frozenset[Choice]]:
    """A change by apply."""

    def change(to: Choice, in_force: InForce, before: frozenset[Choice]) -> frozenset[Choice]:
        after = frozenset([to])
        in_force.add(before | after)
        site.apply(site.plan(*to, limit=LARGE), netlink)
        in_force.add(after)
        return after

    return change


@in_uml
def test_no_frame_is_early_lost_or_late_while_policies_and_classifiers_change(
    site: Site, random: Random, tmp_path: Path
) -> None:
    changing = Changing(site, RealPlug(site), EACH, random, tmp_path / "log", RATE)
    changing.run(count(sample=20, long=100), applying(site))


@in_namespaces
def test_it_is_so_at_ten_times_the_rate_with_a_queue_in_the_plug_s_place(
    site: Site, random: Random, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(body: bytes) -> tuple[int, int, Qdisc]:
        index, parent, qdisc = decode_qdisc(body)
        return index, parent, replace(qdisc, kind="plug") if qdisc.kind == "tbf" else qdisc

    decode_qdisc = observe.decode_qdisc
    monkeypatch.setattr(observe, "decode_qdisc", decode)
    # The running kernel may lack flower, too.
    choices = [each for each in EACH if each[1] != "flower"]
    # In rounds of ten: the queue keeps closed for 80 s, and what it has held has to fit a socket.
    for _ in range(count(sample=1, long=10)):
        with ShapingNetlink(site) as netlink:
            shaper = Shaper(site)
            changing = Changing(site, shaper, choices, random, tmp_path / "log", FAST, netlink)
            changing.run(10, applying(site, netlink))


@in_uml
def test_nothing_leaks_where_a_change_is_killed_after_any_operation(
    site: Site, random: Random, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next change, to something else again, puts it right; some of those are killed, too."""
    points: Iterator[int] = iter(())
    killings = 0

    def change(to: Choice, in_force: InForce, before: frozenset[Choice]) -> frozenset[Choice]:
        nonlocal points, killings
        after = frozenset([to])
        in_force.add(before | after)
        at = next(points, None)
        if at is None:
            # From the first operation to the last of an update, in an order of chance.
            each = list(range(1, count(sample=12, long=60)))
            random.shuffle(each)
            points = iter(each)
            at = next(points)
        with failing(site, at, stopping) as netlink:
            plan = site.plan(*to, limit=LARGE)
            if killed(lambda: site.apply(plan, netlink), monkeypatch):
                killings += 1
                return before | after
        in_force.add(after)
        return after

    changing = Changing(site, RealPlug(site), EACH, random, tmp_path / "log", RATE)
    changing.run(count(sample=20, long=100), change)
    print(f"{killings} changes were killed")
    assert killings > 5
