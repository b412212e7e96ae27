"""``status --watch``: a table that is alive in a terminal, a line a second in a pipe."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from remusnet.kernel.watch.live import LiveStatus

_EACH_S = 1.0
_FIRST_S = 0.5
"""Until the first table: who drives a plug is heard within a checkpoint or two."""


def watch_status(vifs: tuple[str, ...], run_dir: Path, *, as_json: bool) -> None:
    """Shows the protections of ``vifs`` each second, until Ctrl-C or SIGTERM."""
    from remusnet.kernel.watch.live import LiveStatus

    signals: list[int] = []
    on_terminal = sys.stdout is not None and sys.stdout.isatty() and not as_json
    with LiveStatus(vifs, run_dir) as live:

        def end(number: int, _frame: object) -> None:
            signals.append(number)
            live.interrupt()

        before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            live.look()  # its errors before anything is shown
            live.listen(_FIRST_S)
            (_table if on_terminal else _lines)(live, signals, as_json=as_json)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _table(live: LiveStatus, signals: list[int], *, as_json: bool) -> None:
    del as_json
    from rich.console import Console
    from rich.live import Live

    from remusnet.report.live import live_table

    console = Console(highlight=False)
    with Live(console=console, auto_refresh=False) as shown:
        while not signals:
            rows, notes = live.look()
            columns = shutil.get_terminal_size().columns
            colour = not console.no_color
            shown.update(live_table(rows, notes, columns, colour=colour), refresh=True)
            live.listen(_EACH_S)


def _lines(live: LiveStatus, signals: list[int], *, as_json: bool) -> None:
    from remusnet.report.live import NOTHING, live_line

    while not signals:
        rows, _ = live.look()
        if as_json:
            click.echo(json.dumps({"protections": [each.to_json() for each in rows]}))
        elif not rows:
            click.echo(NOTHING)
        else:
            for each in rows:
                click.echo(live_line(each))
        sys.stdout.flush()
        live.listen(_EACH_S)
