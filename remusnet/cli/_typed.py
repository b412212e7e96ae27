"""What the user typed, to be said again: in a report, as the command that made it."""

from __future__ import annotations

import shlex
from collections.abc import Collection
from typing import Any

import click

_META = "remusnet.typed"


class TypedCommand(click.Command):
    """A command that remembers its arguments as they were typed."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See `click.Command.parse_args`."""
        ctx.meta[_META] = list(args)
        return super().parse_args(ctx, args)


def typed(context: click.Context, *, without: Collection[str]) -> str:
    """The command as a shell reads it, but for the parameters ``without``.

    Options come in the order typed, and arguments behind them. ``context``: of a `TypedCommand`.
    """
    parser = context.command.make_parser(context)
    values, _, order = parser.parse_args(list(context.meta[_META]))
    # Of an option that may be repeated the parser has a list, in the order typed.
    left: dict[str, list[Any]] = {
        name: list(value) if isinstance(value, list) else [value] for name, value in values.items()
    }
    options: list[str] = []
    arguments: list[str] = []
    for parameter in order:
        name = str(parameter.name)
        value = left[name].pop(0) if left.get(name) else None
        if name in without:
            continue
        if isinstance(parameter, click.Option) and isinstance(value, bool):
            options.append(max(parameter.opts if value else parameter.secondary_opts, key=len))
        elif isinstance(value, str):  # anything else stands for what wasn't typed
            if isinstance(parameter, click.Option):
                options += [max(parameter.opts, key=len), value]
            else:
                arguments.append(value)
    if any(each.startswith("-") and each != "-" for each in arguments):
        arguments.insert(0, "--")
    return shlex.join([*context.command_path.split(), *options, *arguments])
