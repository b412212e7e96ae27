"""Which process has the flock of a file. Light.

/proc/locks says it; the number in the file is a hint for where that can't tell, and is believed
only of a process that has the file open.
"""

from __future__ import annotations

import os


def is_locked(path: str) -> bool:
    """Whether a process has the lock of ``path``, without opening it; False for no file."""
    try:
        return bool(_lockers(os.stat(path, follow_symlinks=False)))
    except OSError:
        return False


def holder(path: str) -> int | None:
    """The process that has the lock of the file at ``path``; None where the kernel doesn't tell."""
    try:
        status = os.stat(path, follow_symlinks=False)
        for number in _lockers(status):
            if os.path.exists(f"/proc/{number}"):
                return number
        signed = _signed(path)
        return signed if signed is not None and _has_open(signed, status) else None
    except (OSError, ValueError):
        return None


def said(path: str) -> str:
    """The same for a message: " by process 4711", or empty."""
    number = holder(path)
    return "" if number is None else f" by process {number}"


def _lockers(status: os.stat_result) -> list[int]:
    """1: FLOCK  ADVISORY  WRITE 4711 00:1a:2345 0 EOF (proc_locks(5)); "->": it only waits."""
    where = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    found = []
    with open("/proc/locks", encoding="ascii", errors="replace") as file:
        for line in file:
            words = line.split()
            if len(words) > 5 and words[1] == "FLOCK" and words[5] == where:
                found.append(int(words[4]))
    return [number for number in found if number > 0]


def _signed(path: str) -> int | None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        text = os.pread(descriptor, 20, 0).strip()
    finally:
        os.close(descriptor)
    return int(text) if text.isdigit() else None


def _has_open(number: int, status: os.stat_result) -> bool:
    """Whether a process has the file open; False where it has ended, or we may not know."""
    folder = f"/proc/{number}/fd"
    for each in os.listdir(folder):
        try:
            if os.path.samestat(os.stat(f"{folder}/{each}"), status):
                return True
        except OSError:
            continue  # closed meanwhile
    return False
