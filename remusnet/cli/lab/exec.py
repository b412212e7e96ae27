"""``remusnet lab exec``: a command, as root on a real kernel."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from remusnet.cli._interrupts import ended_by_exception
from remusnet.cli._quantities import DURATION
from remusnet.cli.lab._options import (
    NO_KERNEL,
    TIME_IS_UP,
    folder_option,
    lab_of,
    memory_option,
    no_kernel_is_125,
    place_of,
    virtual_option,
)
from remusnet.errors import Failed

_NS = 1e9


@click.command("exec", context_settings={"allow_interspersed_args": False})
@virtual_option
@memory_option
@folder_option
@click.option(
    "--timeout",
    type=DURATION,
    metavar="TIME",
    help="End it, and the kernel, after this time of yours.  [default: none]",
)
@click.option("--console", is_flag=True, help="If the kernel dies, show all that it said.")
@click.argument("words", metavar="-- COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
def command(
    virtual: bool,
    memory: str,
    folder: Path | None,
    timeout: int | None,
    console: bool,
    words: tuple[str, ...],
) -> None:
    """Run COMMAND as root in a kernel of its own.

    It sees this machine's files, read-only, and a fresh kernel: no network but its own. On
    this machine it has your rights (root's commands: those of nobody). Its input is empty,
    its output comes as it is written. The exit code is the command's; 124 when time is up,
    125 when there is no kernel, or it dies.

    \b
    remusnet lab exec -- tc qdisc add dev lo root plug limit 1000000
    remusnet lab exec -- sh -c 'ip link add ifb0 type ifb && tc -s qdisc show dev ifb0'
    remusnet lab exec --virtual-time -- sh -c 'date; sleep 3600; date'
    remusnet lab exec --dir results -- sh ./measure
    """
    from remusnet.lab.errors import LabDied
    from remusnet.lab.runs import Job, Passed

    with no_kernel_is_125(), ended_by_exception():
        lab = lab_of(memory, virtual=virtual)
        job = Job(words, {}, place_of(lab, folder), [folder] if folder else [])
        with lab.start(job) as run:
            try:
                status = run.wait(timeout / _NS if timeout else None, Passed(run)).status
            except LabDied as error:
                if console:
                    sys.stderr.write(run.read("console"))
                late = isinstance(error.__cause__, TimeoutError)
                why = str(error).splitlines()[0]
                raise Failed(
                    f"{shlex.join(words)}: {why}", TIME_IS_UP if late else NO_KERNEL
                ) from None
    sys.exit(status)
