"""The one door to other programs: an argument list, a reduced environment, a time limit. Light.

subprocess would do the same, but its import takes twice as long as a fresh Python
(`remusnet.host.netbuf`).
"""

from __future__ import annotations

import os
import select
import time

LONGEST_SECONDS = 10.0
_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_PIECE = 1 << 16
_SIGKILL = 9  # the module signal imports enum, which takes as long as Python to start


class NoSuchProgram(Exception):
    """It is in none of the directories where programs are."""


class TookTooLong(Exception):
    """It did not end in time, and was killed."""


def find(program: str) -> str | None:
    """The path of ``program``: on $PATH, or where a system has its programs; None if nowhere."""
    for folder in (*os.environ.get("PATH", "").split(":"), *_FOLDERS):
        # A relative directory would mean another program wherever we are started.
        path = f"{folder}/{program}"
        if folder.startswith("/") and os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
    return None


def run(program: str, *arguments: str, longest: float = LONGEST_SECONDS) -> tuple[int, str, str]:
    """Runs it: exit status (negative: killed by that signal), its output, and its error messages.

    ``longest``: seconds that it may take. Raises NoSuchProgram or TookTooLong.
    """
    path = find(program)
    if path is None:
        raise NoSuchProgram(program)
    deadline = time.monotonic() + longest
    out, out_end = os.pipe()
    errors, errors_end = os.pipe()
    try:
        child = os.posix_spawn(
            path,
            (path, *arguments),
            {"PATH": ":".join(_FOLDERS), "LC_ALL": "C"},
            file_actions=(
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, out_end, 1),
                (os.POSIX_SPAWN_DUP2, errors_end, 2),
            ),
        )
    finally:
        os.close(out_end)
        os.close(errors_end)
    try:
        said = _read_both((out, errors), deadline)
        if said is None or not _ends(child, deadline):
            os.kill(child, _SIGKILL)
            os.waitpid(child, 0)
            raise TookTooLong(f"{program} did not answer within {longest:g} s")
    finally:
        os.close(out)
        os.close(errors)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    printed, complained = (each.decode(errors="replace") for each in said)
    return status, printed, complained


def _read_both(pipes: tuple[int, int], deadline: float) -> tuple[bytes, bytes] | None:
    """What comes out of both until they are closed; None where the time is up before."""
    read: dict[int, list[bytes]] = {pipe: [] for pipe in pipes}
    waiting = select.poll()
    for pipe in pipes:
        waiting.register(pipe, select.POLLIN)
    open_ = set(pipes)
    while open_:
        ready = waiting.poll(max(0.0, deadline - time.monotonic()) * 1000)
        if not ready:
            return None
        for pipe, _ in ready:
            piece = os.read(pipe, _PIECE)
            if piece:
                read[pipe].append(piece)
            else:
                waiting.unregister(pipe)
                open_.discard(pipe)
    first, second = (b"".join(read[pipe]) for pipe in pipes)
    return first, second


def _ends(child: int, deadline: float) -> bool:
    """Whether it ends in time; leaves its exit status for waitpid."""
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.0005)
    return True
