"""``remusnet lab setup``: the kernel, unpacked or built, and a first run of it."""

from __future__ import annotations

import json
import time

import click

from remusnet.cli._interrupts import ended_by_exception
from remusnet.cli._progress import Progress
from remusnet.cli._protecting import json_option
from remusnet.cli._terminal import echo
from remusnet.cli.lab._options import lab_of, memory_option, virtual_option

_PATIENCE_S = 120


@click.command("setup")
@virtual_option
@memory_option
@json_option
def command(virtual: bool, memory: str, as_json: bool) -> None:
    """Get the kernel, try it, and show what it is.

    It is Debian's package user-mode-linux; where that isn't installed, it is unpacked into
    your cache, which needs no root. A kernel with virtual time is compiled from Debian's
    package linux-source, once: 8 minutes of a processor and 2 GiB of disk meanwhile. The
    other commands of lab do the first by themselves, but not the second.

    \b
    remusnet lab setup
    remusnet lab setup --virtual-time
    remusnet lab setup --json
    """
    from remusnet.lab.facts import Facts

    with ended_by_exception(), Progress() as progress:
        if virtual:
            from remusnet.lab.build import build

            build(progress.step)
        progress.step("starting the kernel")
        lab = lab_of(memory, virtual=virtual)
        started = time.monotonic()
        lab.run(["true"], timeout=_PATIENCE_S)
        seconds = time.monotonic() - started
    facts = Facts.of(lab)
    if as_json:
        click.echo(json.dumps({**facts.to_json(), "seconds": round(seconds, 3)}, indent=2))
        return
    echo("\n".join([*facts.lines(), f"a run of true:  {seconds:.1f} s"]))
