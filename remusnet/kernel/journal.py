"""What remusnet changes, told to the system's journal, structured. Light.

An entry is one datagram in journald's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): fields
that ``journalctl REMUSNET_VIF=vif1.0`` finds. Nothing waits for it, and nothing fails for it. What
others could have chosen (names, notes, a user's name) is escaped and cut, so an entry is one line a
field and never too large for a datagram.

docs/reference/journal.md lists the fields.
"""

from __future__ import annotations

import _socket  # as in remusnet.kernel.wire.netlink
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self

SOCKET = "/run/systemd/journal/socket"
MESSAGE_ID = "5b0c4f9d6f0f4a5b8f6f2b6a1d0e7c31"
"""Of every change: ``journalctl MESSAGE_ID=...`` finds them all."""
DONE, REFUSED, FAILED = "done", "refused", "failed"
"""Results. ``refused``: nothing was touched; ``failed``: it was taken back, or the text says."""

_PRIORITIES = {DONE: 6, REFUSED: 4, FAILED: 3}  # info, warning, err of syslog(3)
_LONGEST, _MOST_NAMES, _LONGEST_NAME = 1000, 64, 64
_NOBODY = 2**32 - 1  # of /proc/self/loginuid: no user has logged in

verbose = False
"""Whether entries go to standard error too: ``remusnet --verbose``."""
_causes: list[tuple[str, str]] = []
_own_id = ""


class because:  # noqa: N801 - reads as a statement: with because("repair")
    """Changes within it are ``action`` in the journal, whatever does them; with one ``number``,
    which finds all that belongs together.
    """

    def __init__(self, action: str, number: str = "") -> None:
        self._cause = (action, number or correlation())

    def __enter__(self) -> Self:
        _causes.append(self._cause)
        return self

    def __exit__(self, *_error: object) -> None:
        _causes.pop()


def correlation() -> str:
    """The number that entries of now have: of the cause, else of this process."""
    global _own_id  # noqa: PLW0603 - one for each process, made when it is needed
    if _causes:
        return _causes[-1][1]
    if not _own_id:
        _own_id = os.urandom(8).hex()
    return _own_id


def record(
    action: str,
    vifs: Iterable[str],
    *,
    result: str = DONE,
    buffers: Iterable[str] = (),
    policy: str = "",
    operations: int = 0,
    text: str = "",
) -> None:
    """Tells the journal of one change of ``vifs``; ``text``: why, or what else a person should
    know. ``operations``: how many were done. Within `because` that is the action, and this a step
    of it.
    """
    step, action = action, _causes[-1][0] if _causes else action
    names, devices = _names(vifs), _names(buffers)
    said = f": {_harmless(text)}" if text else ""
    by = f" ({step})" if step != action else ""
    under = f" (policy {_harmless(policy)}, {operations} operations)" if policy else ""
    fields = [
        ("MESSAGE", f"{action}{by} {', '.join(names) or 'nothing'}: {result}{under}{said}"),
        ("PRIORITY", str(_PRIORITIES[result])),
        ("MESSAGE_ID", MESSAGE_ID),
        ("SYSLOG_IDENTIFIER", "remusnet"),
        ("REMUSNET_ACTION", action),
        ("REMUSNET_STEP", step if step != action else ""),
        *(("REMUSNET_VIF", name) for name in names),
        *(("REMUSNET_BUFFER", name) for name in devices),
        ("REMUSNET_POLICY", _harmless(policy)),
        ("REMUSNET_OPERATIONS", str(operations)),
        ("REMUSNET_RESULT", result),
        ("REMUSNET_TEXT", _harmless(text)),
        ("REMUSNET_ID", correlation()),
        ("REMUSNET_WHO", _who()),
    ]
    _send("".join(f"{name}={value}\n" for name, value in fields if value).encode())
    if verbose and sys.stderr is not None:
        sys.stderr.write(f"remusnet: {fields[0][1]} [{correlation()}, {_who()}]\n")


def _send(entry: bytes) -> None:
    try:
        there = _socket.socket(
            _socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
        )
        try:
            there.sendto(entry, SOCKET)
        finally:
            there.close()
    except OSError:
        return  # a container, or a journal that takes no more: the change is done all the same


def _names(names: Iterable[str]) -> list[str]:
    found = [_harmless(name)[:_LONGEST_NAME] for name in names]
    more = len(found) - _MOST_NAMES
    return found if more <= 0 else [*found[:_MOST_NAMES], f"and {more} more"]


def _harmless(text: str) -> str:
    """One line of printable ASCII, cut where it is too long."""
    return "".join(_escaped(text[:_LONGEST]))[:_LONGEST]


def _escaped(text: str) -> Iterator[str]:
    for letter in text:
        plain = " " <= letter <= "~"
        yield letter if plain else letter.encode("unicode_escape").decode("ascii")


def _who() -> str:
    """The user behind this process: the one that logged in, and the one that it runs as. By number:
    names are looked up in databases that may be far away.
    """
    user = os.geteuid()
    try:
        with open("/proc/self/loginuid", encoding="ascii") as file:
            login = int(file.read())
    except (OSError, ValueError):
        login = _NOBODY
    name = os.environ.get("SUDO_USER", "")
    by = f" by sudo of {_harmless(name)[:_LONGEST_NAME]}" if name else ""
    logged_in = "" if login in (_NOBODY, user) else f", logged in as user {login}"
    return f"user {user}{by}{logged_in}, process {os.getpid()}"
