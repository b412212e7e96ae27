"""``remusnet xen measure`` and ``xen fit``: what a guest's checkpoints take."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from remusnet.cli._completing import files
from remusnet.cli._protecting import json_option, run_dir_option
from remusnet.cli._quantities import DURATION, RATE
from remusnet.cli._terminal import echo, warn
from remusnet.errors import InvalidInput, quoted
from remusnet.units import format_duration

if TYPE_CHECKING:
    from remusnet.scenario.epochs import Trace


@click.command("measure")
@click.argument("guest", metavar="GUEST")
@click.option(
    "--duration",
    type=DURATION,
    metavar="TIME",
    default="5min",
    show_default=True,
    help="For how long. Ctrl-C ends it early; what was measured is written.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE.csv",
    type=click.Path(path_type=Path),
    shell_complete=files,
    help="Write the trace there, and print what it comes to.",
)
@click.option(
    "--interval",
    type=DURATION,
    metavar="TIME",
    help="The interval that is configured, for the trace.  [default: what xl was told]",
)
@click.option(
    "--xl-log",
    "log",
    metavar="FILE",
    type=click.Path(path_type=Path),
    shell_complete=files,
    help="Where xl -v remus writes what it says: how much was dirty.",
)
@run_dir_option
@json_option
@click.pass_context
def measure_epochs(
    context: click.Context,
    guest: str,
    duration: int,
    output: Path | None,
    interval: int | None,
    log: Path | None,
    run_dir: Path,
    as_json: bool,
) -> None:
    """Measure what the checkpoints of GUEST take, while it is under Remus.

    GUEST is a domain's name or number; with another replicator, a protected vif or its buffer
    device. Period, pause, commit lag and backlog come from what the plug is told and from when the
    guest sends; nothing is changed. A guest that seldom sends does not show its pauses: ping it
    often meanwhile (ping -i 0.005).

    Do it at three intervals or more, for remusnet xen fit.

    Exit code: 1 if nothing drives the plug.

    \b
    remusnet xen measure pbx --duration 5m -o epochs-200ms.csv
    remusnet xen measure pbx --xl-log /var/log/xen/remus.log -o epochs-200ms.csv
    remusnet xen measure ifb-1.0 --interval 100ms --duration 30s -o epochs-100ms.csv
    """
    from remusnet.api.measuring import Heard, measure, target
    from remusnet.cli._interrupts import ended_by_exception, load_chance
    from remusnet.cli._progress import Progress
    from remusnet.host.netbuf.places import Places
    from remusnet.scenario.epochs import write
    from remusnet.sweep.measured_words import text, to_json

    if output is not None:
        _require_writable(output)
    load_chance()
    found = target(guest, Places({**os.environ, "REMUSNET_RUN_DIR": str(run_dir)}))
    if interval is not None:
        found = replace(found, interval_ns=interval)
    with Progress() as progress, ended_by_exception():

        def tell(heard: Heard) -> None:
            left = format_duration(max(0, duration - heard.elapsed_ns) // 10**9 * 10**9)
            progress.step(f"measuring {found.buffer}: {heard.orders // 2} checkpoints, {left} left")

        done = measure(found, duration, log=log, tell=tell)
    if done.missed:
        warn([f"{done.missed} frames of the guest were missed: pauses may be taken for longer"])
    written = write(done.trace)
    if output is not None:
        _write(output, written)
    if as_json:
        click.echo(json.dumps(to_json(done.trace, found.buffer, found.vifs), indent=2))
    elif output is not None:
        echo(text(done.trace, found.buffer, found.vifs))
        click.echo(f"wrote {quoted(str(output))}")
    else:
        click.echo(written, nl=False)
    if isinstance(done.ended, KeyboardInterrupt):
        context.exit(128 + signal.SIGINT)
    if done.ended is not None:
        raise done.ended


@click.command("fit")
@click.argument("epochs", metavar="FILE.csv...", nargs=-1, required=True, shell_complete=files)
@click.option(
    "-o",
    "--output",
    metavar="FILE.toml",
    type=click.Path(path_type=Path),
    shell_complete=files,
    help="Write the guest file there, and print what it is worth.",
)
@click.option(
    "--check",
    "checks",
    multiple=True,
    metavar="FILE.csv",
    shell_complete=files,
    help="Compare a trace with the fit that was not fitted. Repeat it.",
)
@click.option(
    "--link",
    type=RATE,
    metavar="RATE",
    help="How fast the backup takes dirty memory, where no trace says how much there was.",
)
@click.option("--name", default="guest", show_default=True, help="What the guest is called.")
@json_option
def fit_epochs(
    epochs: tuple[str, ...],
    output: Path | None,
    checks: tuple[str, ...],
    link: int | None,
    name: str,
    as_json: bool,
) -> None:
    """Find what a guest's checkpoints take, from traces of them.

    Each FILE.csv has the checkpoints of one interval, as remusnet xen measure writes them; any
    replicator can. Three intervals at least, as far apart as you would consider, tell how fast the
    guest dirties its memory, and where that levels off. It prints a guest file, for sweep and tune.

    \b
    remusnet xen fit epochs-*.csv -o guest.toml
    remusnet xen fit epochs-{50,200,800}ms.csv --check epochs-400ms.csv
    remusnet tune call.toml --guest guest.toml --require 'tcp.hold.p99 < 300ms'
    """
    from remusnet.scenario.guest import LONGEST_NAME
    from remusnet.sweep.fit import fit
    from remusnet.sweep.fit_words import guest_file, text, to_json

    if not name.isprintable() or not 0 < len(name) <= LONGEST_NAME:
        raise InvalidInput(
            f"--name {quoted(name[:LONGEST_NAME])}: expected one line of at most "
            f"{LONGEST_NAME} characters"
        )
    found = fit(
        [_trace(each) for each in epochs],
        checks=[_trace(each) for each in checks],
        name=name,
        link=link,
    )
    written = guest_file(found)
    if output is not None:
        _write(output, written)
    if as_json:
        click.echo(json.dumps(to_json(found), indent=2))
    elif output is not None:
        echo(text(found))
        click.echo(f"wrote {quoted(str(output))}")
    else:
        click.echo(f"{text(found)}\n", err=True)
        click.echo(written, nl=False)


def _require_writable(path: Path) -> None:
    """Before minutes of work are lost. Raises InvalidInput."""
    parent = path.absolute().parent
    if path.is_dir() or not os.access(path if path.exists() else parent, os.W_OK):
        raise InvalidInput(f"{quoted(str(path))}: it can't be written")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise InvalidInput(f"{quoted(str(path))}: {error.strerror or error}") from None


def _trace(path: str) -> Trace:
    from remusnet.scenario.epochs import LARGEST_FILE, read
    from remusnet.tables.documents import read_text

    return read(read_text(path, LARGEST_FILE), path)
