"""What this kernel can do, found out by doing it: in a network namespace of its own.

Root enters one in a thread of its own; others try in a process with a user namespace of its own,
where the kernel lets them. Both end with all that was made in them. Nothing is left but modules
that the kernel has loaded on the way. Where none of this works, the kernel's files tell what is
known (`remusnet.kernel.modules`).
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from struct import Struct

from remusnet.errors import MissingDependency
from remusnet.kernel.modules import built
from remusnet.kernel.wire.codec import (
    BYPASS_CLASSID,
    INGRESS_HANDLE,
    NLM_F_CREATE,
    NLM_F_EXCL,
    PLUG_QOPT,
    RTM_DELQDISC,
    RTM_NEWQDISC,
    RTM_NEWTFILTER,
    TC_ACT_STOLEN,
    TC_H_INGRESS,
    TC_H_ROOT,
    TCA_EGRESS_REDIR,
    TCA_KIND,
    TCA_OPTIONS,
    attribute,
    message,
    nested,
    text_attribute,
    traffic_control,
)
from remusnet.kernel.wire.messages import PlugAction, encode, filter_info, mirred
from remusnet.kernel.wire.netlink import Netlink
from remusnet.plan.operations import CreateBuffer

FEATURES = {
    "ifb": ("ifb", "CONFIG_IFB"),
    "sch_plug": ("sch_plug", "CONFIG_NET_SCH_PLUG"),
    "sch_ingress": ("sch_ingress", "CONFIG_NET_SCH_INGRESS"),
    "clsact": ("sch_ingress", "CONFIG_NET_SCH_INGRESS"),
    "cls_u32": ("cls_u32", "CONFIG_NET_CLS_U32"),
    "cls_flower": ("cls_flower", "CONFIG_NET_CLS_FLOWER"),
    "cls_bpf": ("cls_bpf", "CONFIG_NET_CLS_BPF"),
    "cls_matchall": ("cls_matchall", "CONFIG_NET_CLS_MATCHALL"),
    "act_mirred": ("act_mirred", "CONFIG_NET_ACT_MIRRED"),
    "ipv6": ("ipv6", "CONFIG_IPV6"),
}
"""The features to try: by name here, the module that has it and the option that builds it."""

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000  # linux/sched.h
_CHILD_SECONDS = 60
_LOOPBACK = 1  # the number of lo in each network namespace
_ETH_P_ALL = 3
_UINT, _USHORT = Struct("=I"), Struct("=H")
# One u32 key that fits everything, in linux/pkt_cls.h's struct tc_u32_sel; BPF's "return -1".
_ANY_U32 = bytes([1, 0, 1]) + bytes(13) + bytes(16)
_ANY_BPF = Struct("=HBBI").pack(0x06, 0, 0, 0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class _Classifier:
    """The numbers of its class and action attributes, and what makes it match everything."""

    classid: int
    action: int
    match: bytes


_CLASSIFIERS = {
    "u32": _Classifier(1, 7, attribute(5, _ANY_U32)),
    "flower": _Classifier(1, 3, b""),
    "bpf": _Classifier(3, 1, attribute(4, _USHORT.pack(1)) + attribute(5, _ANY_BPF)),
    "matchall": _Classifier(1, 2, b""),
}


@dataclass(frozen=True, slots=True)
class Feature:
    """Something that a kernel can be built without.

    ``there``: None where it is not known. ``tried``: whether that comes from doing it; else it is
    what the kernel's files say. ``said``: the kernel's words to a failure, or the file.
    """

    name: str
    there: bool | None
    tried: bool
    said: str = ""

    @property
    def module(self) -> str:
        """The kernel module that has it."""
        return FEATURES[self.name][0]

    @property
    def option(self) -> str:
        """The option of the kernel's configuration that builds it."""
        return FEATURES[self.name][1]


@cache
def probe() -> Mapping[str, Feature]:
    """All of `FEATURES` by name; once for each process."""
    return _as_root() or _as_user() or {name: _known(name) for name in FEATURES}


def lacks(name: str) -> bool:
    """Whether the kernel is known not to have the feature ``name``."""
    return probe()[name].there is False


def available_classifiers() -> tuple[str, ...]:
    """Those classifiers of remusnet's that the kernel has, as ``--classifier`` calls them."""
    found = probe()
    return tuple(name for name in ("u32", "flower", "bpf") if found[f"cls_{name}"].there)


