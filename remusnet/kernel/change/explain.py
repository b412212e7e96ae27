"""What an errno means to a user: the operation that failed, and what to do about it.

Modern kernels say more in words than by the number (extended acknowledgements); both are looked at.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from functools import singledispatch

from remusnet.errors import Conflict, InvalidInput, MissingDependency, NotPermitted, RemusnetError
from remusnet.kernel.wire.messages import kind_of
from remusnet.kernel.wire.netlink import Answer, refusal
from remusnet.plan.operations import AddFilter, AddIngress, AddPlug, CreateBuffer, DeleteFilters
from remusnet.plan.rows import Operation
from remusnet.policy.verdict import Verdict

_UNKNOWN = (errno.ENOENT, errno.EOPNOTSUPP)


@dataclass(frozen=True, slots=True)
class _Feature:
    """Something that a kernel can be built without."""

    module: str
    option: str

    def missing(self, what: str) -> MissingDependency:
        return MissingDependency(
            f"could not {what}: this kernel has no {self.module} ({self.option}); "
            f'try "modprobe {self.module}", or boot a kernel that has it'
        )


_CLASSIFIERS = {
    "u32": _Feature("cls_u32", "CONFIG_NET_CLS_U32"),
    "flower": _Feature("cls_flower", "CONFIG_NET_CLS_FLOWER"),
    "bpf": _Feature("cls_bpf", "CONFIG_NET_CLS_BPF"),
    "matchall": _Feature("cls_matchall", "CONFIG_NET_CLS_MATCHALL"),
}
_MIRRED = _Feature("act_mirred", "CONFIG_NET_ACT_MIRRED")


def explain(operation: Operation, answer: Answer) -> RemusnetError:
    """The error to raise for the kernel's ``answer`` to ``operation``."""
    what = describe(operation)
    if answer.error == errno.EPERM:
        return NotPermitted(f"could not {what}: run it as root")
    feature = _feature(operation, answer)
    if feature is not None and answer.error in _UNKNOWN:
        return feature.missing(what)
    if answer.error == errno.ENODEV:
        return InvalidInput(f"could not {what}: the device is gone")
    if answer.error == errno.EEXIST:
        return Conflict(f"could not {what}: somebody else has just made one ({answer.text})")
    return refusal(answer, what)


def describe(operation: Operation) -> str:
    """What an operation does, to stand after "could not"."""
    words = operation.kind.replace("-", " ")
    if isinstance(operation, AddFilter):
        name = f"{words} (pref {operation.filter.pref}, {operation.filter.comment or 'as before'})"
    elif isinstance(operation, DeleteFilters):
        name = f"{words} (pref {operation.pref})"
    else:
        name = words
    device = operation.arguments.get("device", "")
    return f"{name} on {device}"


@singledispatch
def _feature(_operation: Operation, _answer: Answer) -> _Feature | None:
    """What a kernel lacks that does not know the operation."""
    return None


@_feature.register
def _(_operation: CreateBuffer, _answer: Answer) -> _Feature:
    return _Feature("ifb", "CONFIG_IFB")


@_feature.register
def _(_operation: AddPlug, _answer: Answer) -> _Feature:
    return _Feature("sch_plug", "CONFIG_NET_SCH_PLUG")


@_feature.register
def _(_operation: AddIngress, _answer: Answer) -> _Feature:
    return _Feature("sch_ingress", "CONFIG_NET_SCH_INGRESS")


@_feature.register
def _(operation: AddFilter, answer: Answer) -> _Feature | None:
    if "action" in answer.text and operation.filter.verdict is Verdict.HOLD:
        return _MIRRED
    return _CLASSIFIERS.get(kind_of(operation.filter.match).name)
