"""`remusnet xen fit`, as typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from remusnet.api.sweeps import load_guest
from remusnet.cli.main import cli
from remusnet.errors import InvalidInput
from remusnet.scenario import epochs
from tests.lib.guest_traces import trace

MS = 1_000_000


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Traces of the busy PBX, in files of the working directory."""
    monkeypatch.chdir(tmp_path)
    names = []
    for interval in (50, 200, 800, 400):
        found = trace(load_guest("busy-pbx"), interval * MS, 100, 1)
        Path(found.name).write_text(epochs.write(found), encoding="utf-8")
        names.append(found.name)
    return names


def test_a_fit_is_a_guest_that_tune_takes(measured: list[str]) -> None:
    *fitted, check = measured
    words = ["xen", "fit", *fitted, "--check", check, "-o", "ours.toml", "--name", "ours"]
    done = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert done.stdout.splitlines()[0].split()[0] == "parameter"
    assert "not fitted, only compared:" in done.stdout
    assert done.stdout.endswith("wrote 'ours.toml'\n")
    assert load_guest("./ours.toml").name == "ours"
    words = ["tune", "fig11", "--guest", "./ours.toml", "--interval", "200ms,400ms", "--jobs", "1"]
    tuned = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert tuned.stdout.startswith("Checkpoint interval: ")
    printed = CliRunner().invoke(cli, ["xen", "fit", *fitted, "--json"], catch_exceptions=False)
    document = json.loads(printed.stdout)
    assert [each["interval_ms"] for each in document["fitted"]] == [50, 200, 800]


def test_without_a_file_standard_output_is_the_guest_file(measured: list[str]) -> None:
    done = CliRunner().invoke(cli, ["xen", "fit", *measured], catch_exceptions=False)
    assert done.stdout.startswith("# Fitted by remusnet xen fit to epochs-50ms.csv")
    assert "parameter" not in done.stdout
    assert "memory.working-set" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["epochs-50ms.csv"], "one interval gives one pause and one lag"),
        (["epochs-50ms.csv", "epochs-200ms.csv"], "two intervals give straight lines"),
        (["nosuch.csv"], "nosuch.csv: No such file"),
        (["epochs-50ms.csv", "--name", "a\nb"], "--name"),
        (["epochs-50ms.csv", "epochs-200ms.csv", "epochs-800ms.csv", "-o", "no/such"], "no/such"),
    ],
)
def test_what_cannot_be_fitted_is_said_in_one_line(
    measured: list[str], words: list[str], message: str
) -> None:
    assert measured
    done = CliRunner().invoke(cli, ["xen", "fit", *words])
    assert isinstance(done.exception, InvalidInput)
    assert message in str(done.exception)
    assert "\n" not in str(done.exception)
