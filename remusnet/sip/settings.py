"""What the server's cores are told: the part of sip.toml that says what is allowed."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

from remusnet.sip.flows import Endpoint, Transport

# RFC 8760, 2: the strongest stands first. Some phones can do with the first alone, or fail on one
# that they don't know.
DIGESTS = ("SHA-256", "MD5")


@dataclass(frozen=True, slots=True)
class Route:
    """Requests to ``domain`` go to ``remote`` over ``transport``, whatever DNS says."""

    domain: str
    transport: Transport
    remote: Endpoint
    name: str = ""  # whom a TLS certificate must be for


@dataclass(frozen=True, slots=True)
class Settings:
    """``authenticate``: users have to prove who they are. ``allow_from``: else, who may do what
    only users may. ``calls_from_outside``: whether strangers may call own users without it.
    ``digests``: the algorithms that users are asked for, and taken from. ``via_maddr``: whither a
    Via's maddr may aim responses. Times in seconds."""

    authenticate: bool = True
    allow_from: tuple[IPv4Network | IPv6Network, ...] = ()
    calls_from_outside: bool = True
    min_expires: int = 60
    max_expires: int = 86_400
    default_expires: int = 3_600
    record_route: bool = True
    routes: tuple[Route, ...] = ()
    use_dns: bool = True
    max_forks: int = 10
    max_breadth: int = 60
    digests: tuple[str, ...] = DIGESTS
    via_maddr: tuple[IPv4Network | IPv6Network, ...] = ()

    def trusts(self, host: str) -> bool:
        """Whether ``allow_from`` has the address ``host``."""
        address = ip_address(host)
        return any(address in network for network in self.allow_from)
