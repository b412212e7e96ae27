from __future__ import annotations

import pytest

from remusnet.classify.bpf.assembler import NEXT, Assembler, Instruction, Op
from tests.lib.bpf_machine import check, run
from tests.lib.ingress import Ingress


def value(program: tuple[Instruction, ...], length: int) -> int:
    check(program)
    return run(program, Ingress(bytes(length), 0, 0)).value


def test_a_branch_goes_to_its_labels() -> None:
    code = Assembler()
    code.emit(Op.LOAD_LENGTH)
    code.branch(Op.IF_EQUAL, 14, yes="equal")
    code.branch(Op.IF_GREATER, 14, yes="greater", no="less")
    for number, label in enumerate(("less", "equal", "greater")):
        code.label(label)
        code.emit(Op.RETURN, number)
    program = code.assemble()
    assert [str(each) for each in program[:3]] == ["128 0 0 0", "21 2 0 14", "37 2 0 14"]
    assert [value(program, length) for length in (13, 14, 15)] == [0, 1, 2]


@pytest.mark.parametrize("padding", [0, 1, 250, 251, 252, 253, 254, 255, 256, 257, 600])
@pytest.mark.parametrize("way", ["yes", "no", "both"])
@pytest.mark.parametrize("jumps", [False, True], ids=["to-a-return", "by-a-jump"])
def test_a_branch_reaches_any_distance(padding: int, way: str, jumps: bool) -> None:
    """On both sides of the 255 instructions that a branch itself can leave out."""
    code = Assembler()
    code.emit(Op.LOAD_LENGTH)
    yes, no = ("far" if way != "no" else NEXT), ("farther" if way != "yes" else NEXT)
    code.branch(Op.IF_EQUAL, 14, yes=yes, no=no)
    code.emit(Op.RETURN, 0)
    for _ in range(padding):
        code.emit(Op.ADD, 0)
    for number, label in enumerate(("far", "farther"), start=1):
        code.label(label)
        if jumps:
            code.emit(Op.ADD, 0)
        code.emit(Op.RETURN, number)
    program = code.assemble()
    assert value(program, 14) == (1 if way != "no" else 0)
    assert value(program, 15) == (2 if way != "yes" else 0)


def test_a_jump_to_a_return_returns_at_once() -> None:
    code = Assembler()
    code.emit(Op.LOAD_LENGTH)
    code.jump("end")
    code.emit(Op.ADD, 1)
    code.label("end")
    code.emit(Op.RETURN, 7)
    program = code.assemble()
    assert program[1] == Instruction(Op.RETURN, 0, 0, 7)
    assert value(program, 14) == 7


def test_a_load_beyond_the_frame_ends_the_program_with_no_match() -> None:
    code = Assembler()
    code.emit(Op.LOAD_BYTE, 14)
    code.emit(Op.RETURN, 1)
    program = code.assemble()
    assert [value(program, length) for length in (14, 15)] == [0, 1]


@pytest.mark.parametrize(
    ("labels", "jump", "message"),
    [
        (["here", "here"], "here", "label twice: here"),
        (["here"], "there", "no such label: there"),
        (["back"], "back", "a jump backwards: back"),
    ],
)
def test_a_label_is_there_once_and_ahead(labels: list[str], jump: str, message: str) -> None:
    code = Assembler()

    def program() -> None:
        for label in labels:
            code.label(label)
        code.emit(Op.LOAD, 0)
        code.jump(jump)
        code.emit(Op.RETURN, 0)
        code.assemble()

    with pytest.raises(ValueError, match=message):
        program()
