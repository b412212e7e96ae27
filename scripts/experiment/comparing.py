"""What a run measured, beside what the model says for the same parameters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from remusnet.availability.distributions import Distribution, Exponential, Uniform
from remusnet.availability.fitting.events import read_events
from remusnet.availability.fitting.families import scipy_part
from remusnet.availability.fitting.history import History, history_of
from remusnet.availability.fitting.likelihood import Interval, fitted
from remusnet.availability.models.supervision import ACTORS, TreeTimes, server, services
from remusnet.availability.solve import solve
from remusnet.errors import InvalidInput
from scripts.experiment.probes import CALLS, SERVICES
from scripts.experiment.run import BIN_S, Recording

_BATCHES = 32
# In so few bins, and in no more than half of them, is something lost that batches would take their
# spread for too small.
_RARE = 20


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value with its 95 % interval, and the model's; ``unit``: ``%`` or ``ms``."""

    preset: str
    what: str
    measured: Interval
    predicted: float
    unit: str = "%"

    @property
    def agrees(self) -> bool:
        """Whether the prediction is within the interval."""
        return self.measured.low <= self.predicted <= self.measured.high


def figures(run: Recording, events: Iterable[str]) -> list[Figure]:
    """All that is compared of ``run``; ``events``: the lines of its events file (under ``none``
    they are not needed)."""
    preset = run.options.preset
    history = history_of(read_events(events, "events")) if preset != "none" else History()
    found = list(_of_services(run, history))
    if preset != "none":
        found += _of_restarts(run, history)
    return found


def share(rows: Sequence[Sequence[int]], column: int) -> Interval:
    """The share of probes that are counted in ``column``, with its interval.

    From the spread of batches; of what is rare from the number of bins in which it happened, which
    is Poisson's: probes that are lost together are one event.
    """
    sent, some = sum(row[1] for row in rows), sum(row[column] for row in rows)
    if len(rows) < 2:
        raise InvalidInput(f"too short to tell: {len(rows)} bins of {BIN_S} s")
    value = some / sent
    hit = sum(row[column] > 0 for row in rows)
    if hit < min(_RARE, len(rows) / 2):
        chi2 = scipy_part("stats").chi2
        most = float(chi2.ppf(0.975, 2 * hit + 2)) / 2
        if not hit:
            return Interval(0.0, 0.0, most / sent)
        return Interval(
            value, value * float(chi2.ppf(0.025, 2 * hit)) / 2 / hit, value * most / hit
        )
    count = min(_BATCHES, len(rows))
    size = len(rows) / count
    batches = [rows[int(n * size) : int((n + 1) * size)] for n in range(count)]
    counts = [(sum(r[1] for r in batch), sum(r[column] for r in batch)) for batch in batches]
    spread = sum((lost - value * asked) ** 2 for asked, lost in counts)
    quantile = float(scipy_part("stats").t.ppf(0.975, count - 1))
    half = quantile * math.sqrt(spread * count / (count - 1)) / sent
    return Interval(value, max(value - half, 0.0), min(value + half, 1.0))


def _of_services(run: Recording, history: History) -> Iterator[Figure]:
    preset = run.options.preset
    said = predicted(run, history)
    for service in SERVICES:
        rows = run.probes[service]
        lost = said[service]
        yield Figure(preset, f"{service}: lost", share(rows, 2), lost)
        if run.mean_flight_s and preset == "none" and service != "established-calls":
            yield _of_the_same_lives(run, service)
        if preset == "resilient":
            # A restart that is shorter than T1 delays no probe by more.
            yield Figure(preset, f"{service}: delayed", share(rows, 3), 0.0)


def _of_the_same_lives(run: Recording, service: str) -> Figure:
    """What is lost, beside the time in which no process served: chance has the same part in both.

    That is a far sharper comparison: all that is left to chance is where between two probes a
    process begins and ends, of which the difference has a variance of 1/6 (probes apart)². What is
    under way when a process ends is lost too: as much as is under way on average.
    """
    rows, options = run.probes[service], run.options
    sent, lost = sum(row[1] for row in rows), sum(row[2] for row in rows)
    counted_s = sent / options.rate
    half = 1.96 * math.sqrt(len(run.lives_s) / 6) / sent
    served_s = sum(run.lives_s) - len(run.lives_s) * run.mean_flight_s[service]
    measured = Interval(lost / sent, lost / sent - half, lost / sent + half)
    return Figure(options.preset, f"{service}: of these lives", measured, 1 - served_s / counted_s)


def _of_restarts(run: Recording, history: History) -> Iterator[Figure]:
    """Of each actor, how much of its time it is being restarted."""
    for name in ACTORS:
        kind = history.kinds.get(name)
        if kind is None or len(kind.restarts.ended) < 2:
            continue
        mean = fitted(kind.restarts).mean.value
        lives = fitted(kind.lives).mean
        found = Interval(*(mean / (each + mean) for each in (lives.value, lives.high, lives.low)))
        said = mean / (run.options.actor_life_s + mean)
        yield Figure(run.options.preset, f"{name}: restarting", found, said)


def restart_times(history: History) -> Mapping[str, Interval]:
    """The mean restart of each kind of actor, with its interval, in seconds."""
    return {
        name: fitted(kind.restarts).mean
        for name in ACTORS
        if (kind := history.kinds.get(name)) is not None and kind.restarts.ended
    }


def predicted(run: Recording, history: History) -> dict[str, float]:
    """The model's share of time without each service, for the run's parameters.

    As given: the faults, the repair, how long lost calls are missed. As measured, since nobody can
    choose them: how long the process takes to end and to start, an actor to restart, and a request
    to be answered. A lost call is noticed at its next probe, half their distance later.
    """
    options = run.options
    restarts: dict[str, Distribution] = dict.fromkeys(ACTORS, Exponential(1.0))
    restarts |= {name: Exponential(each.value) for name, each in restart_times(history).items()}
    repair: Distribution = Exponential(1.0)
    if options.preset == "none":
        own = _mean(run.ends_s) + _mean(run.starts_s[1:])
        low, high = options.repair_s
        repair = Uniform(low + own, high + own)
    found: dict[str, float] = {}
    for service in SERVICES:
        times = TreeTimes(
            life=Exponential(options.actor_life_s),
            restart=restarts,
            repair=repair,
            call_mean=options.call_mean_s,
            notice=_notice(options.preset, CALLS / options.rate),
            # Only under `thesis` tables are lost.
            under_way=run.flight_s[service] if options.preset == "thesis" else 0.0,
            # The script holds faults back before they would escalate.
            window=False,
        )
        if service in found:
            continue
        asked = services(options.preset, times, waiting=True)
        if times.under_way:
            asked = tuple(each for each in asked if each.name == service)
        for answer in solve(server(options.preset, times), asked):
            found[answer.name] = 1 - answer.value if answer.rest is None else answer.rest
    return found


def _notice(preset: str, apart_s: float) -> Distribution:
    """A lost call's next probe: of probes ``apart_s`` apart, it comes within that time."""
    # Beside seven actors' clocks a uniform one has no closed form; half of it is the same there,
    # where calls are noticed long before the next failure.
    return Uniform(0.0, apart_s) if preset == "none" else Exponential(apart_s / 2)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
