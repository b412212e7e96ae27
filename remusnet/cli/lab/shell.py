"""``remusnet lab shell``: a shell, as root on a real kernel."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from remusnet.cli._interrupts import ended_by_exception
from remusnet.cli.lab._options import (
    NO_KERNEL,
    folder_option,
    lab_of,
    memory_option,
    no_kernel_is_125,
    place_of,
)
from remusnet.errors import Failed


@click.command("shell")
@memory_option
@folder_option
def command(memory: str, folder: Path | None) -> None:
    """Open a shell as root in a kernel of its own.

    Power is off when it ends, and nothing is left of what was done. It sees and may what
    "remusnet lab exec" says. Without a terminal, its commands are read from standard input.
    The exit code is the shell's; 125 when there is no kernel, or it dies.

    \b
    remusnet lab shell
    remusnet lab shell --dir results
    echo 'modprobe ifb; tc qdisc show' | remusnet lab shell
    """
    from remusnet.lab.errors import LabDied
    from remusnet.lab.runs import Passed
    from remusnet.lab.shell import commands, interactive

    with no_kernel_is_125(), ended_by_exception():
        lab = lab_of(memory)
        place = place_of(lab, folder)
        try:
            if sys.stdin is not None and sys.stdin.isatty():
                status = interactive(lab, place, folder)
            else:
                text = "" if sys.stdin is None else sys.stdin.read()
                with lab.start(commands(text, place, folder)) as run:
                    status = run.wait(None, Passed(run)).status
        except LabDied as error:
            raise Failed(str(error).splitlines()[0], NO_KERNEL) from None
    sys.exit(status)
