"""Stopping a program at a checkpoint, and letting it run again: by cgroup v2, else by signals.

A cgroup holds all that the program has started, whatever it does; the kernel says when all of it
stands (cgroup.events, Documentation/admin-guide/cgroup-v2.rst). Without one, SIGSTOP goes to the
program's process group: a child that has left the group runs on.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from remusnet.errors import RemusnetError

_LONGEST_FREEZE_S = 5.0
_POLL_S = 0.00005
_MOUNTS, _OWN_CGROUPS = Path("/proc/self/mounts"), Path("/proc/self/cgroup")


class Freezer(Protocol):
    """What stops the program. ``kind``: how, in a few words for a person."""

    kind: str

    def join(self) -> None:
        """This process belongs to what is stopped: called by the program before it begins."""

    def freeze(self) -> None:
        """All of the program stands when this returns."""

    def thaw(self) -> None:
        """It runs again."""

    def alive(self) -> bool:
        """Whether any process of it is left."""

    def kill(self) -> None:
        """SIGKILL to all of it, frozen or not."""

    def close(self) -> None:
        """Leaves nothing behind. The program has ended."""


def cgroup_root() -> Path | None:
    """Where cgroup v2 is mounted; None for nowhere. Docker and systemd's hybrid have it elsewhere
    than at /sys/fs/cgroup.
    """
    for line in _MOUNTS.read_text(encoding="ascii", errors="replace").splitlines():
        words = line.split()
        if len(words) > 2 and words[2] == "cgroup2":
            return Path(words[1])
    return None


def own_cgroup() -> Path | None:
    """The folder of this process's cgroup; None where there is no cgroup v2."""
    root = cgroup_root()
    if root is None:
        return None
    for line in _OWN_CGROUPS.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("0::/"):
            # ".." where this process is in a cgroup outside its cgroup namespace.
            inside = line[len("0::/") :]
            return root / inside if ".." not in inside.split("/") else root
    return root


class CgroupFreezer:
    """A cgroup v2 of its own, below this process's. Raises OSError where none can be made."""

    kind = "cgroup v2"

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        try:
            self._freeze = os.open(path / "cgroup.freeze", os.O_WRONLY | os.O_CLOEXEC)
            self._events = os.open(path / "cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            path.rmdir()
            raise

    def join(self) -> None:
        """See `Freezer`."""
        (self.path / "cgroup.procs").write_text("0", encoding="ascii")

    def freeze(self) -> None:
        """See `Freezer`. Raises RemusnetError where it takes 5 seconds."""
        os.write(self._freeze, b"1")
        deadline = time.monotonic() + _LONGEST_FREEZE_S
        while b"frozen 1" not in os.pread(self._events, 256, 0):
            if not self.alive():
                return
            if time.monotonic() > deadline:
                raise RemusnetError(
                    "the program could not be stopped for its checkpoint in "
                    f"{_LONGEST_FREEZE_S:.0f} s: it waits for a disk, or for a debugger"
                )
            time.sleep(_POLL_S)

    def thaw(self) -> None:
        """See `Freezer`."""
        os.write(self._freeze, b"0")

    def alive(self) -> bool:
        """See `Freezer`."""
        return b"populated 1" in os.pread(self._events, 256, 0)

    def kill(self) -> None:
        """See `Freezer`."""
        kill_cgroup(self.path)

    def close(self) -> None:
        """See `Freezer`."""
        os.close(self._freeze)
        os.close(self._events)
        remove_cgroup(self.path)


def kill_cgroup(path: Path) -> None:
    """Ends all in a cgroup. ``cgroup.kill`` is of Linux 5.14; before, one by one."""
    with suppress(OSError):
        (path / "cgroup.kill").write_text("1", encoding="ascii")
        return
    with suppress(OSError):
        (path / "cgroup.freeze").write_text("1", encoding="ascii")  # no process is born meanwhile
        for number in (path / "cgroup.procs").read_text(encoding="ascii").split():
            with suppress(OSError):
                os.kill(int(number), signal.SIGKILL)
        (path / "cgroup.freeze").write_text("0", encoding="ascii")


def remove_cgroup(path: Path, seconds: float = 5.0) -> bool:
    """Deletes a cgroup whose processes have been killed, and those that they made below it.

    Whether it is gone.
    """
    deadline = time.monotonic() + seconds
    while path.exists():
        for folder, _, _ in os.walk(path, topdown=False):
            with suppress(OSError):
                os.rmdir(folder)
        if time.monotonic() > deadline:
            return not path.exists()
        if path.exists():
            time.sleep(0.01)
    return True


class SignalFreezer:
    """SIGSTOP and SIGCONT to a process group; `join` makes it."""

    kind = "SIGSTOP (no cgroup v2)"

    def __init__(self) -> None:
        self.group = 0

    def join(self) -> None:
        """See `Freezer`: the caller has made a session, and so a process group, already."""

    def freeze(self) -> None:
        """See `Freezer`. The kernel does not say when all of them stand; it takes microseconds."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """See `Freezer`."""
        self._send(signal.SIGCONT)

    def alive(self) -> bool:
        """See `Freezer`."""
        if not self.group:
            return False
        try:
            os.killpg(self.group, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def kill(self) -> None:
        """See `Freezer`."""
        self._send(signal.SIGKILL)

    def close(self) -> None:
        """See `Freezer`."""

    def _send(self, number: int) -> None:
        if self.group:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.group, number)


def make_freezer(name: str) -> CgroupFreezer | SignalFreezer:
    """A cgroup called ``name`` below this process's own, else by signals."""
    for folder in dict.fromkeys((own_cgroup(), cgroup_root())):
        if folder is not None:
            with suppress(OSError):
                return CgroupFreezer(folder / name)
    return SignalFreezer()
