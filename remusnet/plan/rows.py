"""What the table of operations says of one kind, and the operation that it makes: data.

`remusnet.plan.operations` is the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Command:
    """One ``ip`` or ``tc`` command. ``may_fail``: why its failure is no mistake, if so."""

    program: str
    arguments: tuple[str, ...]
    may_fail: str = ""


@dataclass(frozen=True, slots=True)
class OperationRow:
    """What the table says of one kind of operation. ``{braces}`` stand for its arguments.

    ``kind``: its name in JSON. ``command``: the same for ``ip`` or ``tc``; empty where neither can.
    ``why``: for a person who reads the plan; empty where the command says it all. ``undo``: what
    takes it back, on the same device; empty where the undo of an earlier one does. ``arguments``:
    what it is about, the fields that JSON shows. ``may_fail``: why its failure is no mistake.
    ``deletes``: whether it is done, too, where the thing is gone.
    """

    kind: str
    command: str = ""
    why: str = ""
    undo: tuple[type[Operation], ...] = ()
    arguments: tuple[str, ...] = ("device",)
    may_fail: str = ""
    deletes: bool = False

    def commands(self, arguments: Mapping[str, object], *more: str) -> tuple[Command, ...]:
        """The command with its arguments filled in, each of them one word, and ``more``."""
        if not self.command:
            return ()
        program, *words = self.command.split()
        filled = (word.format_map(arguments) for word in words)
        return (Command(program, (*filled, *more), self.may_fail),)


@dataclass(frozen=True, slots=True)
class Operation:
    """Base of all operations: a step on ``device``, as the ``row`` of its kind says."""

    row: ClassVar[OperationRow]
    device: str

    @property
    def kind(self) -> str:
        """Its name in JSON."""
        return self.row.kind

    @property
    def arguments(self) -> Json:
        """What it is about, for JSON."""
        return {name: getattr(self, name) for name in self.row.arguments}

    @property
    def commands(self) -> tuple[Command, ...]:
        """The same in ``ip`` and ``tc``."""
        return self.row.commands(self.arguments)

    @property
    def undo(self) -> tuple[Operation, ...]:
        """The operations that take it back; empty where an earlier operation's undo does."""
        return tuple(kind(self.device) for kind in self.row.undo)

    @property
    def why(self) -> str:
        """The reason, for a person who reads the plan; empty where the command says it all."""
        return self.row.why.format_map(self.arguments)

    def to_json(self) -> Json:
        """``{"kind", "arguments", "undo": [...]}``."""
        undo = [each.to_json() for each in self.undo]
        return {"kind": self.kind, "arguments": self.arguments, "undo": undo}
