"""Times that are the same at every checkpoint, vary by chance, or grow with the guest's load.

All results are int64 nanoseconds, 0 or more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from remusnet.frames import Int64s
from remusnet.tables.fields import Fields

NS_PER_S = 1_000_000_000
_PURPOSES = ("phase", "media", "checkpoints", "network", "guest")


def generator(seed: int, purpose: str, *index: int) -> np.random.Generator:
    """The stream of chance for one purpose, which nothing else of the scenario draws from."""
    key = (_PURPOSES.index(purpose), *index)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


@dataclass(frozen=True, slots=True)
class Constant:
    """Always ``ns``."""

    ns: int

    @property
    def mean_ns(self) -> int:
        """What it is."""
        return self.ns

    def draw(self, rng: np.random.Generator, ran_ns: Int64s) -> Int64s:
        """As often as ``ran_ns`` is long. See `Growing.draw`."""
        return np.full(len(ran_ns), self.ns, np.int64)


@dataclass(frozen=True, slots=True)
class Uniform:
    """Evenly between ``low_ns`` and ``high_ns``, both included."""

    low_ns: int
    high_ns: int

    @property
    def mean_ns(self) -> int:
        """The middle."""
        return (self.low_ns + self.high_ns) // 2

    def draw(self, rng: np.random.Generator, ran_ns: Int64s) -> Int64s:
        """See `Growing.draw`."""
        return rng.integers(self.low_ns, self.high_ns, len(ran_ns), np.int64, endpoint=True)


@dataclass(frozen=True, slots=True)
class Normal:
    """Around ``mean_ns`` with a standard ``deviation_ns``; what falls below 0 is 0."""

    mean_ns: int
    deviation_ns: int

    def draw(self, rng: np.random.Generator, ran_ns: Int64s) -> Int64s:
        """See `Growing.draw`."""
        drawn = self.mean_ns + self.deviation_ns * rng.standard_normal(len(ran_ns))
        return np.maximum(np.rint(drawn), 0).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Exponential:
    """``least_ns``, and more on top: exponential, so that the mean is ``mean_ns``."""

    mean_ns: int
    least_ns: int = 0

    def draw(self, rng: np.random.Generator, ran_ns: Int64s) -> Int64s:
        """See `Growing.draw`."""
        above = rng.standard_exponential(len(ran_ns)) * (self.mean_ns - self.least_ns)
        return self.least_ns + np.rint(above).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Growing:
    """``base_ns``, and the time to move what the guest dirtied since it last stood still.

    It dirties ``dirty_rate`` bits a second while it runs, up to ``most_bytes`` (its working set:
    a page that is dirtied twice is sent once). They move at ``through`` bits a second: a memory's
    rate for a pause, the link's for a transfer.
    """

    base_ns: int
    dirty_rate: int
    through: int
    most_bytes: int

    @property
    def mean_ns(self) -> int:
        """Without a run before it, the base."""
        return self.base_ns

    def draw(self, rng: np.random.Generator, ran_ns: Int64s) -> Int64s:
        """One time for each epoch of a guest that ran ``ran_ns`` (int64[n]) in it."""
        dirty = np.minimum(ran_ns / NS_PER_S * self.dirty_rate, self.most_bytes * 8.0)
        return self.base_ns + np.rint(dirty / self.through * NS_PER_S).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Saturating:
    """As `Growing`, for a guest that writes its ``most_bytes`` in no order.

    The longer it runs, the more of what it writes it has written before: of W bytes it dirties
    W (1 - exp(-r t / W)) in a time t, where r is ``dirty_rate`` at first.
    """

    base_ns: int
    dirty_rate: int
    through: int
    most_bytes: int

    @property
    def mean_ns(self) -> int:
        """Without a run before it, the base."""
        return self.base_ns

    def dirty_bytes(self, ran_ns: Int64s) -> npt.NDArray[np.float64]:
        """Dirty bytes after each of n runs of ``ran_ns``: float64[n]."""
        share = self.dirty_rate / 8 / self.most_bytes / NS_PER_S
        found: npt.NDArray[np.float64] = self.most_bytes * -np.expm1(-share * ran_ns)
        return found

    def draw(self, rng: np.random.Generator, ran_ns: Int64s) -> Int64s:
        """See `Growing.draw`."""
        moved_ns = self.dirty_bytes(ran_ns) * (8 * NS_PER_S / self.through)
        return self.base_ns + np.rint(moved_ns).astype(np.int64)


Quantity = Constant | Uniform | Normal | Exponential | Growing | Saturating
"""Anything that `draw` gives a time for each epoch."""


DEFAULT_WORKING_SET = 1 << 40
"""Bytes; more than any guest has, so no limit unless the file names one."""
_DISTRIBUTIONS = ("uniform", "normal", "exponential")


def read_quantity(fields: Fields, key: str, default: int) -> Quantity:
    """A time, or a table that says how it varies; see docs/reference/scenario-file.md."""
    if not isinstance(fields.table.get(key), dict):
        return Constant(fields.duration(key, default))
    inner = fields.inner(key)
    assert inner is not None
    found = _varying(inner)
    inner.finish()
    return found


def _varying(fields: Fields) -> Quantity:
    """A quantity from its table: ``distribution`` by chance, ``dirty-rate`` with the load."""
    if fields.has("dirty-rate"):
        return Growing(
            fields.duration("base", 0),
            fields.rate("dirty-rate", None),
            fields.rate("through", None),
            fields.size("working-set", DEFAULT_WORKING_SET, least=1, most=DEFAULT_WORKING_SET),
        )
    if not fields.has("distribution"):
        problem = "neither a distribution nor a dirty-rate"
        fields.mistake(
            "", problem, 'a time, { distribution = "normal", ... } or { dirty-rate, ... }'
        )
    match fields.one_of("distribution", _DISTRIBUTIONS[0], _DISTRIBUTIONS):
        case "uniform":
            low = fields.duration("low", 0)
            high = fields.duration("high", None)
            if high < low:
                fields.mistake("high", "less than low", "a time no shorter than low")
                high = low
            return Uniform(low, high)
        case "normal":
            return Normal(fields.duration("mean", None), fields.duration("deviation", None))
        case _:
            mean, least = fields.duration("mean", None), fields.duration("least", 0)
            if mean < least:
                fields.mistake("mean", "less than least", "a time no shorter than least")
            return Exponential(max(mean, least), least)
