"""Whose a netlink port is: the sender of an event, as the kernel numbers its socket.

A socket's port is its process's number where that was free (netlink_autobind,
net/netlink/af_netlink.c), or what the process has chosen: libnl and pyroute2 add a count above bit
22. Else it is a negative number that says nothing, and the socket has to be found by its inode.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_SOCKETS = Path("/proc/thread-self/net/netlink")
_NETLINK_ROUTE = "0"
_NUMBER_BITS = 22
_STATE_AFTER = ") "


def open_ports() -> dict[int, int]:
    """The inodes of the routing netlink's sockets in this network namespace, by their ports."""
    found = {}
    try:
        lines = _SOCKETS.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return {}
    for line in lines:
        words = line.split()
        if words[1] == _NETLINK_ROUTE and words[2] != "0":
            found[int(words[2])] = int(words[9])
    return found


def process_of(port: int, inode: int | None) -> int | None:
    """The number of the process that has the socket; None where /proc doesn't tell.

    ``inode``: of the socket, None where it is closed.
    """
    likely = port & (1 << _NUMBER_BITS) - 1 if port < 1 << 31 else 0
    if inode is None:
        return likely if likely and os.path.exists(f"/proc/{likely}") else None
    if likely and _has(likely, inode) is not False:
        return likely
    return next((number for number in _processes() if _has(number, inode)), None)


def command_of(process: int) -> str:
    """What a process is called, empty where it has ended."""
    try:
        name = Path(f"/proc/{process}/comm").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "".join(each if each.isprintable() else "?" for each in name.strip())


def is_stopped(process: int) -> bool:
    """Whether a signal or a debugger has stopped it (proc(5): state T or t)."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return text.rpartition(_STATE_AFTER)[2][:1] in ("T", "t")


def _has(process: int, inode: int) -> bool | None:
    """Whether a process has the socket ``inode`` open; None where it is there, but may not be
    looked at.
    """
    wanted = f"socket:[{inode}]"
    folder = f"/proc/{process}/fd"
    try:
        names = os.listdir(folder)
    except PermissionError:
        return None
    except OSError:
        return False
    for name in names:
        try:
            if os.readlink(f"{folder}/{name}") == wanted:
                return True
        except OSError:
            continue  # closed meanwhile
    return False


def _processes() -> Iterator[int]:
    for name in os.listdir("/proc"):
        if name.isdecimal():
            yield int(name)
