"""A sweep on a Dask cluster: the same bytes as on this machine's cores."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from remusnet.api.sweeps import Sweep, Tuning, load_guest, metrics, partial_of, sweep, tune
from remusnet.errors import InvalidInput, MissingDependency
from remusnet.parallel import check_engine, mapped
from remusnet.policy import PRESETS
from remusnet.sweep.grid import axis, intervals
from remusnet.sweep.table import tidy_csv

TEXT = """
name = "call"
duration = "3s"
[checkpoint]
pause = "10ms"
[[calls]]
count = 1
drift-ppm = 40
[[tcp]]
count = 1
exchanges = 5
think = "100ms"
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    """Two worker processes on loopback."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Dask's own, of Python's newer versions
        import distributed

        start: Any = distributed.LocalCluster

        with start(
            n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
        ) as cluster:
            yield cluster.scheduler_address.replace("tcp://", "dask://")


@pytest.fixture
def wanted(tmp_path: Path) -> Sweep:
    path = tmp_path / "call.toml"
    path.write_text(TEXT, encoding="utf-8")
    return Sweep(
        str(path),
        intervals("40ms,200ms", 2),
        (PRESETS["tcp-only"], PRESETS["hold-all"]),
        (axis("network.loss=0,1%"),),
        repeats=2,
        guest=load_guest("busy-pbx"),
    )


def as_csv(wanted: Sweep, **options: object) -> str:
    found = sweep(wanted, **options)  # type: ignore[arg-type]
    return tidy_csv(found.rows, found.asked, found.keys)


@pytest.mark.slow
def test_a_cluster_gives_the_same_bytes_also_where_it_goes_on_after_a_kill(
    wanted: Sweep, engine: str, tmp_path: Path
) -> None:
    here = as_csv(wanted, workers=2)
    assert as_csv(wanted, engine=engine) == here
    journal = partial_of(tmp_path / "out")

    def killed(done: int, _: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(wanted, engine=engine, journal=journal, tell=killed)
    assert len(journal.read_text("utf-8").splitlines()) == 3
    assert as_csv(wanted, engine=engine, journal=journal) == here


def test_tuning_on_a_cluster_finds_the_same_interval(wanted: Sweep, engine: str) -> None:
    base = Sweep(wanted.word, intervals("20ms..200ms", 3), (PRESETS["tcp-only"],))
    asked = Tuning(base, ("tcp.hold.max < 150ms",), metrics(["overhead"])[0])
    assert tune(asked, engine=engine) == tune(asked, workers=1)


def fails(number: int) -> int:
    if number == 3:
        raise InvalidInput("the third")
    return number


def test_results_come_in_order_and_what_a_task_raises_is_raised_here(engine: str) -> None:
    found = mapped(fails, [1, 2, 3, 4], engine=engine)
    assert [next(found), next(found)] == [1, 2]
    with pytest.raises(InvalidInput, match="the third"):
        next(found)


@pytest.mark.parametrize(
    "word",
    ["dask", "dask://", "dask://host", "dask://:8786", "tcp://h:1", "dask://h:x", "dask://h:99999"],
)
def test_what_names_no_scheduler_is_refused(word: str) -> None:
    with pytest.raises(InvalidInput, match="expected dask://HOST:PORT"):
        check_engine(word)


def test_without_dask_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingDependency, match=r"a Dask cluster needs Dask: .*install"):
        check_engine("dask://scheduler:8786")


def test_a_scheduler_that_does_not_answer_is_said_to_be_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("remusnet.parallel.dask._PATIENCE_S", 0.5)
    with pytest.raises(MissingDependency, match="no Dask scheduler answers at '127.0.0.1:1'"):
        list(mapped(fails, [1, 2], engine="dask://127.0.0.1:1"))
