"""Policies as one classic BPF program for all frames.

The program says what may bypass (it returns -1, which cls_bpf takes for a match, and the filter has
no action: pass); a second program takes every frame and holds it. A load beyond the frame ends a
program with 0, no match: short frames fail closed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

from remusnet.classify.bpf.assembler import (
    MOST_INSTRUCTIONS,
    TAG_PRESENT,
    Assembler,
    BpfMatch,
    Instruction,
    Op,
)
from remusnet.classify.bpf.conditions import (
    Alternatives,
    Field,
    Register,
    Step,
    Within,
    asked,
    steps,
)
from remusnet.classify.bpf.dissect import NetworkCode
from remusnet.classify.bpf.link import emit_link
from remusnet.classify.filters import ETH_P_ALL, LAST_PREF, Classification, Filter, held_ethertypes
from remusnet.classify.headers import ETHERNET_HEADER
from remusnet.errors import InvalidInput
from remusnet.policy.policy import IPV4_ETHERTYPE, IPV6_ETHERTYPE, UDP, Policy
from remusnet.policy.verdict import Verdict

MATCH, NO_MATCH = 0xFFFFFFFF, 0
_LABELS = {Verdict.HOLD: "hold", Verdict.BYPASS: "bypass"}
_LOADS = {1: Op.LOAD_BYTE_AT_X, 2: Op.LOAD_HALF_AT_X, 4: Op.LOAD_WORD_AT_X}

HOLD_EVERY_FRAME = Filter(
    LAST_PREF,
    ETH_P_ALL,
    BpfMatch((Instruction(Op.RETURN, 0, 0, MATCH),)),
    Verdict.HOLD,
    "hold every other frame",
)


def compile_bpf(policy: Policy) -> Classification:
    """``policy`` as BPF: exact, whatever it asks for.

    Raises InvalidInput where the program would be longer than tc can install.
    """
    program = _program(policy) if policy.holds_odd else _baseline(policy)
    if len(program) > MOST_INSTRUCTIONS:
        raise InvalidInput(
            f"policy {policy.name} needs {len(program)} BPF instructions, tc can install "
            f"{MOST_INSTRUCTIONS}: use fewer rules, ports or prefixes"
        )
    bypass = Filter(10, ETH_P_ALL, BpfMatch(program), Verdict.BYPASS, "let bypass what may")
    filters = (bypass, HOLD_EVERY_FRAME) if program else (HOLD_EVERY_FRAME,)
    return Classification("bpf", policy, filters, ())


def _program(policy: Policy) -> tuple[Instruction, ...]:
    """Empty where nothing may bypass."""
    found = {version: steps(policy, version) for version in (4, 6, 0)}
    every = [step for each in found.values() for step in each]
    if all(step.verdict is Verdict.HOLD for step in every):
        return ()
    code = Assembler()
    _emit_early_udp(code, found)
    emit_link(code, asked(every))
    # First of all: the kernel's check of scratch memory looks through returns, so that what the
    # code for IP has not stored would count as not stored behind it.
    code.label("other")
    _emit_steps(code, found[0])
    for version in (4, 6):
        code.label(f"ipv{version}")
        # Where all is held, the program need not look.
        if any(step.verdict is Verdict.BYPASS for step in found[version]):
            NetworkCode(version, asked(found[version])).emit(code)
            code.label(f"ipv{version}.rules")
        _emit_steps(code, found[version])
    _emit_verdicts(code)
    return code.assemble()


def _baseline(policy: Policy) -> tuple[Instruction, ...]:
    """A policy that lets odd frames bypass: untagged ethertypes are held, as Xen's script does."""
    held = (ethertypes for _, ethertypes in held_ethertypes(policy, "bpf"))
    ethertypes = set(chain.from_iterable(held))
    code = Assembler()
    code.emit(Op.LOAD_WORD, TAG_PRESENT)
    code.branch(Op.IF_EQUAL, 0, no="bypass")
    code.emit(Op.LOAD_HALF, ETHERNET_HEADER - 2)
    if ethertypes:
        code.branch_among(ethertypes, yes="hold", no="bypass")
    _emit_verdicts(code)
    return code.assemble()


def _emit_verdicts(code: Assembler) -> None:
    code.label("bypass")
    code.emit(Op.RETURN, MATCH)
    code.label("hold")
    code.emit(Op.RETURN, NO_MATCH)


