"""The live table: it fits, says who drives, and ``-`` where nobody can tell."""

from __future__ import annotations

import pytest

from remusnet.cli import _live
from remusnet.report.live import live_line, live_table
from remusnet.results.driving import Activity, Driver
from remusnet.results.live import Live
from tests.lib.readings import reading

S = 1_000_000_000
DRIVER = Driver(4711, "xl", Activity.DRIVES, 20, S // 5, S // 10, None, S // 4)


def live(driver: Driver | None = DRIVER) -> Live:
    status = reading().status
    assert status is not None
    return Live(status, driver)


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_it_fits_the_terminal(columns: int) -> None:
    text = live_table([live(), live(None)], ["a note"], columns, colour=False).plain
    assert max(map(len, text.splitlines())) <= columns
    for word in ("vif1.0", "xl 4711", "5.0", "0.25 s"):
        assert word in text


def test_a_line_says_the_same_for_programs() -> None:
    text = live_line(live())
    assert text.startswith("vif1.0 held=12 passed=30 backlog=3000 epochs_per_second=5.0 ")
    assert text.endswith("commit_age=0.250 driver=xl/4711")


@pytest.mark.parametrize("activity", [Activity.SILENT, Activity.STOPPED, Activity.GONE])
def test_who_drives_no_more_makes_no_epochs(activity: Activity) -> None:
    found = live(Driver(4711, "xl", activity, 20, S // 5, 9 * S))
    assert found.epochs_a_second == 0
    assert live_line(found).endswith(f"commit_age=- driver=xl/4711/{activity.value}")


def test_what_nobody_can_tell_is_null() -> None:
    assert (live(None).epochs_a_second, live(None).commit_age_ns) == (None, None)
    early = live(Driver(None, "", Activity.DRIVES, 2, None, S))
    assert early.epochs_a_second is None
    assert "epochs_per_second=- commit_age=- driver=unknown" in live_line(early)


def test_nothing_protected_is_said() -> None:
    assert live_table([], [], 60, colour=False).plain == "nothing is protected\n"


def test_a_pipe_is_told_that_nothing_is_protected(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Nothing:
        def look(self) -> tuple[list[object], list[str]]:
            return [], []

        def listen(self, _seconds: float) -> None:
            signals.append(15)

    signals: list[int] = []
    _live._lines(Nothing(), signals, as_json=False)  # type: ignore[arg-type]
    assert capsys.readouterr().out == "nothing is protected\n"
