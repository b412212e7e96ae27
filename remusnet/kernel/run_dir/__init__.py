"""The run directory: files that only root can change, and locks that end with their holder. Light.

What the files there are called, but for receipts: those are ``BUFFER.json``.
"""

from __future__ import annotations

CHANGE_LOCK = "lock"
"""Who has it may change the kernel."""


def driver_lock_file(buffer: str) -> str:
    """Who has its lock drives the plug of ``buffer``."""
    return f"driver-{buffer}.lock"


def record_file(buffer: str) -> str:
    """What the last driver has made of the plug of ``buffer``. Not .json: those are receipts."""
    return f"plug-{buffer}.state"
