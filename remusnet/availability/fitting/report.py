"""What a file of events comes to: fits by kind of actor, and parameters for the designs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from remusnet.availability.fitting.events import read_events
from remusnet.availability.fitting.families import scipy_part
from remusnet.availability.fitting.history import SERVER, History, Kind, Times, history_of
from remusnet.availability.fitting.likelihood import FEWEST, Choice, Interval, fitted
from remusnet.errors import InvalidInput

STANDING: Final = (
    "registrar", "location", "proxy", "transport", "sender", "coder", "transactions", "receiver",
)  # fmt: skip
"""The actors that a SIP server always has; sessions and transactions come and go."""
SECTIONS: Final = 6


@dataclass(frozen=True, slots=True)
class KindFit:
    """A kind of actor with what fits its lives and its restarts; None: none has ended.

    ``at_least_s``: where none failed, what the mean life is at least, with 97.5 %.
    ``sticky``: the share of restarts that failed again at once; None: there was none.
    """

    kind: Kind
    life: Choice | None
    restart: Choice | None
    at_least_s: float | None
    sticky: Interval | None

    @property
    def few(self) -> bool:
        """Whether its failures are too few to tell one distribution from another."""
        return 0 < len(self.kind.lives.ended) < FEWEST


@dataclass(frozen=True, slots=True)
class Setting:
    """A parameter of the designs, as measured: seconds, or a share."""

    name: str
    value: Interval
    is_time: bool
    of: str


@dataclass(frozen=True, slots=True)
class Report:
    """``kinds``: those that failed or were restarted first; ``settings``: for ``compare``."""

    history: History
    kinds: tuple[KindFit, ...]
    settings: tuple[Setting, ...]

    @property
    def failed(self) -> tuple[KindFit, ...]:
        """The kinds that have failed."""
        return tuple(each for each in self.kinds if each.life is not None)


def report_of(lines: Iterable[str], name: str) -> Report:
    """The fits of the events in ``lines`` of a file called ``name``.

    Raises InvalidInput for lines that are no events, and where nothing has failed in all of them;
    MissingDependency without scipy.
    """
    history = history_of(read_events(lines, name))
    kinds = [_fit(each) for each in history.kinds.values()]
    if not any(each.life for each in kinds):
        total = sum(kind.lives.total for kind in history.kinds.values() if kind.name in STANDING)
        bound = (
            f"; an actor's mean life is {_least(total):.4g} s at least (97.5 %)" if total else ""
        )
        raise InvalidInput(
            f"{name}: nothing failed in {history.seconds:.4g} s: there is nothing to fit{bound}"
        )
    kinds.sort(key=lambda each: each.life is None)
    return Report(history, tuple(kinds), tuple(_settings(history)))


def _fit(kind: Kind) -> KindFit:
    total = kind.lives.total
    return KindFit(
        kind,
        fitted(kind.lives) if kind.lives.ended else None,
        fitted(kind.restarts) if kind.restarts.ended else None,
        _least(total) if total and not kind.lives.ended else None,
        _share(kind.stuck, kind.attempts) if kind.attempts else None,
    )


def _least(total: float) -> float:
    """A mean that, with a chance of 2.5 %, lets nothing happen in ``total`` seconds."""
    return float(2 * total / scipy_part("stats").chi2.ppf(0.975, 2))


def _share(some: int, of: int) -> Interval:
    """Clopper and Pearson's interval of a share."""
    beta = scipy_part("stats").beta
    low = float(beta.ppf(0.025, some, of - some + 1)) if some else 0.0
    high = float(beta.ppf(0.975, some + 1, of - some)) if some < of else 1.0
    return Interval(some / of, low, high)


def _pooled(parts: Sequence[Times]) -> Times:
    return Times(
        [each for part in parts for each in part.ended],
        [each for part in parts for each in part.censored],
    )


def _settings(history: History) -> Iterable[Setting]:
    """What `remusnet.availability.models.parameters` calls the same."""
    actors = [kind for kind in history.kinds.values() if kind.name in STANDING]
    lives = _pooled([each.lives for each in actors])
    restarts = _pooled([each.restarts for each in actors])
    attempts = sum(each.attempts for each in actors)
    of = "all actors but sessions and transactions"
    if lives.ended:
        yield Setting("actor.mttf", fitted(lives).mean, is_time=True, of=of)
    if restarts.ended:
        yield Setting("actor.restart", fitted(restarts).mean, is_time=True, of=of)
        sticky = _share(sum(each.stuck for each in actors), attempts)
        yield Setting("actor.sticky", sticky, is_time=False, of=of)
    server = history.kinds.get(SERVER)
    if server is not None and server.lives.ended:
        mean = fitted(server.lives).mean
        section = Interval(*(SECTIONS * each for each in (mean.value, mean.low, mean.high)))
        yield Setting("section.mttf", section, is_time=True, of="the process, which has six")
    if server is not None and server.restarts.ended:
        mean = fitted(server.restarts).mean
        yield Setting("section.mttr", mean, is_time=True, of="the process, until it was started")
