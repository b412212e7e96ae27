"""``verify --nagios`` and ``status --prometheus``, as a monitor starts them."""

from __future__ import annotations

from pathlib import Path

import pytest

from remusnet.api import monitoring
from remusnet.api.protection import Listing
from remusnet.errors import InvalidInput, NotPermitted
from remusnet.results.monitoring import Reading
from tests.lib.program import Run, runner
from tests.lib.readings import INGRESS_GONE, reading


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


def found(monkeypatch: pytest.MonkeyPatch, *readings: Reading) -> None:
    monkeypatch.setattr(monitoring, "readings", lambda *_, **__: Listing(readings))


@pytest.mark.parametrize(
    ("readings", "code", "word"),
    [
        ((reading(),), 0, "OK"),
        ((reading(warnings=("ifb-1.0 is 91 % full",)),), 1, "WARNING"),
        ((reading(INGRESS_GONE),), 2, "CRITICAL"),
    ],
)
def test_the_exit_code_is_the_state(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    readings: tuple[Reading, ...],
    code: int,
    word: str,
) -> None:
    found(monkeypatch, *readings)
    done, out, err = run("verify", "--nagios")
    assert (done, err) == (code, "")
    assert out.startswith(f"REMUSNET {word} - ")
    assert " | 'ifb-1.0_backlog'=" in out


@pytest.mark.parametrize("error", [NotPermitted("no"), InvalidInput("no"), OSError(5, "no")])
def test_what_can_not_be_told_is_unknown_whatever_the_reason(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_: str, **__: object) -> Listing[Reading]:
        raise error

    monkeypatch.setattr(monitoring, "readings", refuse)
    code, out, err = run("verify", "--nagios", "vif1.0")
    assert (code, err, out.count("\n")) == (3, "", 1)
    assert out.startswith("REMUSNET UNKNOWN - ")


@pytest.mark.parametrize(
    "words", [("--bogus",), ("--json",), ("--run-dir",), ("--run-dir", "relative\x1b[2J", "--no")]
)
def test_a_mistake_in_the_monitor_s_command_is_unknown_too(
    run: Run, words: tuple[str, ...]
) -> None:
    code, out, err = run("verify", "--nagios", *words)
    assert (code, err, out.count("\n")) == (3, "", 1)
    assert out.startswith("REMUSNET UNKNOWN - ")
    assert "\x1b" not in out


def test_without_nagios_a_usage_error_is_what_it_was(run: Run) -> None:
    code, out, err = run("verify", "--bogus")
    assert (code, out) == (2, "")
    assert "(see remusnet verify --help)" in err


def test_metrics_are_written_without_a_word_or_printed(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found(monkeypatch, reading())
    file = tmp_path / "remusnet.prom"
    assert run("status", "--prometheus", file) == (0, "", "")
    code, out, err = run("status", "--prometheus", "-")
    assert (code, err, out) == (0, "", file.read_text())
    assert "remusnet_backlog_bytes{" in out


@pytest.mark.parametrize("words", [("--json",), ("--domain", "guest")])
def test_metrics_are_of_vifs_and_no_json(run: Run, words: tuple[str, ...]) -> None:
    code, out, err = run("status", "--prometheus", "-", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_a_file_that_can_not_be_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch)
    code, out, err = run("status", "--prometheus", "/nonexistent/x.prom")
    assert (code, out) == (2, "")
    assert err == "remusnet: error: '/nonexistent/x.prom': No such file or directory\n"
