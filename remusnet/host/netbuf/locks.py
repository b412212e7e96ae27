"""The lock of Xen's own scripts, and remusnet's, waited for no longer than libxl does. Light.

Xen's (tools/hotplug/Linux/locking.sh) is a file that its holder deletes: who gets the flock holds
it only if the path still leads to the file that was opened. The stock script takes ``pickifb``
while it picks an IFB that has no qdisc yet, and would take one of ours before its plug is there.
"""

from __future__ import annotations

import fcntl
import os
import time

LONGEST_SECONDS = 30.0
"""libxl kills the script after 40 s (LIBXL_HOTPLUG_TIMEOUT); the user should learn why."""
_POLL_SECONDS = 0.002


class Busy(Exception):
    """Somebody else has had the lock all the time."""


class XenLock:
    """The lock ``name`` of Xen's scripts in ``folder``, as a context. Raises Busy or OSError."""

    def __init__(self, folder: str, name: str, longest: float = LONGEST_SECONDS) -> None:
        self._folder = folder
        self._path = f"{folder}/{name}"
        self._longest = longest
        self._descriptor = -1

    def __enter__(self) -> None:
        os.makedirs(self._folder, exist_ok=True)
        deadline = time.monotonic() + self._longest
        while True:
            descriptor = _locked(self._path, deadline)
            if _is_there(self._path, descriptor):
                self._descriptor = descriptor
                return
            os.close(descriptor)

    def __exit__(self, *_error: object) -> None:
        # Deleted by its holder only, and before it is given up: that is the protocol.
        os.unlink(self._path)
        os.close(self._descriptor)


class ChangeLock:
    """The lock that `remusnet.kernel.locks.change_lock` takes too, in the run directory."""

    def __init__(self, folder: str, longest: float = LONGEST_SECONDS) -> None:
        self._folder = folder
        self._longest = longest
        self._descriptor = -1

    def __enter__(self) -> None:
        os.makedirs(self._folder, mode=0o755, exist_ok=True)
        self._descriptor = _locked(f"{self._folder}/lock", time.monotonic() + self._longest)
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def __exit__(self, *_error: object) -> None:
        os.close(self._descriptor)


def _locked(path: str, deadline: float) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return descriptor
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Busy(f"another process has held the lock {path} all the time") from None
            time.sleep(_POLL_SECONDS)
    except BaseException:
        os.close(descriptor)
        raise


def _is_there(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
