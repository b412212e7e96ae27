"""Opening what a user names to be read: a file, or a pipe that another program writes to."""

from __future__ import annotations

import errno
import os
import select
import stat
import time
from io import FileIO
from pathlib import Path

from remusnet.errors import quoted

LONGEST_WAIT_S = 1.0
"""For the writer of a named pipe: a shell starts both ends at once."""
_LOOK_S = 0.02


def label(source: str | Path) -> str:
    """How messages name ``source``: its path in quotes, or "standard input" for ``"-"``."""
    return "standard input" if source == "-" else quoted(str(source))


def open_input(path: str | Path) -> tuple[FileIO, bytes]:
    """``path`` to be read without a buffer, and what has been read of it already.

    A pipe that this process was given (``/dev/fd/63``, as a shell's ``<(...)`` names it) is taken
    as it is. A named pipe has to have a writer within `LONGEST_WAIT_S`: else the user couldn't
    tell why the command hangs. A device has to have something to read by then, but for one that is
    our standard input as well: the user who types there knows that we wait.

    Raises OSError, whose ``strerror`` says what is wrong, or ValueError for a path that no file
    can have.
    """
    # Without O_NONBLOCK the open would wait for a writer, however long.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    descriptor = os.open(path, flags)
    try:
        first = b""
        found = os.fstat(descriptor)
        if stat.S_ISFIFO(found.st_mode) and not _given(descriptor):
            first = _first(descriptor)
        elif stat.S_ISCHR(found.st_mode) and not _is_standard_input(found):
            _wait(descriptor)
        os.set_blocking(descriptor, True)
        return FileIO(descriptor, "rb"), first
    except BaseException:
        os.close(descriptor)
        raise


def _is_standard_input(found: os.stat_result) -> bool:
    try:
        given = os.fstat(0)
    except OSError:
        return False
    return (given.st_dev, given.st_ino) == (found.st_dev, found.st_ino)


def _given(descriptor: int) -> bool:
    """Whether a pipe has no name: then only the process that gave it to us can have it."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}").startswith("pipe:")
    except OSError:
        return False


def _wait(descriptor: int) -> None:
    """Raises OSError where a device has nothing to read in time, not even an end."""
    looks = select.poll()
    looks.register(descriptor, select.POLLIN)
    if not looks.poll(LONGEST_WAIT_S * 1000):
        raise OSError(errno.EINVAL, f"a device that has nothing to read (for {LONGEST_WAIT_S} s)")


def _first(descriptor: int) -> bytes:
    """The first byte of a named pipe, nothing where its writer has not written any yet.

    Raises OSError where no process has it open for writing in time.
    """
    deadline = time.monotonic() + LONGEST_WAIT_S
    looks = select.poll()
    looks.register(descriptor, select.POLLIN)
    while True:
        try:
            first = os.read(descriptor, 1)
        except BlockingIOError:
            return b""  # a writer is there
        # The end: without a hang-up no writer has come yet; with one, it has come and gone.
        if first or any(event & select.POLLHUP for _, event in looks.poll(0)):
            return first
        if time.monotonic() > deadline:
            raise OSError(
                errno.EINVAL, f"a named pipe that nobody writes to (for {LONGEST_WAIT_S} s)"
            )
        time.sleep(_LOOK_S)
