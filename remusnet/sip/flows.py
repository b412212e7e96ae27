"""Where a message came from and where one goes: transports, addresses, flows."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import Enum


class Transport(Enum):
    """How messages travel. ``via``: the word in a Via header (RFC 3261, 20.42)."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"

    @property
    def via(self) -> bytes:
        """As Via has it."""
        return self.value.upper().encode()

    @property
    def reliable(self) -> bool:
        """Whether the transport itself repeats what is lost."""
        return self is not Transport.UDP

    @property
    def port(self) -> int:
        """The port where none is named (19.1.2)."""
        return 5061 if self is Transport.TLS else 5060


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address and a port. IPv6 addresses stand without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{bracketed(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class Flow:
    """The way that a message came, and that a response goes back (RFC 5626's term).

    ``local`` is the listener's address; ``connection`` numbers the connection of a stream (0: UDP).
    A flow whose connection is gone leads nowhere: see `Target`.
    """

    transport: Transport
    local: Endpoint
    remote: Endpoint
    connection: int = 0


@dataclass(frozen=True, slots=True)
class Target:
    """Where a message goes: over ``flow`` if it still is there, else to ``remote``.

    ``remote`` None: nowhere else. ``name``: whom a TLS certificate must be for.
    """

    transport: Transport
    remote: Endpoint | None
    flow: Flow | None = None
    name: str = ""


def back(flow: Flow) -> Target:
    """The way back over a flow."""
    return Target(flow.transport, flow.remote, flow)


def bracketed(host: str) -> str:
    """An IPv6 address in brackets; everything else as it is."""
    return f"[{host}]" if ":" in host else host


def unbracketed(host: str) -> str:
    """An IPv6 reference without its brackets; everything else as it is."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def is_address(host: str) -> bool:
    """Whether ``host`` is an IP address and no name."""
    try:
        ipaddress.ip_address(unbracketed(host))
    except ValueError:
        return False
    return True
