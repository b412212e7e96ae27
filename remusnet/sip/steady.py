"""A wall clock that can't be set: bindings last as long as the server told their phones."""

from __future__ import annotations

import time
from collections.abc import Callable

# What is less is no step of the clock: reading two of them one after the other takes time, too.
_STEP_S = 0.5


def since_boot() -> float:
    """Seconds since the machine was started, those included in which it slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SteadyClock:
    """Seconds of the wall clock as it was when this began, and what has passed since.

    Where the wall clock is set forward by an hour, it has not become an hour later: bindings that
    expire by it would all be lost. `step` tells how far it was set, `follow` goes along with that.
    """

    def __init__(
        self, wall: Callable[[], float] = time.time, passed: Callable[[], float] = since_boot
    ) -> None:
        self._wall = wall
        self._passed = passed
        self._base = wall() - passed()

    def __call__(self) -> float:
        """The time, in s."""
        return self._base + self._passed()

    def step(self) -> float:
        """The seconds by which the wall clock was set since; 0.0 where it was not."""
        step = self._wall() - self()
        return step if abs(step) >= _STEP_S else 0.0

    def follow(self, step: float) -> None:
        """Agree with the wall clock again."""
        self._base += step
