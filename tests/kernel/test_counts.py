"""The numbers of ``remusnet status`` are what was sent, held, dropped and let pass."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from random import Random

import pytest

from remusnet.kernel.state.status import status
from remusnet.kernel.wire.messages import PlugAction
from remusnet.plan.plan import LARGEST_FRAME
from remusnet.results.protection import Status
from tests.kernel.lab.damages import Hand
from tests.kernel.lab.packets import Sender
from tests.kernel.lab.protection import ARP_FRAME, BUFFER, TCP_FRAME, Site
from tests.lib.long import count

pytestmark = pytest.mark.uml(timeout=count(sample=120, long=600))
FITTING = LARGEST_FRAME // len(TCP_FRAME)
"""Frames in the smallest plug that apply makes."""


def the_status(site: Site) -> Status:
    with site.bed.dom0.entered():
        (found,) = status(run_dir=site.run_dir)[0]
    return found


@dataclass
class Truth:
    """What a plug of this limit makes of frames of one size, as sch_plug.c has it."""

    site: Site
    guest: Sender
    hand: Hand
    up: bool = True
    open: bool = True
    waiting: int = 0
    passed: int = 0
    bypassed: int = 0
    overflowed: int = 0
    refused: int = 0
    policies: list[str] = field(default_factory=lambda: ["tcp-only", "real-time"])

    def hold(self, frames: int) -> None:
        self.guest.send([TCP_FRAME] * frames)
        if not self.up:
            self.refused += frames
        elif self.open:
            self.passed += frames
        else:
            fit = min(frames, FITTING - self.waiting)
            self.waiting += fit
            self.overflowed += frames - fit

    def bypass(self, frames: int) -> None:
        self.guest.send([ARP_FRAME] * frames)
        self.bypassed += frames

    def close(self) -> None:
        self.hand.tell(PlugAction.BUFFER)
        self.open = False

    def release_all(self) -> None:
        self.hand.tell(PlugAction.RELEASE_INDEFINITE)
        self.passed, self.waiting, self.open = self.passed + self.waiting, 0, True

    def flip(self) -> None:
        """Down, or up again by apply."""
        self.up = not self.up
        if self.up:
            self.site.apply(self.site.plan(self.policies[0], limit=LARGEST_FRAME))
            self.open = False
        else:
            self.hand.set(up=False)
            self.waiting = 0

    def update(self) -> None:
        """Other filters, whose counters begin at 0."""
        if self.up:
            self.policies.reverse()
            self.site.apply(self.site.plan(self.policies[0], limit=LARGEST_FRAME))

    def step(self, rng: Random) -> None:
        step = rng.choice("hhhhbbccruf")
        if step == "h":
            self.hold(rng.randrange(1, FITTING))
        elif step == "b":
            self.bypass(rng.randrange(1, 100))
        else:
            {"c": self.close, "r": self.release_all, "u": self.update, "f": self.flip}[step]()

    def agree(self) -> None:
        self.site.bed.wait_for_held(BUFFER, self.waiting)  # a release takes its time
        found = the_status(self.site)
        assert (found.held, found.waiting) == (self.passed + self.waiting, self.waiting)
        assert (found.overflowed, found.refused) == (self.overflowed, self.refused)
        assert found.bypassed == self.bypassed


def test_a_full_plug_and_a_device_that_is_down_are_counted_once(site: Site) -> None:
    site.apply(site.plan(limit=LARGEST_FRAME))
    with site.bed.from_guest() as guest, closing(Hand(site)) as hand:
        truth = Truth(site, guest, hand)
        truth.close()
        truth.hold(FITTING + 300)
        truth.bypass(50)
        truth.agree()
        truth.update()
        truth.hold(20)
        truth.agree()
        truth.flip()
        truth.hold(7)
        truth.agree()
    assert (truth.overflowed, truth.refused) == (320, 7)
    site.remove()


def test_the_counts_are_the_truth_whatever_happens(site: Site) -> None:
    """Random steps; a seed is a protection of its own."""
    for seed in range(count(sample=2, long=30)):
        rng = Random(seed)
        site.apply(site.plan(limit=LARGEST_FRAME))
        with site.bed.from_guest() as guest, closing(Hand(site)) as hand:
            truth = Truth(site, guest, hand)
            for _ in range(30):
                truth.step(rng)
                truth.agree()
        print(f"seed {seed}: {truth.passed} passed, {truth.overflowed} dropped by a full plug")
        site.remove()
