"""A folder that only root (or this user) can change, and the files in it. Light.

remusnet believes what it reads there, and writes there as root. So it looks each time at the owner
of the open folder, and at who else may write there. It reaches each file through that descriptor:
what a path leads to can change, a descriptor can't. It follows no link. A file appears whole under
its name or not at all, and its mode is as it is said here, whatever the umask.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

FOLDER_MODE, FILE_MODE, LOCK_MODE = 0o755, 0o644, 0o600
NEW = ".new"
"""Behind the name of a file that is not whole yet."""
CHANGE_LOCK = "lock"
"""In the run directory: the process that has it may change the kernel."""
WATCH_LOCK, WATCH_RECORD = "watch.lock", "watch.state"
"""There: the process that has the lock watches, and writes what it has seen into the record."""
_OTHERS_WRITE = 0o022
_SETTLED_NS = 50_000_000
_POLL_SECONDS = 0.002
_DIGITS = 10


class Untrusted(OSError):
    """Others own the folder or a folder on the way to it, or may write there; says how."""


class OwnFolder:
    """The folder at ``path``; ``make``: where there is none, it and those above it are made.

    A context: leaving it closes the descriptor. Raises Untrusted, or OSError.
    """

    __slots__ = ("_descriptor", "path")

    def __init__(self, path: str, *, make: bool = False) -> None:
        self.path = path.rstrip("/") or "/"
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            if make:
                make_folder(self.path)
            self._descriptor = os.open(self.path, flags)
        except OSError:
            if os.path.islink(self.path):
                raise _untrusted(path, "a link is in its place: name the folder itself") from None
            raise
        try:
            _check(self.path, self._descriptor)
        except BaseException:
            os.close(self._descriptor)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self._descriptor)

    def names(self) -> list[str]:
        """The names of its files, in order."""
        return sorted(os.listdir(self._descriptor))

    def has(self, name: str) -> bool:
        """Whether there is anything called ``name``."""
        try:
            os.stat(name, dir_fd=self._descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def version(self, name: str) -> tuple[int, ...] | None:
        """What changes whenever the file ``name`` does, its rights too; None where it has changed
        so lately that the next change could look the same (times are those of the kernel's tick).
        """
        found = os.stat(name, dir_fd=self._descriptor, follow_symlinks=False)
        if abs(time.time_ns() - found.st_ctime_ns) < _SETTLED_NS:
            return None
        return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)

    def read(self, name: str, largest: int) -> bytes:
        """The first ``largest`` bytes of a file. Raises OSError: Untrusted where others may write
        it, ELOOP for a link.
        """
        # A FIFO or a device would keep us waiting.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        with open(os.open(name, flags, dir_fd=self._descriptor), "rb") as file:
            status = os.fstat(file.fileno())
            problem = writable_by_others(status)
            if problem:
                raise _untrusted(f"{self.path}/{name}", problem)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "not a file", f"{self.path}/{name}")
            return file.read(largest)

    def write(self, name: str, content: bytes) -> None:
        """Puts ``content`` in the place of the file ``name``, as one step."""
        replace_file(self._descriptor, name, content)

    def rename(self, old: str, new: str) -> bool:
        """Gives the file ``old`` another name, as one step; whether it was there."""
        try:
            os.rename(old, new, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        except FileNotFoundError:
            return False
        return True

    def delete(self, name: str) -> None:
        """Deletes the file ``name``, and what a killed writer has left of it; if they are there."""
        _unlink(self._descriptor, name)
        _unlink(self._descriptor, name + NEW)

    def open_lock(self, name: str) -> int:
        """A descriptor of the lock file ``name``, which is made where it is not there.

        Others may not open it: a process that can open a file can lock it.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, LOCK_MODE, dir_fd=self._descriptor)
        try:
            if stat.S_IMODE(os.fstat(descriptor).st_mode) != LOCK_MODE:
                os.fchmod(descriptor, LOCK_MODE)  # of an older version, or made by hand
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def lock(self, name: str, deadline: float) -> int | None:
        """A descriptor of the lock file ``name`` with its flock, signed by this process; closing it
        gives up the lock. None where another process had it until ``deadline`` (time.monotonic).
        """
        descriptor = self.open_lock(name)
        try:
            if wait_for_lock(descriptor, deadline):
                sign(descriptor)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None


