"""Many independent runs on all cores: a map in order, with progress, and seeds that don't clash.

    done = list(mapped(simulate, seeds(1, 8), workers=2))

The results do not depend on ``workers``: each task has a seed of its own, and results come in the
order of the tasks, one by one, so that a caller may keep them and go on later with the tasks that
are left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import TypeVar

import numpy as np

from remusnet.errors import InvalidInput, MissingDependency, quoted

_Task = TypeVar("_Task")
_Done = TypeVar("_Done")

Progress = Callable[[int, int], None]
"""Gets how many tasks are done, and how many there are."""


class Workers(StrEnum):
    """What the work runs in: threads, where it lets go of the interpreter's lock, or processes."""

    THREADS = "threads"
    PROCESSES = "processes"


DASK = "dask://"
"""Begins the name of a cluster: ``dask://scheduler:8786``."""


def check_engine(engine: str) -> None:
    """Raises InvalidInput for what names no cluster, MissingDependency without Dask."""
    host, _, port = engine.removeprefix(DASK).rpartition(":")
    named = engine.startswith(DASK) and host and port.isascii() and port.isdecimal()
    if not named or int(port) >= 1 << 16 or not host.isprintable() or {*host} & {*"/@ "}:
        raise InvalidInput(f"engine: {quoted(engine)}; expected dask://HOST:PORT, of a scheduler")
    from remusnet.parallel.dask import load

    load()


def seeds(seed: int, count: int) -> list[np.random.SeedSequence]:
    """``count`` seeds of independent streams, always the same ones for a ``seed``."""
    return np.random.SeedSequence(seed).spawn(count)


def mapped(
    work: Callable[[_Task], _Done],
    tasks: Sequence[_Task],
    *,
    workers: int | None = None,
    kind: Workers = Workers.PROCESSES,
    engine: str | None = None,
    imports: Sequence[str] = (),
    progress: Progress | None = None,
) -> Iterator[_Done]:
    """What ``work`` makes of each of ``tasks``, in their order, on ``workers`` cores (None: all).

    What ``work`` raises is raised here, and the tasks that have not begun are dropped. With one
    worker all runs in this thread. Raises MissingDependency where several are asked for without
    joblib; with None, one does it then.

    ``imports``: modules that ``work`` imports as it goes; processes begin with them.

    ``engine``: the Dask cluster that does it instead, ``dask://scheduler:8786``. Raises as
    `check_engine`, and MissingDependency where none answers or its workers are of no use.
    """
    results: Iterator[_Done]
    if engine is not None:
        check_engine(engine)
        from remusnet.parallel.dask import mapped_by

        results = mapped_by(engine.removeprefix(DASK), work, tasks)
    else:
        results = _here(work, tasks, workers, kind, imports)
    for number, result in enumerate(results, 1):
        if progress is not None:
            progress(number, len(tasks))
        yield result


def _here(
    work: Callable[[_Task], _Done],
    tasks: Sequence[_Task],
    workers: int | None,
    kind: Workers,
    imports: Sequence[str],
) -> Iterator[_Done]:
    """By this machine."""
    if workers == 1 or len(tasks) <= 1:
        return map(work, tasks)
    if kind is Workers.PROCESSES:
        from remusnet.parallel import processes

        processes.start(imports)
    if (count := _workers(workers, len(tasks))) == 1:
        return map(work, tasks)
    if kind is Workers.PROCESSES:
        return processes.mapped_by(work, tasks, count)
    from joblib import Parallel, delayed

    # Short tasks go in batches: handing one over takes some ms.
    pool = Parallel(n_jobs=count, prefer=str(kind), return_as="generator", batch_size="auto")
    results: Iterator[_Done] = pool(delayed(work)(task) for task in tasks)
    return results


def _workers(asked: int | None, tasks: int) -> int:
    """How many there are, for two tasks at least and what is not one worker."""
    try:
        from joblib import cpu_count
    except ImportError:
        if asked is None:
            return 1
        raise MissingDependency(
            "several workers need joblib: pip install 'remusnet[availability]' (or python3-joblib)"
        ) from None
    return max(1, min(tasks, cpu_count() if asked is None else asked))
