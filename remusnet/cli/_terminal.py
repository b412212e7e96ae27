"""What a person sees: standard output as wide as the terminal, or unwrapped in a pipe; warnings."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from remusnet.cli.names import PROGRAM

if TYPE_CHECKING:
    from rich.console import Console

_PIPE = 1_000_000
"""Wider than any line: a pipe gets each record as one line, for grep and awk."""


def width() -> int:
    """Columns of the terminal; of no terminal more than any line needs."""
    if sys.stdout is None or not sys.stdout.isatty():  # None: it was closed before the start
        return _PIPE
    return max(1, shutil.get_terminal_size().columns)


def console() -> Console:
    """The console for tables."""
    from rich.console import Console

    # Without a height rich takes 80 columns for granted where TERM is "dumb".
    return Console(highlight=False, width=width(), height=shutil.get_terminal_size().lines)


def echo(text: str, *, nl: bool = True, wrap: bool = True) -> None:
    """Print lines; with ``wrap``, those wider than the terminal are broken between words."""
    columns = width()
    if wrap and any(len(line) > columns for line in text.split("\n")):
        from remusnet.report.layout import wrapped

        text = wrapped(text, columns)
    click.echo(text, nl=nl)


def warn(notes: Iterable[str]) -> None:
    """Print ``notes`` on standard error, a line each."""
    for note in notes:
        click.echo(f"{PROGRAM}: warning: {note}", err=True)
