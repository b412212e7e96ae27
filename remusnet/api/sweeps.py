"""A scenario at many intervals, on all cores; a journal keeps what is done, to go on later."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import remusnet
from remusnet.api.scenarios import policies_of
from remusnet.errors import InvalidInput, quoted, suggestion
from remusnet.parallel import mapped
from remusnet.policy import Policy
from remusnet.report.assertion_syntax import metric_and_selectors, parse
from remusnet.scenario import guest as guests
from remusnet.scenario.guest import GuestModel
from remusnet.scenario.library import text as shipped_text
from remusnet.scenario.scenario import Scenario
from remusnet.scenario.scenario_file import tables
from remusnet.sweep import running
from remusnet.sweep.grid import Axis, points
from remusnet.sweep.optimum import Judged, Nothing, Optimum, optimum
from remusnet.sweep.running import Asked, Done, Kept, Task, Value
from remusnet.sweep.table import Mean, Row, means, rows
from remusnet.tables.documents import is_path, read_text

USUAL: Final = (
    "mos.min",
    "rtp.jitter.mean",
    "rtp.jitter.max",
    "tcp.hold.median",
    "tcp.hold.p99",
    "sip.setup.median",
    "overhead",
)
"""What a sweep measures, if nothing is asked for."""

_GUESTS = files("remusnet.scenario") / "guests"
_SUFFIX = ".toml"

Tell = Callable[[int, int], None]
"""Called with how many points are done, and how many there are."""


def _silent(_: int, __: int) -> None:
    pass


def guest_names() -> tuple[str, ...]:
    """The guests that ship with remusnet."""
    return tuple(sorted(each.name.removesuffix(_SUFFIX) for each in _GUESTS.iterdir()))


def load_guest(word: str) -> GuestModel:
    """The guest that ``word`` names: a shipped one, or a file (.toml, or a path with a slash).

    Raises InvalidInput.
    """
    if is_path(word):
        return guests.load(read_text(word), word)
    known = guest_names()
    if word not in known:
        raise InvalidInput(
            f"unknown guest: {quoted(word)}{suggestion(word, known)}; "
            f"known are {', '.join(known)}, or the path of a .toml file"
        )
    return guests.load((_GUESTS / f"{word}{_SUFFIX}").read_text("utf-8"), f"{word}{_SUFFIX}")


def metrics(texts: Sequence[str]) -> tuple[Asked, ...]:
    """The metrics that ``texts`` name. Raises InvalidInput for what is none."""
    found = []
    for text in dict.fromkeys(each.strip() for each in texts):
        metric, selectors = metric_and_selectors(text)
        found.append(Asked(text, metric.path, selectors))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep that the user asks for. ``word``: the scenario's name or file; ``policies``: none for
    its own.

    ``repeats``: runs of each point, each with a seed of its own.
    """

    word: str
    interval_ns: tuple[int, ...]
    policies: tuple[Policy, ...] = ()
    axes: tuple[Axis, ...] = ()
    asked: tuple[Asked, ...] = ()
    repeats: int = 1
    guest: GuestModel | None = None

    def tasks(self) -> list[Task]:
        """All points, each of which can be run by itself; the first is tried for mistakes.

        Raises InvalidInput.
        """
        text = read_text(self.word) if is_path(self.word) else shipped_text(self.word)
        origin = self.word if is_path(self.word) else f"{self.word}{_SUFFIX}"
        base = Task(
            tables(text, origin), origin, 1, (), 0, (), self.asked or metrics(USUAL), self.guest
        )
        found = [
            replace(base, interval_ns=interval_ns, settings=settings, seed=seed)
            for interval_ns, settings, seed in points(self.interval_ns, self.axes, self.repeats)
        ]
        for settings in dict.fromkeys(each.settings for each in found):
            for interval_ns in {self.interval_ns[0], self.interval_ns[-1]}:
                scenario = running.scenario_at(
                    replace(base, interval_ns=interval_ns, settings=settings)
                )
                _require_own_traffic(scenario)
        policies = self.policies or policies_of(scenario, self.word)
        return [replace(each, policies=policies) for each in found]


@dataclass(frozen=True, slots=True)
class Swept:
    """What the sweep came to. ``keys``: those that were set."""

    rows: tuple[Row, ...]
    means: tuple[Mean, ...]
    asked: tuple[Asked, ...]
    keys: tuple[str, ...]


def sweep(
    wanted: Sweep,
    *,
    workers: int | None = None,
    engine: str | None = None,
    journal: Path | None = None,
    tell: Tell = _silent,
) -> Swept:
    """Run all points. The result depends on the seeds only, not on ``workers`` or ``engine``.

    ``engine``: a Dask cluster, as `remusnet.parallel.mapped` has it.

    ``journal``: a file that gets every point that is done, for a run that goes on after a kill; the
    caller deletes it once it has written down the result. Raises InvalidInput, and
    MissingDependency for several workers without joblib.
    """
    tasks = wanted.tasks()
    found: list[Row] = []
    for task, done in zip(tasks, _done(tasks, workers, engine, journal, tell), strict=True):
        found += rows(task, done)
    keys = tuple(each.key for each in wanted.axes)
    return Swept(tuple(found), tuple(means(found)), tasks[0].asked, keys)


