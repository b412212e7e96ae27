"""Locks in the run directory: who may change the kernel, and who drives a plug.

They are flocks: the kernel drops them with their process, however it ends. The files stay empty or
say the process's number, for messages only; a lock is what counts.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from remusnet.errors import Conflict, InvalidInput, NotPermitted, quoted
from remusnet.kernel.plug_record import forget_record
from remusnet.plan.names import check_device_name

_LONGEST_WAIT = 60.0
_POLL_SECONDS = 0.005


@contextmanager
def change_lock(folder: Path, longest_wait: float = _LONGEST_WAIT) -> Iterator[None]:
    """Nobody else who uses ``folder`` changes the kernel meanwhile.

    Waits for ``longest_wait`` seconds. Raises Conflict after that, NotPermitted, or InvalidInput.
    """
    descriptor = _open(folder, "lock")
    try:
        if not _lock(descriptor, longest_wait):
            raise Conflict(f"another remusnet{_holder(descriptor)} is at work; try again")
        yield
    finally:
        os.close(descriptor)


@contextmanager
def driver_lock(folder: Path, buffer: str) -> Iterator[None]:
    """This process drives the plug of ``buffer`` meanwhile: `remusnet remove` is a conflict.

    Whoever sends BUFFER and RELEASE to a plug takes it. Raises Conflict where another process has
    it already.
    """
    descriptor = _open(folder, _driver(buffer))
    try:
        # Longer than `driver_of` takes to ask.
        if not _lock(descriptor, longest_wait=0.2):
            raise Conflict(f"{buffer} is driven already{_holder(descriptor)}")
        yield
    finally:
        os.close(descriptor)


def driver_of(folder: Path, buffer: str) -> str:
    """Who has the driver's lock of ``buffer``, as in " by process 4711"; empty: nobody."""
    try:
        descriptor = os.open(folder / _driver(buffer), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        # Shared: two who only ask don't find each other.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(descriptor) or " by another process"
    finally:
        os.close(descriptor)
    return ""


def last_driver(folder: Path, buffer: str) -> str:
    """The number of the process that has driven ``buffer`` last, empty if nobody has."""
    try:
        number = (folder / _driver(buffer)).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
    return number if number.isdecimal() else ""


def forget_driver(folder: Path, buffer: str) -> None:
    """Deletes the lock file and the plug's record of a buffer device that is no more."""
    (folder / _driver(buffer)).unlink(missing_ok=True)
    forget_record(folder, buffer)


def _driver(buffer: str) -> str:
    return f"driver-{check_device_name(buffer)}.lock"


def _open(folder: Path, name: str) -> int:
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        return os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except PermissionError as error:
        raise NotPermitted(
            f"may not use {quoted(str(folder))}: run it as root, or give --run-dir"
        ) from error
    except OSError as error:
        raise InvalidInput(f"{quoted(str(folder))}: {error.strerror}") from error


def _lock(descriptor: int, longest_wait: float) -> bool:
    deadline = time.monotonic() + longest_wait
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        else:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            return True


def _holder(descriptor: int) -> str:
    number = os.pread(descriptor, 20, 0).strip().decode(errors="replace")
    return f" by process {number}" if number.isdecimal() else ""
