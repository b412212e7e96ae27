"""Many tasks on a Dask cluster that is there already. Imported only where one is asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import remusnet
from remusnet.errors import MissingDependency, quoted
from remusnet.extras import lacking

_Task = TypeVar("_Task")
_Done = TypeVar("_Done")

_PATIENCE_S = 10
_AHEAD = 4
"""Tasks that wait for each thread of the cluster: more would only fill memory."""


def load() -> Any:
    """Dask's module ``distributed``. Raises MissingDependency without it."""
    try:
        import distributed
    except ImportError:
        raise lacking("a Dask cluster needs Dask", "dask") from None
    return distributed


def mapped_by(
    address: str, work: Callable[[_Task], _Done], tasks: Sequence[_Task]
) -> Iterator[_Done]:
    """What the cluster whose scheduler is at ``address`` makes of ``tasks``, in their order.

    A caller that stops asking drops the tasks that have not begun. Raises MissingDependency where
    no scheduler answers, there are no workers, or they have no remusnet, or another one: then
    numbers could be others too.
    """
    distributed = load()
    try:
        client = distributed.Client(f"tcp://{address}", timeout=_PATIENCE_S, set_as_default=False)
    except (OSError, ValueError) as error:
        # Of the chain of causes the last one has the reason.
        raise MissingDependency(f"no Dask scheduler answers at {quoted(address)}") from error
    with client:
        threads = _threads(client, address)
        left = iter(tasks)
        waiting: deque[Any] = deque()
        while True:
            while len(waiting) < _AHEAD * threads:
                try:
                    task = next(left)
                except StopIteration:
                    break
                # pure=False: the cluster keeps no result of ours for another run.
                waiting.append(client.submit(work, task, pure=False))
            if not waiting:
                return
            yield waiting.popleft().result()


def version() -> str:
    """The version of the remusnet that runs this: asked of each worker."""
    return remusnet.__version__


def _threads(client: Any, address: str) -> int:
    """How many the cluster has."""
    count = sum(client.nthreads().values())
    if not count:
        raise MissingDependency(f"the Dask scheduler at {quoted(address)} has no workers")
    try:
        found = client.run(version)
    except Exception as error:  # noqa: BLE001 - whatever the worker could not import
        raise MissingDependency(
            f"a worker of the Dask scheduler at {quoted(address)} has no remusnet "
            f"{version()}: {type(error).__name__}: {error}"
        ) from None
    for worker, other in found.items():
        if other != version():
            raise MissingDependency(
                f"the Dask worker {quoted(worker)} has remusnet {quoted(str(other))}, "
                f"not {version()}: numbers could differ"
            )
    return int(count)
