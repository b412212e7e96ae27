"""Worker processes, forked from a server that has imported what they need: ready in some ms each.

The server is the standard library's. It knows nothing of this process, neither its threads nor its
main module, so a script that uses remusnet needs no ``if __name__ == "__main__"``.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import forkserver, get_context, resource_tracker
from multiprocessing.connection import Connection
from types import ModuleType
from typing import Final, Generic, TypeVar

from remusnet.interrupts import put_off

_Task = TypeVar("_Task")
_Done = TypeVar("_Done")

_Job = tuple[Callable[[_Task], _Done], Sequence[_Task]]

_CONTEXT: Final = get_context("forkserver")
_AHEAD: Final = 3
"""Chunks for each worker that are there before it asks for them."""
_CHUNK_S: Final = 0.2
"""Of work: to hand a chunk over takes a ms or two."""
_ONE_THREAD: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class _InWorkerError(Exception):
    """Where a worker raised something, as text."""


@dataclass(frozen=True, slots=True)
class _Chunk(Generic[_Done]):
    """What tasks came to, up to the first that raised; ``seconds``: how long each took."""

    done: list[_Done]
    seconds: float
    error: Exception | None = None
    where: str = ""


def start(modules: Sequence[str]) -> None:
    """Have the server begin to import ``modules``, while this process does something else.

    Where one runs already, it stays as it is: workers then import what it has not.
    """
    # What a killed program leaves is cleaned up; that needs no warning.
    with _environment({"PYTHONWARNINGS": "ignore:resource_tracker"}):
        resource_tracker.ensure_running()
    _CONTEXT.set_forkserver_preload(list(modules))
    # The server inherits that: it would answer Ctrl-C with a traceback while it imports.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        # Each worker has a core, which it shares with no threads of its own.
        with _environment(dict.fromkeys(_ONE_THREAD, "1")), _without_main(), put_off():
            forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def mapped_by(
    work: Callable[[_Task], _Done], tasks: Sequence[_Task], workers: int
) -> Iterator[_Done]:
    """What ``work`` makes of each of ``tasks``, in their order, by so many processes.

    They end with the taker of the results: at the last one, when the taker asks for no more, and
    when its process is killed.
    """
    wrapped: Callable[..., _Job[_Task, _Done]] | None = None
    if not _is_plain(work, tasks[0]):
        # With the code that is in them.
        from joblib import wrap_non_picklable_objects

        wrapped = wrap_non_picklable_objects
    watched, held = _CONTEXT.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, _CONTEXT, _ready, (watched,))
    waiting: deque[Future[_Chunk[_Done]]] = deque()
    begun, size = 0, 1
    try:
        while waiting or begun < len(tasks):
            while begun < len(tasks) and len(waiting) < _AHEAD * workers:
                # The last ones are small, so that no worker is left with a large one.
                some = tasks[begun : begun + min(size, 1 + (len(tasks) - begun) // (2 * workers))]
                begun += len(some)
                job = (work, some) if wrapped is None else wrapped((work, some), keep_wrapper=False)
                # Nobody would end a process that is half started.
                with _without_main(), put_off():
                    waiting.append(pool.submit(_chunk, job))
            found = waiting.popleft().result()
            yield from found.done
            if found.error is not None:
                raise found.error from _InWorkerError(found.where)
            size = max(1, min(2 * size, int(_CHUNK_S / max(found.seconds, 1e-6))))
        pool.shutdown()
    finally:
        held.close()
        pool.shutdown(cancel_futures=True)
        watched.close()


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """For what is started meanwhile; what the user has set stays."""
    added = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


@contextmanager
def _without_main() -> Iterator[None]:
    """Keep multiprocessing from running this program's main module in a worker, too."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _is_plain(work: object, task: object) -> bool:
    """Whether workers can import what these are made of; closures and what has them they can't."""
    try:
        pickle.dumps((work, task))
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
    return getattr(work, "__module__", None) != "__main__"


def _ready(watched: Connection) -> None:
    """Make a worker ready. Ctrl-C is for the process that waits for it: it ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(watched,), daemon=True).start()
    gc.freeze()


def _end_with(held: Connection) -> None:
    """End this process when the other end is closed, by whoever has it, or by its death."""
    held.poll(None)
    os._exit(1)


def _chunk(job: _Job[_Task, _Done]) -> _Chunk[_Done]:
    work, tasks = job
    began = time.perf_counter()
    done: list[_Done] = []
    for task in tasks:
        try:
            done.append(work(task))
        except Exception as error:  # noqa: BLE001 - raised again where the results are taken
            where = "".join(traceback.format_exception(error))
            return _Chunk(done, 0.0, error, where)
    return _Chunk(done, (time.perf_counter() - began) / len(tasks))
