"""A click group that imports a command's module only when that command runs.

What each command needs (scapy, pyroute2, numpy) takes longer to import than ``remusnet --help``
takes to print, so names and short helps come from a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import ClassVar

import click
from click.shell_completion import CompletionItem

from remusnet.cli._groups import Group
from remusnet.errors import quoted, suggestion


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """Where a command lives (``module``, and the ``attribute`` in it) and its help in one line.

    ``section``: the heading that it stands under in its group's help.
    """

    module: str
    help: str
    section: str = "This machine"
    attribute: str = "command"

    def load(self) -> click.Command:
        """Import the command.

        Raises TypeError where the attribute is no click command.
        """
        found = getattr(import_module(self.module), self.attribute)
        if not isinstance(found, click.Command):
            raise TypeError(f"{self.module}:{self.attribute} is no click command")
        return found


class LazyGroup(Group):
    """Shows and completes the names of ``table`` without importing what they stand for.

    A subclass sets ``table``; ``click.group(cls=...)`` makes a group of it.
    """

    table: ClassVar[Mapping[str, LazyCommand]]

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table: it is written in the order of use."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        entry = self.table.get(cmd_name)
        return None if entry is None else entry.load()

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but with the close name for a mistyped one."""
        name = args[0]
        if name not in self.table and not ctx.resilient_parsing:
            ctx.fail(f"no such command: {quoted(name)}{suggestion(name, self.table)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands' part of ``--help``: a section after the other."""
        sections: dict[str, list[tuple[str, str]]] = {}
        width = max(map(len, self.table))
        for name, entry in self.table.items():
            # One width for all of them, so that the helps line up.
            sections.setdefault(entry.section, []).append((f"{name:{width}}", entry.help))
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names from the table, and the group's own options."""
        names = [
            CompletionItem(name, help=entry.help)
            for name, entry in self.table.items()
            if name.startswith(incomplete)
        ]
        # Command's method gives the options; Group's would import every command for its help.
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]
