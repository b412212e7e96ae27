"""A small assembler for classic BPF, the machine of cls_bpf (net/core/filter.c).

Two 32-bit registers, A and X, sixteen words of scratch memory, jumps forwards only. A load beyond
the end of the packet ends the program with 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

MOST_INSTRUCTIONS = 2000
"""tc builds one message of 16 KiB, eight bytes an instruction; the kernel would take 4,096."""

NEXT = ""
"""As a jump's label: go on with what follows."""

LONGEST_BRANCH = 255
"""Instructions that a comparison can leave out: one byte holds their number."""

LOWEST_EXTENSION = 0xFFFFF000
"""``SKF_AD_OFF``: loads from here on are of the packet's metadata (linux/filter.h)."""
TAG_PRESENT = LOWEST_EXTENSION + 48
"""``SKF_AD_VLAN_TAG_PRESENT``: 1 where the kernel has moved a VLAN tag aside."""

_CLASS = 0x07


class Op(IntEnum):
    """The operations in use, by their codes (linux/bpf_common.h); K is the constant operand."""

    LOAD_WORD = 0x20
    LOAD_HALF = 0x28
    LOAD_BYTE = 0x30
    LOAD_WORD_AT_X = 0x40
    LOAD_HALF_AT_X = 0x48
    LOAD_BYTE_AT_X = 0x50
    LOAD_LENGTH = 0x80
    LOAD = 0x00
    LOAD_MEMORY = 0x60
    LOAD_X = 0x01
    LOAD_X_MEMORY = 0x61
    STORE = 0x02
    STORE_X = 0x03
    ADD = 0x04
    ADD_X = 0x0C
    SUBTRACT = 0x14
    SUBTRACT_X = 0x1C
    AND = 0x54
    SHIFT_LEFT = 0x64
    JUMP = 0x05
    IF_EQUAL = 0x15
    IF_GREATER = 0x25
    IF_AT_LEAST = 0x35
    IF_AT_LEAST_X = 0x3D
    IF_ANY_BIT = 0x45
    RETURN = 0x06
    X_FROM_A = 0x07
    A_FROM_X = 0x87


@dataclass(frozen=True, slots=True)
class Instruction:
    """``struct sock_filter``: ``yes`` and ``no`` are how many instructions a jump leaves out."""

    op: Op
    yes: int
    no: int
    k: int

    def __str__(self) -> str:
        return f"{self.op:d} {self.yes} {self.no} {self.k}"


@dataclass(frozen=True, slots=True)
class BpfMatch:
    """A classic BPF program that cls_bpf runs from the Ethernet header on: 0 is no match."""

    program: tuple[Instruction, ...]


@dataclass(frozen=True, slots=True)
class _Line:
    """An instruction whose jumps are labels yet. Only a jump has them."""

    op: Op
    k: int = 0
    yes: str = NEXT
    no: str = NEXT


@dataclass(slots=True)
class Assembler:
    """Collects instructions and labels; `assemble` makes the program of them."""

    _lines: list[_Line] = field(default_factory=list)
    _places: dict[str, int] = field(default_factory=dict)
    _names: int = 0

    def emit(self, op: Op, k: int = 0) -> None:
        """Adds an instruction that is no jump. A negative ``k`` is stored as 32 bits."""
        self._lines.append(_Line(op, k & 0xFFFFFFFF))

    def jump(self, label: str) -> None:
        """Adds a jump to ``label``."""
        self._lines.append(_Line(Op.JUMP, yes=label))

    def branch(self, op: Op, k: int = 0, *, yes: str = NEXT, no: str = NEXT) -> None:
        """Adds a comparison of A with ``k`` (or X) that goes to one of two labels."""
        self._lines.append(_Line(op, k, yes, no))

    def branch_among(self, numbers: Iterable[int], *, yes: str, no: str) -> None:
        """Goes to ``yes`` if A is one of ``numbers``, of which there is at least one."""
        *others, last = sorted(numbers)
        for number in others:
            self.branch(Op.IF_EQUAL, number, yes=yes)
        self.branch(Op.IF_EQUAL, last, yes=yes, no=no)

    def advance_x(self, size: int) -> None:
        """Adds ``size`` to X; A is lost."""
        self.emit(Op.A_FROM_X)
        self.emit(Op.ADD, size)
        self.emit(Op.X_FROM_A)

    def label(self, name: str) -> None:
        """Puts ``name`` where the next instruction will be."""
        if name in self._places:
            raise ValueError(f"label twice: {name}")
        self._places[name] = len(self._lines)

    def fresh(self, hint: str) -> str:
        """A label that no one has used."""
        self._names += 1
        return f"{hint}.{self._names}"

    def assemble(self) -> tuple[Instruction, ...]:
        """The program. Raises ValueError for a label that is nowhere, or a jump backwards.

        Where a branch does not reach its label, it goes to an instruction put in behind it, which
        is a jump to the label, or a copy of what is there where that is a return.
        """
        far: set[tuple[int, str]] = set()
        while True:
            starts = self._starts(far)
            found = {
                (index, label)
                for index, line in enumerate(self._lines)
                if _is_branch(line)
                for label in dict.fromkeys((line.yes, line.no))
                if self._place(index, label, starts) - starts[index] - 1 > LONGEST_BRANCH
            }
            if found <= far:
                return tuple(self._encode(starts, far))
            far |= found

    def _room(self, index: int, far: set[tuple[int, str]]) -> int:
        """How many instructions are put in behind a branch."""
        line = self._lines[index]
        return sum((index, label) in far for label in dict.fromkeys((line.yes, line.no)))

    def _starts(self, far: set[tuple[int, str]]) -> list[int]:
        """Where each line's instruction will be."""
        starts = []
        position = 0
        for index in range(len(self._lines) + 1):
            starts.append(position)
            if index < len(self._lines):
                position += 1 + self._room(index, far)
        return starts

    def _place(self, index: int, label: str, starts: list[int]) -> int:
        if label == NEXT:
            return starts[index + 1]
        if label not in self._places:
            raise ValueError(f"no such label: {label}")
        if self._places[label] <= index:
            raise ValueError(f"a jump backwards: {label}")
        return starts[self._places[label]]

    def _encode(self, starts: list[int], far: set[tuple[int, str]]) -> Iterable[Instruction]:
        for index, line in enumerate(self._lines):
            here = starts[index]
            if line.op is Op.JUMP:
                yield self._jump(here, index, line.yes, starts)
                continue
            if not _is_branch(line):
                yield Instruction(line.op, 0, 0, line.k)
                continue
            behind = [x for x in dict.fromkeys((line.yes, line.no)) if (index, x) in far]
            yes, no = (
                behind.index(x) if x in behind else self._place(index, x, starts) - here - 1
                for x in (line.yes, line.no)
            )
            yield Instruction(line.op, yes, no, line.k)
            for number, label in enumerate(behind, start=1):
                yield self._jump(here + number, index, label, starts)

    def _jump(self, here: int, index: int, label: str, starts: list[int]) -> Instruction:
        target = self._place(index, label, starts)
        line = self._lines[self._places[label]]
        if line.op is Op.RETURN:
            return Instruction(Op.RETURN, 0, 0, line.k)
        return Instruction(Op.JUMP, 0, 0, target - here - 1)


def _is_branch(line: _Line) -> bool:
    return line.op & _CLASS == Op.JUMP and line.op is not Op.JUMP