def _emit_steps(code: Assembler, found: tuple[Step, ...]) -> None:
    for step in found:
        if not step.conditions:
            code.jump(_LABELS[step.verdict])
            continue
        otherwise = code.fresh(f"after-{step.name}")
        *first, last = step.conditions
        for condition in first:
            met = code.fresh(f"{step.name}.met")
            _emit_condition(code, condition, yes=met, no=otherwise)
            code.label(met)
        _emit_condition(code, last, yes=_LABELS[step.verdict], no=otherwise)
        code.label(otherwise)


def _emit_condition(code: Assembler, condition: Alternatives, *, yes: str, no: str) -> None:
    *others, last = condition
    for alternative in others:
        otherwise = code.fresh("or")
        _emit_alternative(code, alternative, yes=yes, no=otherwise)
        code.label(otherwise)
    _emit_alternative(code, last, yes=yes, no=no)


def _emit_alternative(
    code: Assembler, alternative: tuple[Within, ...], *, yes: str, no: str
) -> None:
    *others, last = alternative
    for within in others:
        met = code.fresh("and")
        _emit_within(code, within, yes=met, no=no)
        code.label(met)
    _emit_within(code, last, yes=yes, no=no)


def _emit_within(code: Assembler, within: Within, *, yes: str, no: str) -> None:
    """Ranges ascend: what is below one, and was in none before it, is in none."""
    _emit_load(code, within.where)
    *others, last = within.ranges
    for low, high in others:
        if low == high:
            code.branch(Op.IF_EQUAL, low, yes=yes)
        else:
            code.branch(Op.IF_AT_LEAST, low, no=no)
            code.branch(Op.IF_GREATER, high, no=yes)
    low, high = last
    if low == high:
        code.branch(Op.IF_EQUAL, low, yes=yes, no=no)
    else:
        code.branch(Op.IF_AT_LEAST, low, no=no)
        code.branch(Op.IF_GREATER, high, yes=no, no=yes)


def _emit_load(code: Assembler, where: Register | Field) -> None:
    if isinstance(where, Register):
        code.emit(Op.LOAD_MEMORY, where)
    else:
        code.emit(Op.LOAD_X_MEMORY, Register.NETWORK)
        code.emit(_LOADS[where.size], where.offset)


def _emit_early_udp(code: Assembler, found: Mapping[int, Sequence[Step]]) -> None:
    """Emits the steps for each IP version: they go to ``bypass``, or on with what follows.

    Most of what bypasses is UDP: voice and video. The loads are at fixed places, which the kernel
    turns into plain loads; one at X costs a call.

    What is in the frame's ethertype counts; whether the kernel has moved a tag aside does not.
    """
    versions = [version for version in (4, 6) if _all_udp_bypasses(found[version])]
    if not versions:
        return
    code.emit(Op.LOAD_HALF, ETHERNET_HEADER - 2)
    if 4 in versions:
        other = "early.ipv6" if 6 in versions else "early.none"
        code.branch(Op.IF_EQUAL, IPV4_ETHERTYPE, no=other)
        code.emit(Op.LOAD_BYTE, ETHERNET_HEADER)
        code.branch(Op.IF_EQUAL, 0x45, no="early.none")
        _emit_last(code, protocol=ETHERNET_HEADER + 9, end=ETHERNET_HEADER + 20)
    if 6 in versions:
        code.label("early.ipv6")
        code.branch(Op.IF_EQUAL, IPV6_ETHERTYPE, no="early.none")
        code.emit(Op.LOAD_BYTE, ETHERNET_HEADER)
        code.branch(Op.IF_AT_LEAST, 0x60, no="early.none")
        code.branch(Op.IF_AT_LEAST, 0x70, yes="early.none")
        _emit_last(code, protocol=ETHERNET_HEADER + 6, end=ETHERNET_HEADER + 40)
    code.label("early.none")


def _emit_last(code: Assembler, *, protocol: int, end: int) -> None:
    code.emit(Op.LOAD_BYTE, protocol)
    code.branch(Op.IF_EQUAL, UDP, no="early.none")
    code.emit(Op.LOAD_BYTE, end - 1)  # the header is all there
    code.jump("bypass")


def _all_udp_bypasses(steps: Sequence[Step]) -> bool:
    """Whether UDP bypasses whatever else is in the packet. The last step has no conditions."""
    for step in steps:
        if any(_never_udp(condition) for condition in step.conditions):
            continue
        if step.verdict is Verdict.HOLD:
            return False
        if not step.conditions:
            return True
    raise AssertionError("no step without conditions")


def _never_udp(condition: Sequence[Sequence[Within]]) -> bool:
    return all(any(map(_is_no_udp, alternative)) for alternative in condition)


def _is_no_udp(within: Within) -> bool:
    return within.where is Register.PROTOCOL and not any(
        low <= UDP <= high for low, high in within.ranges
    )
