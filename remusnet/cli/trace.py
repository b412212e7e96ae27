"""``remusnet trace``: where a vif's frames go."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from remusnet.cli._completing import files, vifs
from remusnet.cli._protecting import run_dir_option
from remusnet.cli._quantities import DURATION
from remusnet.cli._terminal import console, echo, warn

if TYPE_CHECKING:
    from remusnet.results.tracing import TracedFrame


@click.command("trace")
@click.argument("vif", metavar="VIF", shell_complete=vifs)
@click.option("--for", "duration", metavar="TIME", type=DURATION, help="End after this time.")
@click.option(
    "--frames",
    "listed",
    type=click.IntRange(min=0),
    metavar="N",
    default=1000,
    show_default=True,
    help="Print and write the first N frames; all others are just counted.",
)
@click.option(
    "--write",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    shell_complete=files,
    help="Write them as pcapng, each with a comment.",
)
@click.option("--summary", is_flag=True, help="Print the sums only, no line for each frame.")
@run_dir_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one a line; the last: sums.")
@click.pass_context
def command(
    context: click.Context,
    vif: str,
    duration: int | None,
    listed: int,
    write: Path | None,
    summary: bool,
    run_dir: Path,
    as_json: bool,
) -> None:
    """Show what becomes of each frame that VIF's guest sends.

    The verdict and the rule that decides, by the reference classifier under the policy
    that VIF is protected with; whether the frame was released or dropped, and how long it
    was held. Then the sums. Nothing is changed. Without --for, Ctrl-C ends it.

    Exit code: 0 at its end, and for a signal if it had no other end; else 128 + the
    signal's number; 6 if VIF went or was changed meanwhile (the sums are printed first).

    \b
    remusnet trace vif1.0
    remusnet trace vif1.0 --for 10s --summary --write trace.pcapng
    remusnet trace vif1.0 --json | jq 'select(.fate == "dropped")'
    """
    from remusnet.api.tracing import trace
    from remusnet.errors import KernelRefused
    from remusnet.report.tracing import frame_json, frame_line, print_trace, trace_json

    def tell(frame: TracedFrame) -> None:
        if as_json and not summary:
            click.echo(frame_json(frame))
        elif not summary:
            echo(frame_line(frame))

    def begun() -> None:
        if sys.stderr is not None and sys.stderr.isatty() and not as_json:
            click.echo(f"tracing {vif}{'' if duration else '; Ctrl-C ends it'}", err=True)

    with _signals() as came:
        done = trace(
            vif,
            run_dir=run_dir,
            listed=listed,
            tell=tell,
            is_over=lambda: bool(came),
            longest_ns=duration,
            write=write,
            begun=begun,
        )
    if as_json:
        click.echo(trace_json(done))
    else:
        print_trace(console(), done)
        if done.frames > listed > 0 and not summary:
            warn([f"the first {listed} frames were listed; --frames N lists more"])
    if done.problem:
        raise KernelRefused(f"the trace ended early: {done.problem}")
    if came and duration is not None:
        context.exit(128 + came[0])


@contextmanager
def _signals() -> Iterator[list[int]]:
    """The numbers of the signals that have asked for an end."""
    came: list[int] = []
    before = {
        each: signal.signal(each, lambda number, _: came.append(number))
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(each) is not signal.SIG_IGN  # as after nohup
    }
    try:
        yield came
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