def _as_root() -> dict[str, Feature] | None:
    """Tried in a thread that leaves for a new namespace; None where it may not."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(_tried, _CLONE_NEWNET).result()


def _as_user() -> dict[str, Feature] | None:
    """Tried in a process that gets a user namespace too; None where the kernel forbids that.

    A thread can't: a user namespace is for whole processes.
    """
    root = str(Path(__file__).parents[2])
    try:
        done = subprocess.run(
            # -P: a folder that the user happens to be in is not searched for Python modules.
            [sys.executable, "-P", "-m", "remusnet.kernel.probe"],
            env={**os.environ, "PYTHONPATH": root},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_CHILD_SECONDS,
            check=False,
        )
        found = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return None
    return {each["name"]: Feature(**each) for each in found} or None


def _tried(flags: int) -> dict[str, Feature] | None:
    try:
        _unshare(flags)
        with Netlink() as netlink:
            found = {each.name: each for each in _trials(netlink)}
    except (OSError, MissingDependency):
        return None
    # A kernel that refuses the rights for all of it has told nothing.
    return found if any(each.there is not None for each in found.values()) else None


def _unshare(flags: int) -> None:
    # os.unshare came with Python 3.12.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _trials(netlink: Netlink) -> Iterator[Feature]:
    """Each feature, tried on the loopback device of an empty namespace."""

    def feature(name: str, request: bytes) -> Feature:
        (answer,) = netlink.ask([request])
        if not answer.error:
            return Feature(name, True, True)
        said = answer.text or os.strerror(answer.error)
        forbidden = answer.error in (errno.EPERM, errno.EACCES)
        return Feature(name, None if forbidden else False, True, said)

    yield feature("ifb", encode(CreateBuffer("probe"), socket.if_nametoindex))
    yield feature("sch_plug", _plug())
    yield feature("clsact", _ingress("clsact"))
    netlink.ask([message(RTM_DELQDISC, 0, _ingress_at() + text_attribute(TCA_KIND, "clsact"))])
    yield feature("sch_ingress", _ingress("ingress"))
    usable = ""
    for pref, name in enumerate(_CLASSIFIERS, start=1):
        tried = feature(f"cls_{name}", _filter(name, pref, _classid(name)))
        usable = usable or (name if tried.there else "")
        yield tried
    if usable:
        yield feature("act_mirred", _filter(usable, len(_CLASSIFIERS) + 1, _mirred(usable)))
    else:
        yield Feature("act_mirred", None, False, "no classifier to try it with")
    yield _ipv6()


def _plug() -> bytes:
    body = traffic_control(_LOOPBACK, parent=TC_H_ROOT) + text_attribute(TCA_KIND, "plug")
    options = attribute(TCA_OPTIONS, PLUG_QOPT.pack(PlugAction.LIMIT, 1 << 20))
    return message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, body + options)


def _ingress_at() -> bytes:
    return traffic_control(_LOOPBACK, parent=TC_H_INGRESS, handle=INGRESS_HANDLE)


def _ingress(kind: str) -> bytes:
    body = _ingress_at() + text_attribute(TCA_KIND, kind)
    return message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, body)


def _filter(name: str, pref: int, then: bytes) -> bytes:
    where = traffic_control(_LOOPBACK, parent=INGRESS_HANDLE, info=filter_info(pref, _ETH_P_ALL))
    options = nested(TCA_OPTIONS, then, _CLASSIFIERS[name].match)
    body = where + text_attribute(TCA_KIND, name) + options
    return message(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, body)


def _classid(name: str) -> bytes:
    return attribute(_CLASSIFIERS[name].classid, _UINT.pack(BYPASS_CLASSID))


def _mirred(name: str) -> bytes:
    action = mirred(TC_ACT_STOLEN, TCA_EGRESS_REDIR, _LOOPBACK)
    return nested(_CLASSIFIERS[name].action, nested(1, action))


def _ipv6() -> Feature:
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close()
    except OSError as error:
        return Feature("ipv6", False, True, os.strerror(error.errno or 0))
    return Feature("ipv6", True, True)


def _known(name: str) -> Feature:
    there, where = built(*FEATURES[name])
    return Feature(name, there, False, where)


def _child() -> None:
    """What the process of `_as_user` does: JSON on standard output, an empty list for nothing."""
    found = _tried(_CLONE_NEWUSER | _CLONE_NEWNET) or {}
    json.dump([asdict(each) for each in found.values()], sys.stdout)


if __name__ == "__main__":
    _child()
