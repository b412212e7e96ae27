"""Protections this second: a table for a terminal, a line each for a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

from remusnet.report.layout import Column, print_records
from remusnet.results.driving import Activity
from remusnet.results.live import Live
from remusnet.units import format_size

NOTHING = "nothing is protected"
_COLUMNS = (
    Column("VIF"),
    Column("HELD", right=True),
    Column("PASSED", right=True),
    Column("BACKLOG", right=True),
    Column("EPOCHS/S", right=True),
    Column("COMMIT", right=True),
    Column("DRIVER"),
)
_COLOURS = {
    Activity.DRIVES: "green",
    Activity.SILENT: "yellow",
    Activity.STOPPED: "red",
    Activity.GONE: "red",
}


def live_table(rows: Sequence[Live], notes: Iterable[str], columns: int, *, colour: bool) -> Text:
    """A table, or where ``columns`` are too few for one a paragraph for each protection."""
    console = Console(width=columns, highlight=False, force_terminal=colour, no_color=not colour)
    with console.capture() as captured:
        if rows:
            print_records(console, _COLUMNS, [_cells(each) for each in rows])
        else:
            console.print(NOTHING)
        for text in dict.fromkeys((*notes, *(w for each in rows for w in each.status.warnings))):
            console.print(Text(f"warning: {text}", "yellow"))
    return Text.from_ansi(captured.get())


def live_line(live: Live) -> str:
    """As ``vif1.0 held=12 passed=3 backlog=0 epochs_per_second=4.9 commit_age=0.12 driver=xl/47``.

    What is unknown is ``-``; ages are in seconds, the backlog in bytes.
    """
    age = live.commit_age_ns
    rate = live.epochs_a_second
    return " ".join(
        (
            ",".join(live.status.protected.vifs),
            f"held={_number(live.status.held)}",
            f"passed={_number(live.status.bypassed)}",
            f"backlog={live.status.backlog}",
            f"epochs_per_second={'-' if rate is None else f'{rate:.1f}'}",
            f"commit_age={'-' if age is None else f'{age / 1e9:.3f}'}",
            f"driver={_driver(live).replace(' ', '/') or '-'}",
        )
    )


def _cells(live: Live) -> tuple[str | Text, ...]:
    status, driver = live.status, live.driver
    rate, age = live.epochs_a_second, live.commit_age_ns
    colour = _COLOURS[driver.activity] if driver is not None else ""
    return (
        ", ".join(status.protected.vifs),
        _number(status.held),
        _number(status.bypassed),
        format_size(status.backlog),
        "-" if rate is None else f"{rate:.1f}",
        "-" if age is None else f"{age / 1e9:.2f} s",
        Text(_driver(live) or "-", colour),
    )


def _driver(live: Live) -> str:
    driver = live.driver
    if driver is None:
        return live.locked.removeprefix(" by ")
    who = "unknown" if driver.process is None else f"{driver.command} {driver.process}".strip()
    return who if driver.activity is Activity.DRIVES else f"{who} {driver.activity.value}"


def _number(count: int | None) -> str:
    return "-" if count is None else str(count)
