"""What tests on a real kernel share: the labs that they run in, and their fixtures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.kernel.lab import plugin
from tests.kernel.lab.bed import Bed, open_bed
from tests.kernel.lab.protection import ReusedBed, Site


def pytest_configure(config: pytest.Config) -> None:
    """Let tests marked ``uml`` and ``netns`` run in their labs."""
    plugin.pytest_configure(config)


@pytest.fixture(
    params=[
        pytest.param("uml", marks=pytest.mark.uml),
        pytest.param("netns", marks=pytest.mark.netns),
    ]
)
def kernel(request: pytest.FixtureRequest) -> str:
    """Runs the test on both kernels; the value says on which."""
    name: str = request.param
    return name


@pytest.fixture
def defer() -> Iterator[Callable[..., object]]:
    """``defer(function, *arguments)`` calls it after the test; the last one comes first."""
    with ExitStack() as stack:
        yield stack.callback


@pytest.fixture
def bed() -> Iterator[Bed]:
    """A guest, its vif in Dom0 and a client, without IP addresses."""
    with open_bed() as made:
        yield made


@pytest.fixture(scope="module")
def reused() -> Iterator[ReusedBed]:
    """One bed for the tests of a module that leave it as it was."""
    with ReusedBed() as made:
        yield made


@pytest.fixture
def site(reused: ReusedBed, tmp_path: Path) -> Iterator[Site]:
    """Where to apply and remove; a test that leaves a trace fails."""
    made = Site(reused.bed(), tmp_path / "run")
    before = made.looks()
    yield made
    changed, files = made.changed(before), made.files()
    if changed:
        reused.discard()
    assert (changed, files) == ([], set())


@pytest.fixture
def own_run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that a test starts have a run directory of its own."""
    monkeypatch.setenv("REMUSNET_RUN_DIR", str(tmp_path / "run"))
