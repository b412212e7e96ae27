"""What ``remusnet doctor`` says of live runs: which plug and freezer they get here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from remusnet.kernel.probe import probe
from remusnet.live.freezer import cgroup_root, own_cgroup
from remusnet.results.checks import Check, CheckKind, CheckState

_TUN = Path("/dev/net/tun")
_USER_NAMESPACES = Path("/proc/sys/user/max_user_namespaces")


def check_live() -> Iterator[Check]:
    """None of them is needed by anything else."""
    yield _plug()
    yield _freezer()
    if os.geteuid() != 0:
        yield _rootless()


def _plug() -> Check:
    found = probe()
    kernel = found["sch_plug"].there and found["ifb"].there
    if kernel:
        what = "kernel plug (sch_plug)"
    elif os.access(_TUN, os.R_OK | os.W_OK):
        what = "userspace plug, by a TAP device: this kernel is not known to have sch_plug"
    else:
        what = f"userspace plug, by a veth pair: {_TUN} can't be opened"
    rules = found["sch_ingress"].there and found["act_mirred"].there
    return Check(
        what="the plug of remusnet run",
        kind=CheckKind.KERNEL,
        state=CheckState.OK if rules is not False else CheckState.MISSING,
        found=what if rules is not False else "no rules: sch_ingress or act_mirred is missing",
        why="holding what a program sends until its checkpoint commits",
        mend="" if rules is not False else "modprobe sch_ingress act_mirred",
    )


def _freezer() -> Check:
    folder = own_cgroup() if cgroup_root() else None
    usable = False
    with suppress(OSError):
        usable = folder is not None and os.access(folder, os.W_OK)
    found = f"cgroup v2, below {folder}" if usable else "SIGSTOP to the program's process group"
    return Check(
        what="the freezer of remusnet run",
        kind=CheckKind.KERNEL,
        state=CheckState.OK if usable else CheckState.MISSING,
        found=found,
        why="stopping all of a program at its checkpoints, whatever it has started",
        mend="" if usable else "run it as root, where cgroup v2 is mounted (mount -t cgroup2)",
    )


def _rootless() -> Check:
    most = 0
    with suppress(OSError, ValueError):
        most = int(_USER_NAMESPACES.read_text(encoding="ascii"))
    return Check(
        what="remusnet run without root",
        kind=CheckKind.RIGHTS,
        state=CheckState.OK if most else CheckState.MISSING,
        found="user namespaces are allowed" if most else "no user namespaces",
        why="a live run as an ordinary user, reached by --publish only",
        mend="" if most else "run it as root, or sysctl user.max_user_namespaces=15000",
    )
