"""``remusnet sweep``: a scenario at many checkpoint intervals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from remusnet.cli._completing import files, folders, metrics
from remusnet.cli._folder import whole_or_gone
from remusnet.cli._interrupts import load_chance
from remusnet.cli._progress import Progress
from remusnet.cli._sweeping import (
    check_engine_option,
    echo_choice,
    grid_options,
    guest_named,
    policies_by_commas,
    policies_named,
    print_means,
    setting,
    told,
)
from remusnet.cli._terminal import console, warn
from remusnet.cli._typed import TypedCommand, typed
from remusnet.errors import InvalidInput, quoted

_ELSEWHERE = ("report", "csv", "as_json", "workers", "engine")
"""Options that change no number."""


@contextmanager
def _goes_on_from(journal: Path | None) -> Iterator[None]:
    """Tells a user who presses Ctrl-C that no point is lost."""
    try:
        yield
    except KeyboardInterrupt:
        if journal is not None and journal.exists():
            warn([f"what is done stands in {quoted(str(journal))}: the same command goes on there"])
        raise


def _require_place(file: Path) -> None:
    """Raises InvalidInput where no file can be written: before hours are spent on what it has."""
    if file.is_dir():
        raise InvalidInput(f"--csv {quoted(str(file))} is a folder; expected a file to write")
    if not file.parent.is_dir():
        raise InvalidInput(f"--csv {quoted(str(file))}: there is no folder of that name")


@click.command("sweep", cls=TypedCommand)
@grid_options
@click.option(
    "--policy",
    "policy",
    metavar="NAME|FILE,...",
    shell_complete=policies_by_commas,
    help="Policies, by commas.  [default: the scenario's, else all shipped ones]",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUES",
    help="A key of the scenario file: a value, a list a,b, or a range a..b[:COUNT]. Repeat it.",
)
@click.option(
    "--metric",
    "asked",
    multiple=True,
    metavar="METRIC",
    shell_complete=metrics,
    help="What to measure, as in assertions; the worst reading counts. Repeat it.  [default: MOS, "
    "jitter, the delay of TCP, SIP set-up, overhead]",
)
@click.option("--csv", "csv", metavar="FILE", shell_complete=files, help="Write every number.")
@click.option(
    "--report",
    metavar="DIR",
    shell_complete=folders,
    help="Write a page with curves, CSV and JSON.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(
    context: click.Context,
    scenario: str,
    interval: str,
    points: int,
    guest: str | None,
    repeats: int,
    workers: int | None,
    engine: str | None,
    policy: str | None,
    settings: tuple[str, ...],
    asked: tuple[str, ...],
    csv: str | None,
    report: str | None,
    as_json: bool,
) -> None:
    """Simulate a SCENARIO at many checkpoint intervals, on all cores.

    The scenario is a name that "remusnet scenario list" knows, or a .toml file. All its keys can
    be swept besides. The same seeds give the same numbers, whatever the number of processes.

    With --report or --csv, what is done stands in DIR.partial or FILE.partial until all is: the
    same command goes on from there after a kill.

    \b
    remusnet sweep call.toml --interval 20ms..1s --points 12 --report out/
    remusnet sweep call.toml --interval 40ms,100ms,200ms --policy tcp-only,hold-all
    remusnet sweep call.toml --guest busy-pbx --set network.loss=0..2% --repeat 5 --csv out.csv

    "remusnet tune" finds the best interval.
    """
    from remusnet.api.sweeps import Sweep, partial_of, sweep
    from remusnet.api.sweeps import metrics as metrics_named
    from remusnet.sweep.grid import axis, intervals

    check_engine_option(engine, workers)
    if csv is not None:
        _require_place(Path(csv))
    load_chance()
    model = guest_named(guest)
    wanted = Sweep(
        scenario,
        intervals(interval, points),
        policies_named(policy),
        tuple(axis(each) for each in settings),
        metrics_named(asked) if asked else (),
        repeats,
        model,
    )
    place = report or csv
    journal = None if place is None else partial_of(place)
    if report is not None:
        from remusnet.report.drawing import style
        from remusnet.report.folder import prepare
        from remusnet.sweep.page import KIND

        with style():  # is matplotlib there?
            prepare(Path(report), KIND)
    if journal is not None and journal.exists():
        warn([f"going on from {quoted(str(journal))}; delete it to begin anew"])
    with (
        _goes_on_from(journal),
        Progress() as progress,
        whole_or_gone(Path(report) if report else None) as finished,
    ):
        done = sweep(
            wanted, workers=workers, engine=engine, journal=journal, tell=told(progress, "sweeping")
        )
        if report is not None:
            from remusnet.sweep.page import write_sweep
            from remusnet.sweep.trade import short

            progress.step(f"drawing {quoted(report)}")
            shown = [short(each) for each in wanted.interval_ns]
            write_sweep(
                Path(report),
                done.rows,
                done.means,
                done.asked,
                done.keys,
                title=f"{scenario} at {len(shown)} checkpoint intervals",
                setting=setting(scenario, shown, model, repeats),
                command=f"{typed(context, without=_ELSEWHERE)} --report DIR",
            )
            finished()
    if csv is not None:
        from remusnet.sweep.table import tidy_csv

        Path(csv).write_text(tidy_csv(done.rows, done.asked, done.keys), "utf-8", newline="\n")
    if journal is not None:
        journal.unlink(missing_ok=True)
    if as_json:
        import json

        from remusnet.sweep.page import as_json as document

        click.echo(json.dumps(document(done.means), indent=2, allow_nan=False))
        return
    from remusnet.sweep.choice import of_trade
    from remusnet.sweep.table import seen

    print_means(console(), done.means, done.asked if asked else seen(done.asked, done.means))
    if words := of_trade(done.means):
        echo_choice(words)
    for file in (csv, report and f"{report.rstrip('/')}/index.html"):
        if file:
            click.echo(f"wrote {quoted(file)}")
