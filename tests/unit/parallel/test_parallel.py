from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pytest

from remusnet.errors import InvalidInput, MissingDependency
from remusnet.parallel import Workers, mapped, seeds


def drawn(seed: np.random.SeedSequence) -> list[float]:
    return [float(each) for each in np.random.default_rng(seed).random(3)]


@pytest.mark.parametrize("kind", Workers)
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_same_numbers_come_whatever_the_number_of_workers(workers: int, kind: Workers) -> None:
    tasks = seeds(7, 5)
    assert list(mapped(drawn, tasks, workers=workers, kind=kind)) == [
        drawn(seed) for seed in seeds(7, 5)
    ]


def test_no_two_seeds_are_of_one_stream() -> None:
    streams = {tuple(drawn(seed)) for seed in [*seeds(1, 50), *seeds(2, 50)]}
    assert len(streams) == 100


def test_progress_is_told_after_every_task() -> None:
    told: list[tuple[int, int]] = []
    assert list(
        mapped(
            str,
            [1, 2, 3],
            workers=2,
            kind=Workers.THREADS,
            progress=lambda done, of: told.append((done, of)),
        )
    ) == ["1", "2", "3"]
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_results_come_one_by_one_so_that_a_caller_can_keep_them_and_go_on_later(
    tmp_path: Path,
) -> None:
    def fails_at_the_third(number: int) -> int:
        if number == 3 and not (tmp_path / "mended").exists():
            raise InvalidInput("the third")
        return number * number

    kept: dict[int, int] = {}
    tasks = [1, 2, 3, 4]
    with pytest.raises(InvalidInput, match="the third"):
        kept.update(zip(tasks, mapped(fails_at_the_third, tasks, workers=1), strict=True))
    assert kept == {1: 1, 2: 4}
    (tmp_path / "mended").touch()
    left = [each for each in tasks if each not in kept]
    kept |= zip(left, mapped(fails_at_the_third, left, workers=1), strict=True)
    assert kept == {1: 1, 2: 4, 3: 9, 4: 16}


@pytest.mark.parametrize("kind", Workers)
def test_what_the_work_raises_comes_here_as_it_is(kind: Workers) -> None:
    def refuse(number: int) -> int:
        raise InvalidInput(f"no {number}")

    with pytest.raises(InvalidInput, match="no "):
        list(mapped(refuse, [1, 2, 3], workers=2, kind=kind))


def test_work_may_be_a_closure_in_another_process() -> None:
    factor = 3
    assert list(mapped(lambda each: each * factor, [1, 2], workers=2)) == [3, 6]
    assert list(mapped(called, [lambda: factor, lambda: 2], workers=2)) == [3, 2]


def called(task: Callable[[], int]) -> int:
    return task()


def test_one_worker_works_in_this_thread() -> None:
    here = list(mapped(lambda _: threading.get_ident(), [1, 2], workers=1))
    assert here == [threading.get_ident()] * 2


def test_without_joblib_one_worker_does_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "joblib", None)
    assert list(mapped(str, [1, 2])) == ["1", "2"]
    with pytest.raises(MissingDependency, match="several workers need joblib"):
        list(mapped(str, [1, 2], workers=2))


def test_workers_end_with_a_parent_that_is_killed() -> None:
    """They would wait for tasks, each as large as what it has imported."""
    text = """
import os, time
from remusnet.parallel import mapped
import tests.unit.parallel.test_parallel as here
for pid in mapped(here.pid_of_worker, range(100), workers=2):
    print(pid, flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", text],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 30  # half a second, on a machine that is not busy
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_workers_begin_with_what_they_import_and_without_the_main_module() -> None:
    """A script may use them without a guard: they neither run it nor import it."""
    text = """
import sys
from remusnet.parallel import mapped
def state(_):
    return "imaplib" in sys.modules, sys.modules["__main__"].__dict__.get("state") is None
print(set(mapped(state, range(8), workers=2, imports=("imaplib",))))
"""
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.stdout, done.stderr) == ("{(True, True)}\n", "")


@pytest.mark.parametrize("wait_s", [0.0, 0.15, 0.4])
def test_ctrl_c_ends_all_at_once_and_nobody_prints_a_traceback(wait_s: float) -> None:
    """Also while workers are still to be started."""
    text = """
import time
from remusnet.parallel import mapped
try:
    print("begins", flush=True)
    list(mapped(time.sleep, [60] * 4, workers=2, imports=("numpy.testing",)))
except KeyboardInterrupt:
    print("ended")
"""
    with subprocess.Popen(
        [sys.executable, "-c", text],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as program:
        assert program.stdout is not None
        program.stdout.readline()
        time.sleep(wait_s)
        os.killpg(program.pid, signal.SIGINT)
        out, err = program.communicate(timeout=30)  # a second, on a machine that is not busy
    assert (out, err) == ("ended\n", "")


def test_a_worker_that_is_killed_is_an_error_and_not_waited_for() -> None:
    with pytest.raises(BrokenProcessPool):
        list(mapped(kills_itself, range(8), workers=2))


def kills_itself(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_what_was_done_before_something_was_raised_comes_first() -> None:
    def refuse_the_last(number: int) -> int:
        if number == 39:
            raise InvalidInput("the last")
        return number

    came: list[int] = []
    with pytest.raises(InvalidInput, match="the last"):
        came.extend(mapped(refuse_the_last, range(40), workers=2))
    assert came == list(range(39))


def pid_of_worker(_: int) -> int:
    time.sleep(0.05)
    return os.getpid()
