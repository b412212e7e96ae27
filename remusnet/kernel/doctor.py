"""What ``remusnet doctor`` looks at in this machine: rights, kernel, tools, Python, files.

`CHECKS` is a list of functions, each with its own few checks; what else has something to look after
(a Xen host) has a list of its own, and the command puts them together.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from remusnet.errors import NotPermitted, RemusnetError
from remusnet.extras import how_to_install, how_to_install_library
from remusnet.kernel.change.apply import share_of_memory, total_memory
from remusnet.kernel.modules import module_file
from remusnet.kernel.own_folder import OwnFolder, Untrusted
from remusnet.kernel.probe import Feature, available_classifiers, probe
from remusnet.kernel.state.observe import observe
from remusnet.kernel.state.receipt import Receipts
from remusnet.kernel.wire.netlink import Netlink, require_rights, tells_of_tcx
from remusnet.plan.devices import memory_needed
from remusnet.plan.terms import Terms
from remusnet.results.checks import Check, CheckKind, CheckState, Look

_WHY = {
    "ifb": "the buffer device that held frames go to",
    "sch_plug": "the plug, which holds frames until their checkpoint commits",
    "sch_ingress": "where the filters of a vif hang",
    "act_mirred": "sends held frames to the buffer device",
    "clsact": "sharing a vif with other tools that use clsact",
    "cls_u32": "--classifier u32",
    "cls_flower": "--classifier flower",
    "cls_bpf": "--classifier bpf",
    "cls_matchall": "remusnet's own tests",
    "ipv6": "a Dom0 that has IPv6 itself; guests' IPv6 is held without it",
}
_NEEDED = ("ifb", "sch_plug", "sch_ingress", "act_mirred")

_TOOLS = {
    "ip": "the scripts that remusnet plan prints; apply doesn't use it",
    "tc": "the scripts that remusnet plan prints; apply doesn't use it",
}
_TOOLS_PACKAGE = "iproute2"
_AS_ROOT = "run remusnet doctor as root, which tries it"

_MODULES = {
    "jinja2": ("plan", True),
    "numpy": ("classify, simulate", False),
    "rich": ("the reports of classify and simulate", False),
    "scapy": ("reading and writing captures", False),
    "libvirt": ("finding vifs by the names of libvirt's domains", False),
}
"""Python modules by name: what uses them, and whether apply does."""

_UML = Path("/usr/bin/linux.uml")
_CPUINFO = Path("/proc/cpuinfo")


def check_kernel(run_dir: Path) -> list[Check]:
    """All checks of this module; ``run_dir``: where receipts and locks are to be."""
    return [each for look in CHECKS for each in look(run_dir)]


def _rights(_run_dir: Path) -> Iterator[Check]:
    why = "changing network devices"
    try:
        require_rights("change network devices")
    except NotPermitted:
        yield Check(
            what="CAP_NET_ADMIN",
            kind=CheckKind.RIGHTS,
            state=CheckState.MISSING,
            found=f"user {os.geteuid()} does not have it",
            why=why,
            mend="run remusnet as root: sudo remusnet ...",
            needed=True,
        )
    else:
        yield Check("CAP_NET_ADMIN", CheckKind.RIGHTS, CheckState.OK, "yes", why, needed=True)


def _kernel(_run_dir: Path) -> Iterator[Check]:
    found = probe()
    for name in _NEEDED:
        yield _feature(found[name], needed=True)
    some = available_classifiers()
    unknown = any(found[f"cls_{name}"].there is None for name in ("u32", "flower", "bpf"))
    mend = _mend(found["cls_u32"])
    yield Check(
        what="a classifier",
        kind=CheckKind.KERNEL,
        state=CheckState.OK if some else CheckState.UNKNOWN if unknown else CheckState.MISSING,
        found=", ".join(some) or "none of u32, flower and bpf",
        why="telling frames to hold from frames that may bypass",
        mend="" if some else mend,
        needed=True,
    )
    for name in _WHY:
        if name not in _NEEDED:
            yield _feature(found[name])


def _feature(feature: Feature, *, needed: bool = False) -> Check:
    states = {True: CheckState.OK, False: CheckState.MISSING, None: CheckState.UNKNOWN}
    return Check(
        what=feature.name,
        kind=CheckKind.KERNEL,
        state=states[feature.there],
        found=_found(feature),
        why=_WHY[feature.name],
        mend="" if feature.there else _mend(feature),
        needed=needed,
    )


def _found(feature: Feature) -> str:
    if feature.tried:
        return "works" if feature.there else feature.said
    return f"not tried ({feature.said or 'no trace of it'})"


def _mend(feature: Feature) -> str:
    if feature.there is None:
        return _AS_ROOT
    if module_file(feature.module):
        return f"modprobe {feature.module}"
    if "cloud" in os.uname().release:
        # Debian's cloud kernels leave out what a cloud's guest has no use for.
        return "apt install linux-image-$(dpkg --print-architecture), then boot that kernel"
    return f"boot a kernel that is built with {feature.option}=m (Debian's standard kernels are)"


def _memory(run_dir: Path) -> Iterator[Check]:
    """Checks the memory for what is applied; else for one plug with apply's limit."""
    try:
        limits = [each.limit for each in Receipts(run_dir).read()[0].values()]
    except NotPermitted:
        limits = []  # the check of the run directory says it
    what = "memory for what is protected" if limits else "memory for one guest"
    mend = "apply it with --memory 64MB, or a smaller --rate or --limit"
    yield memory_look(what, limits or [Terms().plug_limit], mend)


