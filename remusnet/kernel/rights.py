"""Whether this process may change network devices at all."""

from __future__ import annotations

from pathlib import Path

from remusnet.errors import NotPermitted

_CAP_NET_ADMIN = 12  # linux/capability.h


def require_rights(what: str) -> None:
    """Raises NotPermitted where the process lacks CAP_NET_ADMIN."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff" and not int(value, 16) >> _CAP_NET_ADMIN & 1:
            raise NotPermitted(f"only root may {what}: run it with sudo")
