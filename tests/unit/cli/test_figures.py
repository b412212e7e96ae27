"""``remusnet figures`` as a user meets it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from remusnet.report import thesis
from tests.lib.program import runner


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    return runner(capsys, "figures")(*args)


@pytest.mark.slow
def test_all_figures_are_drawn_and_hold(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = run(capsys, str(tmp_path / "out"))
    assert (code, err) == (0, "")
    for each in thesis.SHOWN:
        assert any(
            line.startswith(f"{each.scenario} ") and "holds" in line for line in out.splitlines()
        )
    expected = {f"{each.scenario}.{kind}" for each in thesis.SHOWN for kind in ("svg", "png")}
    assert {path.name for path in (tmp_path / "out").iterdir()} == expected | {
        "index.html",
        ".remusnet-report",
    }


@pytest.mark.slow
def test_a_figure_that_misses_its_form_ends_in_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thesis, "SHOWN", thesis.SHOWN[2:3])
    monkeypatch.setattr("remusnet.scenario.expectations.held_mean", lambda *_: 20.0)
    code, _, err = run(capsys, str(tmp_path))
    assert (code, err) == (
        1,
        "remusnet: error: fig10: see index.html for what is missed\n",
    )
    assert "missed" in (tmp_path / "index.html").read_text()


def test_without_matplotlib_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, err = run(capsys, str(tmp_path))
    assert (code, out) == (3, "")
    assert "pip install 'remusnet[report]'" in err
    assert list(tmp_path.iterdir()) == []