def memory_look(what: str, limits: Iterable[int], mend: str, total: int | None = None) -> Check:
    """The check of ``remusnet doctor`` for plugs of these ``limits`` (bytes)."""
    total = total_memory() if total is None else total
    why = "a guest that floods small frames: the kernel pays up to 12.5 times a plug's limit"
    if total is None:
        return Check(
            what, CheckKind.MEMORY, CheckState.UNKNOWN, "no MemTotal in /proc/meminfo", why, mend
        )
    needed = sum(map(memory_needed, limits))
    found = share_of_memory(needed, total)
    if 2 * needed > total:
        found += ", more than half: apply wants --force"
    fits = 4 * needed <= total
    state = CheckState.OK if fits else CheckState.MISSING
    return Check(what, CheckKind.MEMORY, state, found, why, "" if fits else mend)


def _tools(_run_dir: Path) -> Iterator[Check]:
    for name, why in _TOOLS.items():
        # Debian's users have no sbin in their path.
        path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
        state = CheckState.OK if path else CheckState.MISSING
        mend = "" if path else f"apt install {_TOOLS_PACKAGE}"
        yield Check(name, CheckKind.TOOL, state, path or "not installed", why, mend)


def _uml(_run_dir: Path) -> Iterator[Check]:
    """The kernel that remusnet's own tests run in, where it is installed."""
    if not _UML.exists():
        return
    amx = "amx_tile" in _CPUINFO.read_text(encoding="ascii", errors="replace").split()
    gcc = shutil.which("gcc")
    if not amx:
        found = str(_UML)
    elif gcc:
        found = f"{_UML}; this processor has AMX, so scripts/uml loads a shim before it"
    else:
        found = f"{_UML} needs a shim, for this processor has AMX, and gcc to compile it"
    ok = gcc is not None or not amx
    yield Check(
        what="User-Mode Linux",
        kind=CheckKind.TOOL,
        state=CheckState.OK if ok else CheckState.MISSING,
        found=found,
        why="scripts/uml and remusnet's own tests; Linux before 6.13 can't hold AMX's registers",
        mend="" if ok else "apt install gcc libc6-dev",
    )


def _python(_run_dir: Path) -> Iterator[Check]:
    for name, (why, needed) in _MODULES.items():
        there = find_spec(name) is not None
        yield Check(
            what=f"Python module {name}",
            kind=CheckKind.PYTHON,
            state=CheckState.OK if there else CheckState.MISSING,
            found="yes" if there else f"not for {sys.executable}",
            why=why,
            mend="" if there else _install(name),
            needed=needed,
        )


def _install(module: str) -> str:
    if module == "libvirt":
        return how_to_install("libvirt")
    return how_to_install_library(module)


def _files(run_dir: Path) -> Iterator[Check]:
    there = run_dir
    while not there.exists() and there != there.parent:
        there = there.parent
    is_folder = there.is_dir()
    usable = is_folder and os.access(there, os.W_OK | os.X_OK)
    kind = CheckKind.FILES
    others = _others(run_dir)
    if others:
        usable, found = False, others
        mend = "chown it to root and chmod it to 755, or set REMUSNET_RUN_DIR"
    elif usable:
        found, mend = str(run_dir), ""
    elif not is_folder:
        found = f"{there} is no directory"
        mend = "set REMUSNET_RUN_DIR to a directory"
    else:
        found, kind = f"{there} is closed to user {os.geteuid()}", CheckKind.RIGHTS
        mend = "run remusnet as root, or set REMUSNET_RUN_DIR"
    yield Check(
        what="the run directory",
        kind=kind,
        state=CheckState.OK if usable else CheckState.MISSING,
        found=found,
        why="receipts, locks and the records of plugs",
        mend=mend,
        needed=True,
    )


def _others(run_dir: Path) -> str:
    """How others could change it; empty where they can't, or where it is not there."""
    try:
        with OwnFolder(str(run_dir)):
            return ""
    except Untrusted as error:
        return f"{error.filename}: {error.strerror}"
    except OSError:
        return ""


def check_vifs(run_dir: Path) -> Iterator[Check]:
    """Whether something at a vif that is here sees frames before remusnet's filters would."""
    what, why = "the first look at frames", "filters hold nothing that passed before they saw it"
    try:
        protected = {vif for each in Receipts(run_dir).read()[0].values() for vif in each.vifs}
    except NotPermitted:
        protected = set()
    try:
        with Netlink() as netlink:
            devices = observe(netlink, ()).devices
            vifs = [name for name in devices if name.startswith("vif") or name in protected]
            programs = observe(netlink, vifs).programs
    except RemusnetError as error:
        yield Check(what, CheckKind.KERNEL, CheckState.UNKNOWN, str(error), why, _AS_ROOT)
        return
    if programs:
        (vif, (first, *_)), *others = programs.items()
        more = f", and {len(others)} more vifs have some" if others else ""
        found = f"{vif}: {first} has it{more}"
        mend = f"let whoever attached it detach it: bpftool net show dev {vif}"
        yield Check(what, CheckKind.KERNEL, CheckState.MISSING, found, why, mend)
    elif tells_of_tcx():
        found = "no XDP or tcx program at a vif" if vifs else "no vif is here"
        yield Check(what, CheckKind.KERNEL, CheckState.OK, found, why)
    else:
        found = f"the kernel does not tell user {os.geteuid()} of tcx programs"
        yield Check(what, CheckKind.KERNEL, CheckState.UNKNOWN, found, why, _AS_ROOT)


CHECKS: tuple[Look, ...] = (
    _rights,
    _kernel,
    check_vifs,
    _tools,
    _uml,
    _python,
    _files,
    _memory,
)
