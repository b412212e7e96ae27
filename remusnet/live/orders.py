"""The order for a live run: the program, the rhythm, the policy, and the hosts that may reach
it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from remusnet import defaults
from remusnet.errors import InvalidInput, quoted
from remusnet.policy.policy import Policy
from remusnet.schedule import Schedule

AUTO, KERNEL, USERSPACE = "auto", "kernel", "userspace"
PLUGS = (AUTO, KERNEL, USERSPACE)
LOCALHOST = IPv4Address("127.0.0.1")
OUTAGE_NS = 1_000_000_000
"""From the primary's death until the backup runs: an assumption, `--outage` says another."""
_PUBLISHED = re.compile(
    r"(?:(?P<address>[^:]*[^:0-9][^:]*):)?(?P<host>\d+)(?::(?P<guest>\d+))?/(?P<what>\w+)"
)
_LARGEST_PORT = 65535
_SMALLEST_PREFIX, _LARGEST_PREFIX = 8, 29


@dataclass(frozen=True, slots=True)
class Published:
    """A port of the host's ``address`` from which the program's port ``guest`` can be reached."""

    address: IPv4Address
    host: int
    guest: int
    transport: str

    def __str__(self) -> str:
        return f"{self.address}:{self.host}/{self.transport}"


def parse_published(text: str) -> Published:
    """``[ADDR:]HOST:GUEST/udp`` or ``PORT/tcp``. Raises InvalidInput.

    >>> str(parse_published("5060/udp"))
    '127.0.0.1:5060/udp'
    >>> parse_published("0.0.0.0:8080:80/tcp").guest
    80
    """
    found = _PUBLISHED.fullmatch(text)
    transport = found["what"].lower() if found else ""
    if not found or transport not in ("udp", "tcp"):
        raise InvalidInput(
            f"invalid --publish: {quoted(text)}; expected 5060/udp, 8080:80/tcp or "
            "0.0.0.0:8080:80/tcp"
        )
    host, guest = int(found["host"]), int(found["guest"] or found["host"])
    if not (1 <= host <= _LARGEST_PORT and 1 <= guest <= _LARGEST_PORT):
        raise InvalidInput(f"invalid --publish: {quoted(text)}; ports are 1 to {_LARGEST_PORT}")
    if found["address"] and not found["guest"]:
        raise InvalidInput(
            f"invalid --publish: {quoted(text)}; with an address it takes both ports: "
            f"{found['address']}:{host}:{host}/{transport}"
        )
    try:
        address = IPv4Address(found["address"]) if found["address"] else LOCALHOST
    except ValueError:
        raise InvalidInput(
            f"invalid --publish: {quoted(text)}; {quoted(found['address'])} is no IPv4 address"
        ) from None
    return Published(address, host, guest, transport)


def parse_subnet(text: str) -> IPv4Network:
    """``10.77.0.0/24``. Raises InvalidInput.

    >>> parse_subnet("10.77.0.0/24").prefixlen
    24
    """
    try:
        found = IPv4Network(text)
    except ValueError as error:
        raise InvalidInput(f"invalid --subnet: {quoted(text)}: {error}") from None
    if not _SMALLEST_PREFIX <= found.prefixlen <= _LARGEST_PREFIX:
        raise InvalidInput(
            f"invalid --subnet: {quoted(text)}; expected /{_SMALLEST_PREFIX} to "
            f"/{_LARGEST_PREFIX}, as 10.77.0.0/24"
        )
    return found


@dataclass(frozen=True, slots=True)
class RunOrder:
    """One live run. ``limit``: bytes of the plug. ``policy`` None: no checkpoints and no rules.

    ``subnet`` None: a free one. ``user`` None: who has called sudo, else who runs this.
    ``duration_ns``, ``fail_after_ns``: None for never; after ``outage_ns`` it goes on, unprotected.
    ``terminal``: its output goes through a terminal of its own, so that lines come at once.
    ``capture``: keep whole frames for that file.
    """

    command: tuple[str, ...]
    schedule: Schedule
    policy: Policy | None
    limit: int
    plug: str = AUTO
    classifier: str = defaults.AUTO
    published: tuple[Published, ...] = ()
    subnet: IPv4Network | None = None
    user: str | None = None
    duration_ns: int | None = None
    fail_after_ns: int | None = None
    outage_ns: int = OUTAGE_NS
    terminal: bool = False
    run_dir: Path = Path(defaults.RUN_DIR)

    def __post_init__(self) -> None:
        if not self.command:
            raise InvalidInput("what is to run? Give a command behind --")
        ports = [(each.address, each.host, each.transport) for each in self.published]
        twice = next((each for each in self.published if ports.count(_port(each)) > 1), None)
        if twice is not None:
            raise InvalidInput(f"--publish: {twice} is there twice")

    @property
    def policy_name(self) -> str:
        """The policy's name, for tables and files."""
        return "none" if self.policy is None else self.policy.name


def _port(each: Published) -> tuple[IPv4Address, int, str]:
    return each.address, each.host, each.transport


def filled(command: Sequence[str], address: IPv4Address) -> list[str]:
    """The command with the program's address in the place of each ``{address}``."""
    return [each.replace("{address}", str(address)) for each in command]
