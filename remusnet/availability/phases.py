"""Phase-type by request: times that aren't exponential as stages that are, so that a net is solved.

A time becomes a mixture of two Erlang distributions of the same mean of stages or of the same
number of them, which has its first two or three moments (Tijms 1994, A.5; Johnson and Taaffe 1989).
The net that comes out has a place for each stage. Its tokens are reset as the transition's memory
policy says, by immediate transitions behind all others.
"""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

from remusnet.availability.distributions import (
    Deterministic,
    Distribution,
    Empirical,
    Erlang,
    Exponential,
    Lognormal,
    Uniform,
    Weibull,
)
from remusnet.availability.expressions import Expression, of_tree
from remusnet.availability.net import Memory
from remusnet.availability.unfolding import Mode, Net
from remusnet.errors import InvalidInput

MOST_STAGES: Final = 20
"""Of one time. What varies less than this many stages in a row is made of just as many."""
_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Phases:
    """``moments`` to match, 2 or 3, with ``most`` stages at most for each branch of a time."""

    moments: int = 2
    most: int = MOST_STAGES

    def __post_init__(self) -> None:
        if self.moments not in (2, 3):
            raise InvalidInput(f"phase-type: {self.moments} moments; expected 2 or 3")
        if not 1 <= self.most <= 200:
            raise InvalidInput(f"phase-type: {self.most} stages; expected 1 to 200")


@dataclass(frozen=True, slots=True)
class Branch:
    """A row of ``stages``, of ``mean`` seconds each, which is taken with probability ``share``."""

    share: float
    stages: int
    mean: float


@dataclass(frozen=True, slots=True)
class PhaseType:
    """A mixture of rows; ``matched``: how many moments it has of what it stands for."""

    branches: tuple[Branch, ...]
    matched: int

    def moment(self, order: int) -> float:
        """E(T^order): of a row of n stages it is mean^order n (n+1) ... (n + order - 1)."""
        return math.fsum(
            each.share * each.mean**order * math.prod(range(each.stages, each.stages + order))
            for each in self.branches
        )

    def __str__(self) -> str:
        return " | ".join(
            f"{'' if each.share == 1 else f'{each.share:.3g} '}Erlang-{each.stages}"
            for each in self.branches
        )


def moments(distribution: Distribution) -> tuple[float, float, float]:
    """E(T), E(T^2) and E(T^3), in s, s^2 and s^3. Raises InvalidInput for an unknown one."""
    match distribution:
        case Exponential(mean):
            return mean, 2 * mean**2, 6 * mean**3
        case Erlang(mean, shape):
            row = PhaseType((Branch(1.0, shape, mean / shape),), 3)
            return mean, row.moment(2), row.moment(3)
        case Lognormal(_, sigma):
            mu = distribution.mu
            first, second, third = (math.exp(k * mu + (k * sigma) ** 2 / 2) for k in (1, 2, 3))
            return first, second, third
        case Weibull(scale, shape):
            first, second, third = (scale**k * math.gamma(1 + k / shape) for k in (1, 2, 3))
            return first, second, third
        case Uniform(low, high):
            first, second, third = (
                (high ** (k + 1) - low ** (k + 1)) / (k + 1) / (high - low) for k in (1, 2, 3)
            )
            return first, second, third
        case Deterministic(mean):
            return mean, mean**2, mean**3
        case Empirical(values):
            first, second, third = (
                math.fsum(each**k for each in values) / len(values) for k in (1, 2, 3)
            )
            return first, second, third
    raise InvalidInput(f"phase-type: unknown distribution {type(distribution).__name__}")


def phase_type(distribution: Distribution, asked: Phases) -> PhaseType:
    """What stands for ``distribution``; itself where it is made of stages already."""
    if isinstance(distribution, Exponential):
        return PhaseType((Branch(1.0, 1, distribution.mean),), 3)
    if isinstance(distribution, Erlang) and distribution.shape <= asked.most:
        shape = distribution.shape
        return PhaseType((Branch(1.0, shape, distribution.mean / shape),), 3)
    first, second, third = moments(distribution)
    if asked.moments == 3:
        found = _three(first, second, third, asked.most)
        if found is not None:
            return found
    return _two(first, second / first**2 - 1, asked.most)