def driver_lock_file(buffer: str) -> str:
    """The file in the run directory whose lock the driver of the plug of ``buffer`` has."""
    return f"driver-{buffer}.lock"


def record_file(buffer: str) -> str:
    """The file in the run directory with what the last driver has made of ``buffer``'s plug."""
    return f"plug-{buffer}.state"  # not .json: those are receipts


def wait_for_lock(descriptor: int, deadline: float) -> bool:
    """Whether this process got the flock of a file before ``deadline`` (time.monotonic).

    The kernel drops it with the process, however that ends. Raises OSError.
    """
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        else:
            return True


def sign(descriptor: int) -> None:
    """Leaves this process's number in a lock file, where that can be done."""
    try:
        # Always as long: over an old number it needs no space on a full disk.
        os.pwrite(descriptor, f"{os.getpid():<{_DIGITS}}\n".encode(), 0)
    except OSError:
        return


def replace_file(
    folder: int,
    name: str,
    content: bytes,
    *,
    mode: int = FILE_MODE,
    owner: tuple[int, int] | None = None,
) -> None:
    """Puts ``content`` in the place of the file ``name`` in the open ``folder``, as one step: it is
    on the disk before it has its name. Of ``owner`` (user and group), else of this process.

    Raises OSError; then the old file is there, and nothing else.
    """
    new = name + NEW
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(new, flags, LOCK_MODE, dir_fd=folder)
    except FileExistsError:  # its writer was killed
        os.unlink(new, dir_fd=folder)
        descriptor = os.open(new, flags, LOCK_MODE, dir_fd=folder)
    try:
        try:
            if owner is not None:
                os.fchown(descriptor, *owner)
            os.fchmod(descriptor, mode)
            while content:
                content = content[os.write(descriptor, content) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(new, name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)
    except BaseException:
        _unlink(folder, new)
        raise


def make_folder(path: str) -> None:
    """Makes the folder and those above it. Raises OSError."""
    try:
        os.mkdir(path, FOLDER_MODE)
    except FileExistsError:
        return
    except FileNotFoundError:
        above = os.path.dirname(path)
        if not above:
            raise
        make_folder(above)
        os.mkdir(path, FOLDER_MODE)
    os.chmod(path, FOLDER_MODE)


def writable_by_others(status: os.stat_result) -> str:
    """Who else may change what ``status`` is of, as in "others may write it", or empty.

    In a folder with the sticky bit others may make files, but not touch those of other users.
    """
    if status.st_uid not in (0, os.geteuid()):
        return f"it belongs to user {status.st_uid}"
    if status.st_mode & _OTHERS_WRITE:
        return f"others may write it (mode {stat.S_IMODE(status.st_mode):04o})"
    return ""


def _unlink(folder: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return


def _check(path: str, folder: int) -> None:
    problem = writable_by_others(os.fstat(folder))
    if problem:
        raise _untrusted(path, f"{problem}: only root may; chown and chmod it, or name another")
    top = os.stat("/")
    # In a user namespace the owners outside can't be told apart; one of them owns /.
    owners = (0, os.geteuid(), top.st_uid)
    # By "..", not by the path: those that the open folder really is in, whatever links led there.
    above = ".."
    while True:
        found = os.stat(above, dir_fd=folder)
        sticky = found.st_mode & stat.S_ISVTX
        if found.st_uid not in owners or (found.st_mode & _OTHERS_WRITE and not sticky):
            name = os.path.realpath(f"{os.path.realpath(path)}/{above}")
            raise _untrusted(
                path, f"others may put another in its place: {name} is not root's alone"
            )
        if os.path.samestat(found, top):
            return
        above += "/.."


def _untrusted(path: str, why: str) -> Untrusted:
    return Untrusted(errno.EPERM, why, path)
