"""``remusnet checkpoint``: drives a plug as Remus would."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from remusnet.cli._completing import buffers
from remusnet.cli._options import commit_delay_option, interval_option, schedule_option
from remusnet.cli._protecting import json_option, run_dir_option
from remusnet.cli._quantities import DURATION

if TYPE_CHECKING:
    from remusnet.kernel.checkpoint import Summary, Timing


@click.command("checkpoint")
@click.argument("ifb", metavar="IFB", shell_complete=buffers)
@interval_option
@commit_delay_option
@click.option(
    "--pause",
    type=DURATION,
    metavar="TIME",
    default="0ms",
    show_default=True,
    help="From the suspend to the resume. No guest is stopped: it only delays the commit.",
)
@schedule_option
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N checkpoints.")
@click.option("--duration", type=DURATION, metavar="TIME", help="End within this time.")
@run_dir_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    ifb: str,
    interval: int,
    commit_delay: int,
    pause: int,
    schedule: str,
    count: int | None,
    duration: int | None,
    run_dir: Path,
    as_json: bool,
) -> None:
    """Drive the plug of IFB as Remus would: buffer, and release at the commit.

    For other replicators and for tests: nothing is copied, no guest is stopped.
    Without --count and --duration it goes on until a signal (Ctrl-C) ends it. At its
    end it releases everything, and says how late its timers were.

    Exit code: 0 at its end, and for a signal if it had no other end; else 128 + the
    signal's number; 5 if something drives IFB already.

    \b
    remusnet checkpoint ifb-1.0 --interval 200ms --commit-delay 5ms
    remusnet checkpoint ifb-1.0 --count 100 --json
    """
    from remusnet.kernel.checkpoint import drive
    from remusnet.schedule import Schedule, ScheduleKind

    if count is not None and duration is not None:
        raise click.UsageError("--count or --duration, not both")
    times = Schedule(interval, pause, commit_delay, ScheduleKind(schedule))
    on_terminal = sys.stderr.isatty() and not as_json
    summary = drive(
        ifb,
        times,
        count=count,
        duration_ns=duration,
        show=_progress if on_terminal else None,
        warn=_warn,
        run_dir=run_dir,
    )
    if on_terminal:
        click.echo(err=True)  # leaves the line of the progress
    click.echo(json.dumps(summary.to_json(), indent=2) if as_json else _text(summary))
    for problem in summary.problems:
        click.echo(f"remusnet: warning: {problem}", err=True)
    if summary.error is not None:
        raise summary.error
    if summary.signal and (count is not None or duration is not None):
        context.exit(128 + summary.signal)


def _progress(timing: Timing) -> None:
    click.echo(f"\r{_timing(timing):<78}", nl=False, err=True)


def _warn(text: str) -> None:
    click.echo(f"remusnet: warning: {text}", err=True)


def _timing(timing: Timing) -> str:
    return (
        f"{timing.checkpoints} checkpoints in {timing.elapsed_ns / 1e9:.1f} s, timers late by "
        f"{timing.late_p50_ns / 1e6:.2f} ms (p50), {timing.late_max_ns / 1e6:.2f} ms (max)"
    )


def _text(summary: Summary) -> str:
    lines = [_timing(summary.timing)]
    if summary.timing.missed:
        lines.append(f"{summary.timing.missed} times a whole period or more was lost")
    lines.append(f"{summary.released} frames released in time, {summary.dropped} dropped")
    if summary.purges:
        times = "once" if summary.purges == 1 else f"{summary.purges} times"
        lines.append(f"the plug was purged {times}: what it held then is lost")
    return "\n".join(lines)