@dataclass(frozen=True, slots=True)
class Tuning:
    """``sweep``: one policy, and the grid to begin with. ``requirements``: assertions.

    ``objective``: the metric to have the least of, or the most, with ``maximise``.
    """

    sweep: Sweep
    requirements: tuple[str, ...]
    objective: Asked
    maximise: bool = False


def tune(
    wanted: Tuning,
    *,
    workers: int | None = None,
    engine: str | None = None,
    tell: Tell = _silent,
) -> Optimum | Nothing:
    """The best interval. A requirement has to hold in every run, the metric is their mean.

    Raises as `sweep`, and InvalidInput for a requirement that is no assertion.
    """
    for text in wanted.requirements:
        parse(text)
    base = replace(wanted.sweep, asked=(wanted.objective,), axes=())
    (policy,) = base.tasks()[0].policies[:1]
    tried = 0
    tell(tried, 0)

    def judge(intervals: Sequence[int]) -> list[Judged]:
        nonlocal tried
        many = replace(base, interval_ns=tuple(intervals), policies=(policy,))
        tasks = [replace(each, requirements=wanted.requirements) for each in many.tasks()]
        found: dict[int, list[Done]] = {}
        results = mapped(
            running.run,
            tasks,
            workers=workers,
            engine=engine,
            imports=running.IMPORTS,
            progress=lambda done, _: tell(tried + done // base.repeats, 0),
        )
        for task, done in zip(tasks, results, strict=True):
            found.setdefault(task.interval_ns, []).append(done)
        tried += len(intervals)
        return [_judged(each, found[each]) for each in intervals]

    return optimum(judge, base.interval_ns, maximise=wanted.maximise)


def curves_of(
    wanted: Tuning,
    result: Optimum | Nothing,
    *,
    workers: int | None = None,
    engine: str | None = None,
    tell: Tell = _silent,
) -> Swept:
    """The sweep that shows what was chosen: the grid, the chosen interval, and all that matters."""
    texts = [wanted.objective.text, *USUAL]
    for text in wanted.requirements:
        parsed = parse(text)
        if not parsed.selectors:
            texts.append(parsed.metric.path)
    grid = set(wanted.sweep.interval_ns)
    if isinstance(result, Optimum):
        grid.add(result.best.interval_ns)
    asked = metrics(texts)
    return sweep(
        replace(wanted.sweep, interval_ns=tuple(sorted(grid)), asked=asked),
        workers=workers,
        engine=engine,
        tell=tell,
    )


def _judged(interval_ns: int, done: Sequence[Done]) -> Judged:
    values = [each.values[0].value for each in done]
    there = [value for value in values if value is not None]
    mean = sum(there) / len(there) if len(there) == len(values) else None
    kept = []
    for number, first in enumerate(done[0].requirements):
        own = [each.requirements[number] for each in done]
        failed = [each for each in own if not each.holds]
        kept.append(Kept(first.text, not failed, (failed or own)[0].worst))
    return Judged(interval_ns, mean, tuple(kept))


def _require_own_traffic(scenario: Scenario) -> None:
    if scenario.recordings:
        raise InvalidInput(
            f"{scenario.name}: captures are of one interval: nobody in them reacts to another"
        )


def _done(
    tasks: Sequence[Task],
    workers: int | None,
    engine: str | None,
    journal: Path | None,
    tell: Tell,
) -> Iterator[Done]:
    """What each task comes to, in order: from the journal, else by running it."""
    known = {} if journal is None else _read(journal)
    keys = _keys(tasks) if journal is not None else [""] * len(tasks)
    left = [task for task, key in zip(tasks, keys, strict=True) if key not in known]
    ran = mapped(running.run, left, workers=workers, engine=engine, imports=running.IMPORTS)
    count = 0
    tell(count, len(tasks))
    with _Journal(journal) as write:
        for key in keys:
            if key in known:
                done = known[key]
            else:
                done = next(ran)
                write(key, done)
            count += 1
            tell(count, len(tasks))
            yield done


class _Journal:
    """A line for each point, appended as it is done; a half line at the end is a kill's."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: Any = None

    def __enter__(self) -> Callable[[str, Done], None]:
        if self._path is not None:
            self._file = self._path.open("a", encoding="utf-8")
            if self._file.tell():
                self._file.write("\n")
        return self._write

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def _write(self, key: str, done: Done) -> None:
        if self._file is not None:
            values = [[each.policy, each.metric, each.value] for each in done.values]
            self._file.write(json.dumps([key, values]) + "\n")
            self._file.flush()


def _read(journal: Path) -> dict[str, Done]:
    found: dict[str, Done] = {}
    try:
        lines = journal.read_text("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return found
    for line in lines:
        try:
            key, values = json.loads(line)
            found[str(key)] = Done(tuple(Value(*each) for each in values))
        except (ValueError, TypeError):
            continue  # half written
    return found


def _keys(tasks: Sequence[Task]) -> list[str]:
    """What tells each point of a sweep from all others: its inputs, and the version that runs it.

    What all points have in common is read once: a file may be long, and points many.
    """
    base = replace(tasks[0], interval_ns=0, settings=(), seed=0)
    common = _digest([remusnet.__version__, asdict(base)])
    return [_digest([common, each.interval_ns, each.settings, each.seed]) for each in tasks]


def _digest(content: object) -> str:
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def partial_of(path: str | Path) -> Path:
    """The journal beside what a sweep writes."""
    text = os.fspath(path).rstrip("/")
    return Path(f"{text}.partial")
