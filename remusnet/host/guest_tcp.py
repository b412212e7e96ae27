"""What ``remusnet doctor`` says of TCP in protected guests: two settings that cost them much.

A Dom0 can't see its guests' settings: there doctor names them. Anywhere else (in a guest, or where
`remusnet run` keeps a program as a guest is kept) it reads this kernel's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from remusnet.host.doctor import is_xen_host
from remusnet.results.checks import Check, CheckKind, CheckState

_WHERE = "docs/how-to/tcp-in-a-guest.md"


@dataclass(frozen=True, slots=True)
class _Setting:
    """A file below the root that should say 0; ``set``: the command that does it."""

    what: str
    path: str
    why: str
    set: str


_SETTINGS = (
    _Setting(
        "TCP: no slow start after idle",
        "proc/sys/net/ipv4/tcp_slow_start_after_idle",
        "protected guests that answer with more than 14 kB on kept connections",
        "sysctl -w net.ipv4.tcp_slow_start_after_idle=0",
    ),
    _Setting(
        "TCP: no HyStart",
        "sys/module/tcp_cubic/parameters/hystart",
        "protected guests that send much at once: transfers may take three times as long",
        "echo 0 > /sys/module/tcp_cubic/parameters/hystart",
    ),
)


def check_guest_tcp(root: Path = Path("/")) -> list[Check]:
    """A line for each setting; `remusnet apply` needs none of them."""
    return list(_in_guests() if is_xen_host(root) else _here(root))


def _in_guests() -> Iterator[Check]:
    for each in _SETTINGS:
        yield _check(each, CheckState.UNKNOWN, "not to be seen from here", "in each guest")


def _here(root: Path) -> Iterator[Check]:
    for each in _SETTINGS:
        try:
            said = (root / each.path).read_text(encoding="ascii", errors="replace").strip()
        except OSError as error:
            # Without the module no connection uses CUBIC.
            found = f"/{each.path}: {error.strerror}"
            yield _check(each, CheckState.UNKNOWN, found, "in a protected guest")
            continue
        state = CheckState.OK if said == "0" else CheckState.MISSING
        yield _check(each, state, f"it is {said}", "in a protected guest")


def _check(setting: _Setting, state: CheckState, found: str, where: str) -> Check:
    mend = "" if state is CheckState.OK else f"{where}: {setting.set} ({_WHERE})"
    return Check(setting.what, CheckKind.TCP, state, found, setting.why, mend)