def _two(mean: float, variation: float, most: int) -> PhaseType:
    """Two stages by mean and squared coefficient of variation (Tijms 1994, A.5)."""
    if variation <= 1 / most + _SAME:
        matched = 2 if abs(variation - 1 / most) <= _SAME else 1
        return PhaseType((Branch(1.0, most, mean / most),), matched)
    if variation < 1 - _SAME:
        stages = math.ceil(1 / variation)
        root = math.sqrt(max(0.0, stages * (1 + variation) - stages**2 * variation))
        share = (stages * variation - root) / (1 + variation)
        each = mean / (stages - share)
        fewer, rest = Branch(share, stages - 1, each), Branch(1 - share, stages, each)
        return PhaseType(tuple(b for b in (fewer, rest) if b.share > _SAME), 2)
    if variation < 1 + _SAME:
        return PhaseType((Branch(1.0, 1, mean),), 2)
    share = (1 + math.sqrt((variation - 1) / (variation + 1))) / 2
    return PhaseType(
        (
            Branch(share, 1, mean / (2 * share)),
            Branch(1 - share, 1, mean / (2 * (1 - share))),
        ),
        2,
    )


def _three(first: float, second: float, third: float, most: int) -> PhaseType | None:
    """Two rows of equally many stages (Johnson and Taaffe 1989); None if it takes too many.

    Divided by what a row of n stages of 1 s has, the moments are those of a mixture of two points,
    which are the roots of a quadratic.
    """
    for n in range(1, most + 1):
        one = first / n
        two = second / (n * (n + 1))
        three = third / (n * (n + 1) * (n + 2))
        spread = two - one**2
        if abs(spread) <= _SAME * two:
            if abs(three - one**3) <= _SAME * three:
                return PhaseType((Branch(1.0, n, one),), 3)
            continue
        if spread < 0:
            continue
        total = (three - one * two) / spread
        product = (one * three - two**2) / spread
        root = total**2 - 4 * product
        if root <= 0 or product <= 0 or total <= 0:
            continue
        short, long = (total - math.sqrt(root)) / 2, (total + math.sqrt(root)) / 2
        share = (long - one) / (long - short)
        if short > 0 and 0 < share < 1:
            return PhaseType((Branch(share, n, short), Branch(1 - share, n, long)), 3)
    return None


@dataclass(frozen=True, slots=True)
class Phased:
    """A net of exponential times; ``detail``: what stands for what."""

    net: Net
    detail: str


def phased(net: Net, asked: Phases) -> Phased:
    """``net`` with every time made of stages. Raises InvalidInput for one of infinite servers."""
    builder = _Builder(net)
    said: dict[str, str] = {}
    for mode in net.modes:
        if mode.distribution is None or isinstance(mode.distribution, Exponential):
            builder.keep(mode)
            continue
        if mode.infinite:
            raise InvalidInput(
                f"net {net.name}, transition {mode.name}: no phase-type with infinite servers"
            )
        found = phase_type(mode.distribution, asked)
        builder.stage(mode, found)
        plural = "" if found.matched == 1 else "s"
        said[mode.transition] = f"{found} ({found.matched} moment{plural})"
    words = [f"{transition} as {text}" for transition, text in said.items()]
    more = f", and {len(words) - 4} more" if len(words) > 4 else ""
    detail = f"phase-type: {', '.join(words[:4])}{more}" if words else ""
    return Phased(builder.built(), detail)


