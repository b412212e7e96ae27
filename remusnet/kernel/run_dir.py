"""The run directory, where receipts, locks and records are: what goes wrong there, and its locks.

A lock says which process may change the kernel, or drives a plug. They are flocks: the kernel drops
them with their process, however it ends. The files say the process's number, for messages only; a
lock is what counts. Only root may open them: a user who can open a file can lock it.

An ending takes them where it can: a full disk or a folder that can't be used must not keep what is
held. It notes then why it went on without.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from remusnet.defaults import RUN_DIR, RUN_DIR_VARIABLE
from remusnet.errors import Conflict, InvalidInput, NotPermitted, RemusnetError, quoted
from remusnet.kernel.lock_files import is_locked, said
from remusnet.kernel.own_folder import (
    CHANGE_LOCK,
    NEW,
    WATCH_LOCK,
    OwnFolder,
    Untrusted,
    driver_lock_file,
)
from remusnet.plan.devices import check_device_name


def default_run_dir() -> Path:
    """$REMUSNET_RUN_DIR, or /run/remusnet. It appears with the first file that is put there."""
    return Path(os.environ.get(RUN_DIR_VARIABLE) or RUN_DIR)


def folder_error(folder: Path, error: OSError) -> RemusnetError:
    """What the user can do about ``error``, met in the run directory ``folder``, in one line."""
    what = f"{quoted(str(folder))}: {error.strerror or error}"
    if isinstance(error, Untrusted):
        return Conflict(what)
    if isinstance(error, PermissionError):
        return NotPermitted(f"may not use {quoted(str(folder))}: run it as root, or give --run-dir")
    return InvalidInput(what)


class Problems:
    """What an ending could not write, delete or lock on its way: it goes on by the kernel's marks.

    ``lines``: one for each problem, the same one once.
    """

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}

    @property
    def lines(self) -> tuple[str, ...]:
        """The problems, for the user."""
        return tuple(self._lines)

    def note(self, what: str, folder: Path, error: OSError) -> None:
        """Adds ``error``, met in ``folder``; ``what``: what was not done for it."""
        self._lines[f"{what}: {folder_error(folder, error)}"] = None


LONGEST_WAIT = 60.0
# Longer than `driver_of` takes to ask.
_DRIVERS_WAIT = 0.2
# Their writers have locks of their own, or none of ours.
_NOT_OURS = (f".xen{NEW}", f".state{NEW}", f".trial{NEW}")
TRIAL_FILES = (".trial", ".back")
"""How the names of the files end that say what is on trial (`remusnet.host.trial`)."""


class AtWork(Conflict):
    """Another remusnet has had the lock all the time: nothing else is in the way."""


@contextmanager
def change_lock(
    folder: Path, longest_wait: float = LONGEST_WAIT, problems: Problems | None = None
) -> Iterator[None]:
    """No other process that uses ``folder`` changes the kernel meanwhile.

    Waits for ``longest_wait`` seconds, and deletes what a killed writer has left of a receipt.
    ``problems``: an ending's; then it goes on without the lock where there can be none. Raises
    Conflict after the wait or for a folder that others can change, NotPermitted, or InvalidInput.
    """
    try:
        descriptor = _take(folder, CHANGE_LOCK, longest_wait, problems)
    except _Busy:
        who = said(str(folder / CHANGE_LOCK))
        raise AtWork(
            f"another remusnet{who} is at work, and was for all of {longest_wait:.3g} s; try again"
        ) from None
    if descriptor is None:
        yield
        return
    try:
        with suppress(OSError):
            _clear(folder)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def driver_lock(folder: Path, buffer: str, problems: Problems | None = None) -> Iterator[None]:
    """This process drives the plug of ``buffer`` meanwhile: `remusnet remove` is a conflict.

    Each process that sends BUFFER and RELEASE to a plug takes it. ``problems``: as of
    `change_lock`. Raises Conflict where another process has it, and as `change_lock` does.
    """
    name = driver_lock_name(buffer)
    try:
        descriptor = _take(folder, name, _DRIVERS_WAIT, problems)
    except _Busy:
        raise Conflict(f"{buffer} is driven already{said(str(folder / name))}") from None
    if descriptor is None:
        yield
        return
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def watch_lock(folder: Path) -> Iterator[None]:
    """No other process watches meanwhile. Raises Conflict, NotPermitted, or InvalidInput."""
    try:
        descriptor = _take(folder, WATCH_LOCK, 0, None)
    except _Busy:
        raise Conflict(
            f"another remusnet watch{said(str(folder / WATCH_LOCK))} is at work already"
        ) from None
    assert descriptor is not None
    try:
        yield
    finally:
        os.close(descriptor)


def driver_of(folder: Path, buffer: str) -> str:
    """The process that has the driver's lock of ``buffer``, as in " by process 4711", or empty."""
    return locked_by(folder, driver_lock_name(buffer))


def locked_by(folder: Path, name: str) -> str:
    """The process that has the lock ``name``, as in " by process 4711"; empty where none has it.

    Also in a folder that others can change: remusnet had better leave a driven plug alone.
    """
    path = str(folder / name)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except PermissionError:
        return (said(path) or " by another process") if is_locked(path) else ""
    except OSError:
        return ""
    try:
        # Shared: two processes that only ask don't find each other.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return said(path) or " by another process"
    finally:
        os.close(descriptor)
    return ""


def last_driver(folder: Path, buffer: str) -> str:
    """The number of the process that has driven ``buffer`` last, empty if none has."""
    try:
        number = (folder / driver_lock_name(buffer)).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
    return number if number.isdecimal() else ""


def driver_lock_name(buffer: str) -> str:
    """What the lock file of the driver of ``buffer`` is called."""
    return driver_lock_file(check_device_name(buffer))


def may_have_trials(folder: Path) -> bool:
    """Whether anything looks as if it were on trial: only then `remusnet.host.trial` is needed."""
    try:
        return any(name.endswith(TRIAL_FILES) for name in os.listdir(folder))
    except OSError:
        return False  # no trial was ever begun there; or nothing there can be believed


class _Busy(Exception):
    """Another process has had the lock all the time."""


def _take(folder: Path, name: str, longest_wait: float, problems: Problems | None) -> int | None:
    """The lock's descriptor; None for an ending that goes on without. Raises _Busy."""
    try:
        with OwnFolder(str(folder), make=True) as opened:
            descriptor = opened.lock(name, time.monotonic() + longest_wait)
    except OSError as error:
        if problems is None:
            raise folder_error(folder, error) from error
        problems.note("went on without a lock", folder, error)
        return None
    if descriptor is None:
        raise _Busy
    return descriptor


def _clear(folder: Path) -> None:
    """Deletes half-written receipts: this process has the lock, and no other may write one."""
    with OwnFolder(str(folder)) as opened:
        for name in opened.names():
            if name.endswith(NEW) and not name.endswith(_NOT_OURS):
                opened.delete(name)
