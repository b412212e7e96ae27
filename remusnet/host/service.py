"""What a service tells the systemd that has started it (sd_notify(3)); nothing where none has."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

_NOTIFY, _WATCHDOG = "NOTIFY_SOCKET", "WATCHDOG_USEC"
_LONGEST_STATUS = 200


def ready(status: str) -> None:
    """The service is up; ``status`` is what ``systemctl status`` shows."""
    _notify(f"READY=1\nSTATUS={_line(status)}")


def tell_status(status: str) -> None:
    """What it does now."""
    _notify(f"STATUS={_line(status)}")


def alive() -> None:
    """It has not got stuck; to be said again within `watchdog_s`."""
    _notify("WATCHDOG=1")


def stopping() -> None:
    """It ends."""
    _notify("STOPPING=1")


def watchdog_s() -> float | None:
    """How often systemd wants to hear that it is `alive`: half of what WatchdogSec= says."""
    text = os.environ.get(_WATCHDOG, "")
    return int(text) / 2e6 if text.isdecimal() and int(text) else None


def _line(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text)[:_LONGEST_STATUS]


def _notify(text: str) -> None:
    where = os.environ.get(_NOTIFY, "")
    if not where.startswith(("/", "@")):
        return
    address = f"\0{where[1:]}" if where.startswith("@") else where
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.sendto(text.encode(), address)
