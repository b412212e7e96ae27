"""Help for terminals that are narrower than click's own (50 columns)."""

from __future__ import annotations

from collections.abc import Iterable

import click

BELOW = 52
_LEAST = 30
_NAMES = 12


class _NarrowHelp(click.HelpFormatter):
    """Long options stand on a line of their own, so that what they mean has room below."""

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = _NAMES, col_spacing: int = 2
    ) -> None:
        """As click does, but with narrow names, whatever the caller asks for."""
        super().write_dl(rows, min(col_max, _NAMES), col_spacing)


def help_width(columns: int) -> int | None:
    """Columns of a help in a terminal of ``columns``; None leaves it to click.

    Where it is narrow, helps are written so from then on, those of all commands.
    """
    if columns >= BELOW:
        return None
    # A command's context is made by click: there is no other place to tell it.
    click.Context.formatter_class = _NarrowHelp
    return max(columns - 2, _LEAST)