class _Builder:
    """The new net: the old slots first, then those of stages and of what resets them."""

    def __init__(self, net: Net) -> None:
        self._net = net
        self._slots = list(net.slots)
        self._modes: list[Mode] = []
        self._transitions: dict[str, list[int]] = {path: [] for path in net.transitions}
        self._firings: list[int] = []
        self._flags: list[int] = []
        # Behind all others of the net: stages are reset, then chosen.
        self._resets = min((each.priority for each in net.modes), default=1) - 1
        self._begins = self._resets - 1

    def built(self) -> Net:
        """The net, once every mode was kept or staged."""
        for i in self._firings:
            mode = self._modes[i]
            flagged = (*mode.change, *((flag, 1) for flag in self._flags))
            self._modes[i] = replace(mode, change=tuple(sorted(flagged)))
        return replace(
            self._net,
            slots=tuple(self._slots),
            initial=(*self._net.initial, *[0] * (len(self._slots) - len(self._net.slots))),
            modes=tuple(self._modes),
            transitions={path: tuple(modes) for path, modes in self._transitions.items()},
        )

    def keep(self, mode: Mode) -> None:
        """A mode that is exponential or immediate already."""
        self._transitions[mode.transition].append(len(self._modes))
        if mode.distribution is not None:
            self._firings.append(len(self._modes))
        self._modes.append(mode)

    def stage(self, mode: Mode, found: PhaseType) -> None:
        """A mode as stages: chosen when it is enabled, reset as its memory says."""
        rows = [
            [self._slot(f"{mode.name}, stage {row}.{n + 1}") for n in range(branch.stages)]
            for row, branch in enumerate(found.branches, 1)
        ]
        every = tuple(slot for row in rows for slot in row)
        for row, branch in zip(rows, found.branches, strict=True):
            self._silent(
                mode,
                priority=self._begins,
                weight=branch.share,
                change=((row[0], 1),),
                inhibitors=(*mode.inhibitors, (every, 1)),
                slots=mode.slots | frozenset(every),
            )
            for here, after in pairwise(row):
                self._stage(mode, here, after, branch.mean)
            self._stage(mode, row[-1], None, branch.mean)
        if mode.memory != Memory.AGE:
            self._forget(mode, every)
        if mode.memory == Memory.RESAMPLE:
            self._resample(mode, every)

    def _stage(self, mode: Mode, here: int, after: int | None, mean: float) -> None:
        """A stage: on to the next one, or the firing itself."""
        change: tuple[tuple[int, int], ...]
        if after is not None:
            change = ((here, -1), (after, 1))
        else:
            change = (*mode.change, (here, -1))
            self._transitions[mode.transition].append(len(self._modes))
            self._firings.append(len(self._modes))
        self._modes.append(
            replace(
                mode,
                distribution=Exponential(mean),
                memory=Memory.ENABLING,
                takes=tuple(sorted((*mode.takes, (here, 1)))),
                change=tuple(sorted(change)),
                slots=mode.slots | {here},
            )
        )

    def _forget(self, mode: Mode, every: tuple[int, ...]) -> None:
        """Once the mode is disabled its stage is left."""
        disabled = _disabled(mode)
        if disabled is None:
            return
        for slot in every:
            self._silent(
                mode,
                priority=self._resets,
                takes=((slot, 1),),
                change=((slot, -1),),
                inhibitors=(),
                guard=disabled,
                slots=mode.slots | {slot},
            )

    def _resample(self, mode: Mode, every: tuple[int, ...]) -> None:
        """Whatever fires raises a flag; it takes the stage with it, or only itself."""
        flag = self._slot(f"{mode.name}, another one has fired")
        self._flags.append(flag)
        for slot in every:
            both = ((min(slot, flag), 1), (max(slot, flag), 1))
            self._silent(
                mode,
                priority=self._resets,
                takes=both,
                change=tuple((each, -1) for each, _ in both),
                inhibitors=(),
                guard=None,
                slots=frozenset((slot, flag)),
            )
        self._silent(
            mode,
            priority=self._resets,
            takes=((flag, 1),),
            change=((flag, -1),),
            inhibitors=((every, 1),),
            guard=None,
            slots=frozenset((*every, flag)),
        )

    def _slot(self, name: str) -> int:
        self._slots.append(name)
        return len(self._slots) - 1

    def _silent(self, mode: Mode, **changes: Any) -> None:
        """An immediate mode that no measure counts."""
        self._modes.append(replace(mode, distribution=None, memory=Memory.ENABLING, **changes))


def _disabled(mode: Mode) -> Expression | None:
    """That ``mode`` is not enabled, as an expression; None if it always is."""
    asked: list[ast.expr] = [_at_least(_tokens(slot), count) for slot, count in mode.takes]
    for slots, count in mode.inhibitors:
        total = _tokens(slots[0])
        for slot in slots[1:]:
            total = ast.BinOp(total, ast.Add(), _tokens(slot))
        asked.append(ast.UnaryOp(ast.Not(), _at_least(total, count)))
    if mode.guard is not None:
        asked.append(mode.guard.tree)
    if not asked:
        return None
    holds = asked[0] if len(asked) == 1 else ast.BoolOp(ast.And(), asked)
    where = f"{mode.name}, its stages"
    return of_tree(ast.UnaryOp(ast.Not(), holds), set(mode.slots), "disabled", where)


def _tokens(slot: int) -> ast.expr:
    return ast.Subscript(ast.Name("m", ast.Load()), ast.Constant(slot), ast.Load())


def _at_least(count: ast.expr, least: int) -> ast.expr:
    return ast.Compare(count, [ast.GtE()], [ast.Constant(least)])
