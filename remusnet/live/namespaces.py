"""Namespaces of the kernel: entered, and made without a name, so that they go with their processes.

By clone flags of linux/sched.h; Python's own functions for it are newer than what is supported.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from remusnet.errors import NotPermitted

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER, _PR_SET_TIMERSLACK = 1, 36, 29  # linux/prctl.h

_libc = ctypes.CDLL(None, use_errno=True)


def network_of(process: int | None = None) -> int:
    """A descriptor of the network namespace of ``process``; None: of this thread."""
    path = "/proc/thread-self/ns/net" if process is None else f"/proc/{process}/ns/net"
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def leave_network() -> None:
    """This process goes on in a network namespace of its own. Raises NotPermitted."""
    if _libc.unshare(_CLONE_NEWNET):
        raise _refused("a network namespace")


def become_own_root() -> None:
    """This process is root in a user namespace of its own, and has a network namespace there.

    Outside it keeps its rights, and files are as they were. Raises NotPermitted.
    """
    user, group = os.geteuid(), os.getegid()
    if _libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET):
        raise _refused("a user namespace")
    try:
        for name, text in (
            ("setgroups", "deny"),  # user_namespaces(7): before gid_map, unless it is root's
            ("uid_map", f"0 {user} 1"),
            ("gid_map", f"0 {group} 1"),
        ):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    except OSError as error:
        raise NotPermitted(
            f"this machine's user namespaces can't be used ({error.strerror}): run it as root"
        ) from error


def _refused(what: str) -> NotPermitted:
    number = ctypes.get_errno()
    if number in (errno.EPERM, errno.EACCES):
        why = "this machine does not let you make it"
    else:
        why = os.strerror(number)
    return NotPermitted(f"no {what}: {why}; run it as root: sudo remusnet run ...")


def enter_network(descriptor: int) -> None:
    """This thread goes on in another network namespace. Raises OSError."""
    if _libc.setns(descriptor, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextmanager
def inside(descriptor: int) -> Iterator[None]:
    """Meanwhile this thread is in another network namespace. Raises OSError."""
    home = network_of()
    try:
        enter_network(descriptor)
        try:
            yield
        finally:
            enter_network(home)
    finally:
        os.close(home)


def die_with_parent(number: int, parent: int) -> None:
    """Signal ``number`` comes when the process that has started this one, ``parent``, ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(number), 0, 0, 0)
    if os.getppid() != parent:  # it has ended before it could be told
        os.kill(os.getpid(), number)


def adopt_orphans() -> None:
    """What this process's descendants leave behind becomes its child, as if it were init."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), 0, 0, 0)


def exact_timers() -> None:
    """Timers of this thread are as exact as the kernel can make them, instead of 50 us late."""
    _libc.prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(1), 0, 0, 0)
