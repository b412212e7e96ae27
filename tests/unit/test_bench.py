"""`scripts/bench`: rows one by one, and which."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from scripts.benchmarks import __main__ as bench
from scripts.benchmarks.ratio import Ratio


class Rows:
    """A subject of three rows, two of which share a name; ``said``: what stdout had by then."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.said: list[str] = []
        self.measured: list[str] = []

    @contextmanager
    def ratios(self) -> Iterator[list[Ratio]]:
        yield [
            self._row("a call", "call"),
            self._row("a hop", "hops", most_rounds=1),
            self._row("another hop", "hops"),
        ]

    def _row(self, what: str, name: str, most_rounds: int = 9) -> Ratio:
        def ours() -> float:
            self.measured.append(what)
            self.said.append(self._capsys.readouterr().out)
            return 1.0

        return Ratio(
            what, "theirs", 4, ours, lambda: 2.0, unit="MB", name=name, most_rounds=most_rounds
        )


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Rows:
    rows = Rows(capsys)
    monkeypatch.setattr(bench, "import_module", lambda _name: SimpleNamespace(ratios=rows.ratios))
    return rows


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["bench", *words])
    return bench.main()


def test_a_row_is_printed_before_the_next_one_is_measured(
    rows: Rows, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "actors", "--rounds", "2") == 0
    assert rows.measured == ["a call", "a call", "a hop", "another hop", "another hop"]
    assert rows.said[0].startswith("what ")
    assert rows.said[2].startswith("a call ")
    assert "below its goal" in rows.said[2]
    assert rows.said[3].startswith("a hop ")
    assert capsys.readouterr().out.startswith("another hop ")


def test_only_some_rows_are_measured_where_they_are_named(
    rows: Rows, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, "actors", "--only", "hops", "--rounds", "1", "--json")
    assert rows.measured == ["a hop", "another hop"]
    told = capsys.readouterr()
    assert [each["what"] for each in json.loads(told.out)] == ["a hop", "another hop"]
    assert "another hop " in told.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("actors", "--only", "hops,hop"), "bench: actors has no row hop; rows: call, hops"),
        (("actors", "sip", "--only", "hops"), "--only is of one subject"),
        (("--only", "hops"), "--only is of one subject"),
    ],
)
@pytest.mark.usefixtures("rows")
def test_a_row_that_there_is_not_ends_in_a_line_that_says_which_there_are(
    words: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, *words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
