"""The lock of Xen's own scripts, and remusnet's, waited for no longer than libxl does. Light.

Xen's (tools/hotplug/Linux/locking.sh) is a file that its holder deletes: a process with the flock
has the lock only if the path still leads to the file that it opened. The stock script takes
``pickifb`` while it picks an IFB that has no qdisc yet, and would take one of ours before its plug
is there.
"""

from __future__ import annotations

import os
import time

from remusnet.kernel.own_folder import CHANGE_LOCK, OwnFolder, wait_for_lock

LIBXL_SECONDS = 40.0
"""After these libxl kills the script (LIBXL_HOTPLUG_TIMEOUT), and doesn't say why."""
LONGEST_SECONDS = 30.0
"""What a run of the script may wait for locks, all of them together; the rest is for its work."""


class Busy(Exception):
    """Another process has had the lock all the time."""


def deadline_from(start: float) -> float:
    """When a script that began at ``start`` (time.monotonic) has waited long enough."""
    return start + LONGEST_SECONDS


def remaining(deadline: float) -> float:
    """Seconds up to ``deadline``, 0 behind it."""
    return max(0.0, deadline - time.monotonic())


class XenLock:
    """The lock ``name`` of Xen's scripts in ``folder``, as a context. Raises Busy or OSError."""

    def __init__(self, folder: str, name: str, deadline: float) -> None:
        self._folder = folder
        self._name = name
        self._path = f"{folder}/{name}"
        self._deadline = deadline
        self._descriptor = -1

    def __enter__(self) -> None:
        while True:
            with OwnFolder(self._folder, make=True) as folder:
                descriptor = folder.open_lock(self._name)
            try:
                if not wait_for_lock(descriptor, self._deadline):
                    raise _busy(self._path)
                if _is_there(self._path, descriptor):
                    self._descriptor = descriptor
                    return
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def __exit__(self, *_error: object) -> None:
        # Deleted by its holder only, and before it is given up: that is the protocol.
        try:
            os.unlink(self._path)
        except OSError:
            return  # the lock goes with the descriptor all the same
        finally:
            os.close(self._descriptor)


class ChangeLock:
    """The lock that `remusnet.kernel.run_dir.change_lock` takes too, in the run directory."""

    def __init__(self, folder: OwnFolder, deadline: float) -> None:
        self._folder = folder
        self._deadline = deadline
        self._descriptor = -1

    def __enter__(self) -> None:
        descriptor = self._folder.lock(CHANGE_LOCK, self._deadline)
        if descriptor is None:
            raise _busy(f"{self._folder.path}/{CHANGE_LOCK}")
        self._descriptor = descriptor

    def __exit__(self, *_error: object) -> None:
        os.close(self._descriptor)


def _busy(path: str) -> Busy:
    from remusnet.kernel.lock_files import said  # here: only giving up needs it

    who = said(path).removeprefix(" by ") or "another process"
    return Busy(
        f"gave up: {who} has had the lock {path} all the time, and libxl kills this script "
        f"{LIBXL_SECONDS:g} s after its start"
    )


def _is_there(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False
