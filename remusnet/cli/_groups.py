"""A click group that answers a missing command alike in all versions of click.

click 8.1, which Debian 12 has, prints the help on standard output and exits 0; from 8.2 on it is a
usage error. A script that lost its words must not go on as if something had been done.
"""

from __future__ import annotations

from typing import IO, Any

import click


class NoCommand(click.UsageError):
    """No word followed the group's name. Shown as the group's help, on standard error."""

    def __init__(self, context: click.Context) -> None:
        super().__init__(context.get_help(), ctx=context)

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the help."""
        color = None if self.ctx is None else self.ctx.color
        click.echo(self.format_message(), file=file, err=True, color=color)


class Group(click.Group):
    """What every group of remusnet is."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does. Raises NoCommand where there are no words."""
        if not args and not ctx.resilient_parsing:
            raise NoCommand(ctx)
        return super().parse_args(ctx, args)
