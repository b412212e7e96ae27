"""Options of the commands that start a kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from remusnet.cli._completing import folders, words
from remusnet.errors import Failed, InvalidInput
from remusnet.lab.errors import LabUnavailable
from remusnet.lab.uml import Uml, memory_bytes

_Function = TypeVar("_Function", bound=Callable[..., Any])

NO_KERNEL, TIME_IS_UP = 125, 124
"""Exit codes of exec and shell, as of docker(1) and timeout(1): all others are the command's."""


def _memory(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    try:
        memory_bytes(value)
    except ValueError as error:
        raise InvalidInput(f"--mem: {error}") from None
    return value


def memory_option(function: _Function) -> _Function:
    """``--mem``."""
    return click.option(
        "--mem",
        "memory",
        metavar="SIZE",
        default="256M",
        show_default=True,
        callback=_memory,
        shell_complete=words("128M", "256M", "1G"),
        help="The kernel's memory.",
    )(function)


def virtual_option(function: _Function) -> _Function:
    """``--virtual-time``."""
    return click.option(
        "--virtual-time",
        "virtual",
        is_flag=True,
        help="A kernel whose time passes only while all wait: an hour of it may take a second.",
    )(function)


def folder_option(function: _Function) -> _Function:
    """``--dir``."""
    return click.option(
        "--dir",
        "folder",
        metavar="DIR",
        type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
        shell_complete=folders,
        help="Start in DIR, which may be written.  [default: start here, write nothing]",
    )(function)


def lab_of(memory: str, *, virtual: bool = False) -> Uml:
    """The kernel that was asked for; raises LabUnavailable."""
    from remusnet.lab.build import virtual_kernel

    return Uml(memory, virtual_kernel()) if virtual else Uml(memory)


def place_of(lab: Uml, folder: Path | None) -> Path:
    """Where a job starts; raises LabUnavailable if it couldn't."""
    from remusnet.lab.visible import closed_to

    place = folder or Path.cwd()
    if closed_to([place], lab.account):
        raise LabUnavailable(
            f"{place} is closed to {lab.account.name}, whose rights the command has: "
            "start it in another directory"
        )
    return place


@contextmanager
def no_kernel_is_125() -> Iterator[None]:
    """The command's own exit codes are any: what keeps it from running has one that stands out."""
    try:
        yield
    except LabUnavailable as error:
        raise Failed(str(error), NO_KERNEL) from None
