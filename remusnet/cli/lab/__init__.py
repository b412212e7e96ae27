"""``remusnet lab``: a real Linux kernel as an ordinary process, and what the rules do in it."""

from __future__ import annotations

from typing import ClassVar

import click

from remusnet.cli._lazy import LazyCommand, LazyGroup

_ROOM = "remusnet.cli.lab"
_KERNEL = "A kernel to try things in"
_EMULATOR = "How true the emulator is"


class _Group(LazyGroup):
    table: ClassVar = {
        "setup": LazyCommand(f"{_ROOM}.setup", "Get the kernel, and try it", _KERNEL),
        "exec": LazyCommand(f"{_ROOM}.exec", "Run a command in it, as root", _KERNEL),
        "shell": LazyCommand(f"{_ROOM}.shell", "Open a shell in it, as root", _KERNEL),
        "run": LazyCommand(
            f"{_ROOM}.run", "Send a scenario through it, beside the emulator", _EMULATOR
        ),
    }


@click.group("lab", cls=_Group)
def command() -> None:
    """Have a real Linux kernel with sch_plug as an ordinary process.

    It needs neither root nor KVM, and can do on this machine what you can and no more.

    \b
    remusnet lab setup
    remusnet lab exec -- tc qdisc add dev lo root plug limit 1000000
    remusnet lab shell
    remusnet lab run fig11 --compare
    """
