"""Classic BPF as the kernel runs it, written from net/core/filter.c and not from remusnet.

`check` refuses what bpf_check_classic() refuses, of the operations that remusnet may use.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from remusnet.classify.bpf.assembler import BpfMatch
from remusnet.classify.filters import Filter
from remusnet.policy.verdict import Verdict
from tests.lib.ingress import Ingress, at_ingress

WORD = 0xFFFFFFFF
TAG_PRESENT = 0xFFFFF000 + 48
SIZES = {0x00: 4, 0x08: 2, 0x10: 1}
LOADS = (0x20, 0x28, 0x30, 0x40, 0x48, 0x50)


class Instruction(Protocol):
    """``struct sock_filter``, by whatever names."""

    @property
    def op(self) -> int: ...
    @property
    def yes(self) -> int: ...
    @property
    def no(self) -> int: ...
    @property
    def k(self) -> int: ...


class Outcome(NamedTuple):
    """What a program returned, and the instructions that it executed, by their places."""

    value: int
    trace: list[int]


def run(program: Sequence[Instruction], skb: Ingress) -> Outcome:
    """Runs ``program`` on a frame. A load beyond its end returns 0."""
    a = x = 0
    memory = [0] * 16
    trace = []
    at = 0
    while True:
        trace.append(at)
        op, yes, no, k = (each := program[at]).op, each.yes, each.no, each.k
        at += 1
        if op == 0x06:
            return Outcome(k, trace)
        if op == 0x05:
            at += k
        elif op & 0x07 == 0x05:
            at += yes if _compare(op, a, x if op & 0x08 else k) else no
        elif op & 0x07 == 0x04:
            a = _calculate(op, a, x if op & 0x08 else k) & WORD
        elif op in LOADS:
            loaded = _load(op, k if op < 0x40 else _signed(x + k), skb)
            if loaded is None:
                return Outcome(0, trace)
            a = loaded
        elif op in (0x02, 0x03):
            memory[k] = x if op == 0x03 else a
        elif op in (0x01, 0x61, 0x07):
            x = {0x01: k, 0x61: memory[k & 15], 0x07: a}[op]
        else:
            a = {0x00: k, 0x60: memory[k & 15], 0x80: len(skb.data), 0x87: x}[op]


def _load(op: int, start: int, skb: Ingress) -> int | None:
    """What lies in the frame at ``start``, or of its metadata; None beyond its end."""
    if op == 0x20 and start == TAG_PRESENT:
        return int(skb.tag != 0)
    size = SIZES[op & 0x18]
    if not 0 <= start <= len(skb.data) - size:
        return None
    return int.from_bytes(skb.data[start : start + size], "big")


def _signed(number: int) -> int:
    number &= WORD
    return number - (1 << 32) if number >> 31 else number


def _compare(op: int, a: int, b: int) -> bool:
    match op & 0xF0:
        case 0x10:
            return a == b
        case 0x20:
            return a > b
        case 0x30:
            return a >= b
        case 0x40:
            return bool(a & b)
    raise AssertionError(f"unknown comparison {op:#x}")


def _calculate(op: int, a: int, b: int) -> int:
    match op & 0xF0:
        case 0x00:
            return a + b
        case 0x10:
            return a - b
        case 0x20:
            return a * b
        case 0x40:
            return a | b
        case 0x50:
            return a & b
        case 0x60:
            return a << (b & 31)
        case 0x70:
            return a >> (b & 31)
    raise AssertionError(f"unknown calculation {op:#x}")


def check(program: Sequence[Instruction]) -> None:
    """Raises AssertionError for a program that the kernel refuses.

    Jumps stay inside, the last instruction returns, and on no way to a load of scratch memory is
    the store missing. check_load_and_stores() takes a return for an instruction like others: what
    is not stored before it counts as not stored behind it either.
    """
    assert 0 < len(program) <= 4096
    assert program[-1].op == 0x06, "the last instruction has to return"
    stored: dict[int, int] = {0: 0}
    for at, each in enumerate(program):
        known = stored.get(at, 0xFFFF)
        assert 0 <= each.yes <= 255
        assert 0 <= each.no <= 255
        assert 0 <= each.k <= WORD
        if each.op in (0x02, 0x03):
            assert each.k < 16
            known |= 1 << each.k
        if each.op in (0x60, 0x61):
            assert each.k < 16
            assert known >> each.k & 1, f"{at}: scratch word {each.k} may not have been stored"
        if at == len(program) - 1:
            return
        if each.op == 0x05:
            targets = [at + 1 + each.k]
        elif each.op & 0x07 == 0x05:
            targets = [at + 1 + each.yes, at + 1 + each.no]
        else:
            targets = [at + 1]
        for target in targets:
            assert target < len(program), f"{at}: jumps out of the program"
            stored[target] = stored.get(target, 0xFFFF) & known


def matches(program: Sequence[Instruction], frame: bytes) -> bool | None:
    """Whether cls_bpf takes the frame for a match; None for one that gets to no filter."""
    skb = at_ingress(frame)
    return None if skb is None else run(program, skb).value != 0


class Machine:
    """The filters at one vif's ingress: programs that the kernel takes."""

    def __init__(self, filters: Iterable[Filter]) -> None:
        self.programs: list[tuple[Sequence[Instruction], Verdict]] = []
        for each in sorted(filters, key=lambda each: each.pref):
            assert isinstance(each.match, BpfMatch)
            check(each.match.program)
            self.programs.append((each.match.program, each.verdict))

    def verdict(self, frame: bytes) -> Verdict | None:
        """What becomes of ``frame``; None where the kernel drops it before the filters."""
        for program, verdict in self.programs:
            is_match = matches(program, frame)
            if is_match is None:
                return None
            if is_match:
                return verdict
        return Verdict.BYPASS
