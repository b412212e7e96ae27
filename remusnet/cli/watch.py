"""``remusnet watch``: protections that stay."""

from __future__ import annotations

import gc
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import click

from remusnet import defaults
from remusnet.cli._completing import files
from remusnet.cli._domains import connect_option
from remusnet.cli._protecting import run_dir_option
from remusnet.errors import CheckFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from remusnet.api.watching import Watch
    from remusnet.results.watching import Happening

_JOURNAL = "JOURNAL_STREAM"
"""systemd sets it where standard output goes to its journal."""


@click.command("watch")
@click.option(
    "--file",
    metavar="FILE",
    is_flag=False,
    flag_value=defaults.PLACES["REMUSNET_CONFIG"],
    shell_complete=files,
    help="The host's file: also protect what its [[vif]] tables name.  [without FILE: "
    f"{defaults.PLACES['REMUSNET_CONFIG']}]",
)
@click.option("--once", is_flag=True, help="Look, repair and end; 1 if something can't be.")
@click.option("--metrics", metavar="HOST:PORT", help="Serve metrics for Prometheus meanwhile.")
@connect_option("domains of the file")
@run_dir_option
@click.option("--json", "as_json", is_flag=True, help="Print events as JSON, one a line.")
def command(
    file: str | None, once: bool, metrics: str | None, uri: str, run_dir: Path, as_json: bool
) -> None:
    """Keep protections as they were applied; protect a vif when it appears.

    Listens to the kernel, and repairs at once what somebody has changed: a vif that
    was made anew, an ingress qdisc deleted by another program, a buffer device or
    plug deleted, replaced or set down, a limit, a sink. It says how long frames
    could leave unheld. Who undoes repairs again and again gets an alarm.

    Ends with SIGTERM or Ctrl-C; SIGHUP reads FILE again. Exit code: 0; 1 with --once
    if something can't be repaired; 5 if another watch is at work.

    \b
    remusnet watch
    remusnet watch --file --json
    remusnet watch --once
    """
    from remusnet.api.watching import Watch
    from remusnet.host import service

    if once and metrics is not None:
        raise click.UsageError("--once or --metrics, not both")
    alarms: list[Happening] = []
    watch = Watch(
        run_dir,
        _teller(alarms, as_json=as_json, keep=once),
        file,
        connect=uri,
        alive=service.alive,
        alive_s=service.watchdog_s(),
    )
    server = None
    if metrics is not None:
        from remusnet.api.monitoring import readings, serve_metrics

        server = serve_metrics(metrics, lambda: readings(run_dir=run_dir), watch.counts)
    try:
        with watch:
            if once:
                watch.start()
            else:
                _go_on(watch)
    finally:
        if server is not None:
            server.close()
    if alarms:
        count = len(alarms)
        raise CheckFailed(f"{count} alarm{'' if count == 1 else 's'}")


def _teller(alarms: list[Happening], *, as_json: bool, keep: bool) -> Callable[[Happening], None]:
    from remusnet.report.watching import happening_json, happening_line
    from remusnet.results.watching import ALARMS

    levels = _JOURNAL in os.environ and not as_json

    def tell(happening: Happening) -> None:
        if keep and happening.occasion in ALARMS:
            alarms.append(happening)
        text = happening_json(happening) if as_json else happening_line(happening, levels=levels)
        click.echo(text)
        if sys.stdout is not None:
            sys.stdout.flush()

    return tell


def _go_on(watch: Watch) -> None:
    """Watches until a signal: in a thread of its own, so that no signal breaks off a change."""
    from remusnet.host import service

    before = {
        number: signal.signal(number, lambda *_: watch.stop())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    before[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda *_: watch.reload())

    def run() -> None:
        count = watch.start()
        # What is loaded by now stays: a collection that walks all of it would delay a repair.
        gc.collect()
        gc.freeze()
        service.ready(f"watching {count} protection{'' if count == 1 else 's'}")
        watch.run()

    try:
        with ThreadPoolExecutor(1, thread_name_prefix="watch") as pool:
            pool.submit(run).result()
    finally:
        service.stopping()
        for number, handler in before.items():
            signal.signal(number, handler)
