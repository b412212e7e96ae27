"""BPF that decides on plain UDP before anything else is looked at.

Most of what bypasses is UDP: voice and video. Its loads are at fixed places, which the kernel turns
into plain loads; one at X costs a call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from remusnet.classify.bpf.assembler import Assembler, Op
from remusnet.classify.bpf.conditions import Register, Step, Within
from remusnet.classify.headers import ETHERNET_HEADER
from remusnet.policy.match import IPV4_ETHERTYPE, IPV6_ETHERTYPE, UDP
from remusnet.policy.verdict import Verdict

_AT = ETHERNET_HEADER


def emit_early_udp(code: Assembler, found: Mapping[int, Sequence[Step]]) -> None:
    """Of the steps for each IP version: goes to ``bypass``, or on with what follows.

    What is in the frame's ethertype counts; whether the kernel has moved a tag aside does not.
    """
    versions = [version for version in (4, 6) if _all_udp_bypasses(found[version])]
    if not versions:
        return
    code.emit(Op.LOAD_HALF, _AT - 2)
    if 4 in versions:
        other = "early.ipv6" if 6 in versions else "early.none"
        code.branch(Op.IF_EQUAL, IPV4_ETHERTYPE, no=other)
        code.emit(Op.LOAD_BYTE, _AT)
        code.branch(Op.IF_EQUAL, 0x45, no="early.none")
        _emit_last(code, protocol=_AT + 9, end=_AT + 20)
    if 6 in versions:
        code.label("early.ipv6")
        code.branch(Op.IF_EQUAL, IPV6_ETHERTYPE, no="early.none")
        code.emit(Op.LOAD_BYTE, _AT)
        code.branch(Op.IF_AT_LEAST, 0x60, no="early.none")
        code.branch(Op.IF_AT_LEAST, 0x70, yes="early.none")
        _emit_last(code, protocol=_AT + 6, end=_AT + 40)
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
