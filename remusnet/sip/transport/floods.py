"""Floods: who sends more than one address may, and more than the server takes.

No client is limited as long as the server keeps up. Where what an address has sent waits for longer
than ``behind_s`` for some time, it is kept out for ``block_s``, if it sends more than ``requests``
a second. Others don't wait for it meanwhile (`remusnet.sip.transport.intake`).

Rates are of arrivals, not of handling: a server that was stopped for a second finds a second's
messages at once, and must not take them for a flood.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

# So long it must be behind: a pause that is over does no harm.
_FOR_S = 0.03
# Arrivals of datagrams are known to the microsecond. Those of a stream wait in the kernel, unseen.
_DATAGRAMS_S = 0.1
_STREAMS_S = 1.0
# A stream that has more than is taken for such a share of a second sends more than it may. Not all
# of it: its sender is not always awake where the machine is busy.
_INSISTS = 0.5
INSISTS_S = 1.0
_V6_PREFIX = 64


@dataclass(frozen=True, slots=True)
class FloodLimits:
    """What one address may send. ``trusted``: networks that are never kept out (trunks)."""

    requests: int = 500
    behind_s: float = 0.02
    block_s: float = 30.0
    trusted: tuple[IPv4Network | IPv6Network, ...] = ()

    def trusts(self, source: str) -> bool:
        """Whether ``source`` (see `source_of`) is trusted."""
        network = ip_network(source)
        return any(
            network.version == each.version and network.overlaps(each) for each in self.trusted
        )


@lru_cache(maxsize=4096)
def source_of(host: str) -> str:
    """What is counted and kept out: an IPv4 address; an IPv6 address's /64, which is one host's.

    >>> source_of("192.0.2.1"), source_of("2001:db8::17")
    ('192.0.2.1', '2001:db8::/64')
    """
    if ":" not in host:
        return host
    address = ip_address(host.partition("%")[0])
    return str(ip_network((address, _V6_PREFIX), strict=False))


class Window:
    """How much came of each source in the last ``width`` to twice ``width`` seconds."""

    def __init__(self, width: float) -> None:
        self._width = width
        self._begun = self._latest = float("-inf")
        self._before: dict[str, int] = {}
        self._current: dict[str, int] = {}

    def at(self, arrived: float) -> dict[str, int]:
        """The counts to add to, for what arrived at that time (s)."""
        self._latest = arrived
        age = arrived - self._begun
        if age >= self._width:
            self._before = self._current if age < 2 * self._width else {}
            self._current = {}
            # Not `arrived`, where windows follow each other: what is between them counts, too.
            self._begun = self._begun + self._width if age < 2 * self._width else arrived
        return self._current

    def rate(self, source: str) -> float:
        """How much of ``source`` came a second, up to the last arrival of anyone."""
        count = self._before.get(source, 0) + self._current.get(source, 0)
        if not count:
            return 0.0
        span = max(self._latest - self._begun, 0.0) + (self._width if self._before else 0.0)
        return count / max(span, self._width)


class Floods:
    """The sources kept out. ``now``: a clock that only grows, s. ``on_block``: called for each."""

    def __init__(
        self,
        limits: FloodLimits,
        now: Callable[[], float],
        on_block: Callable[[str, float, str], None],
    ) -> None:
        self.limits = limits
        self.blocked: dict[str, float] = {}  # until when
        self.blocks = 0  # how often one was kept out
        self.datagrams = Window(_DATAGRAMS_S)
        self.streams = Window(_STREAMS_S)
        self._now = now
        self._on_block = on_block
        self._behind: dict[str, float] = {}  # since when what a source has sent waits for too long

    def waited(self, source: str, seconds: float) -> None:
        """Something of ``source`` has waited for so long, and more of it waits."""
        if seconds <= self.limits.behind_s:
            self.caught_up(source)
            return
        now = self._now()
        if now - self._behind.setdefault(source, now) < _FOR_S:
            return
        rate = self.datagrams.rate(source) + self.streams.rate(source)
        why = f"the server is {seconds * 1000:.0f} ms behind with them"
        if rate > self.limits.requests and self._block(source, rate, why):
            # Others may have waited for this one.
            self._behind.clear()
        else:
            self._behind[source] = now

    def caught_up(self, source: str) -> None:
        """What ``source`` has sent doesn't wait for too long."""
        if self._behind:
            self._behind.pop(source, None)

    def insists(self, source: str, share: float) -> None:
        """In how much of the last `INSISTS_S` a stream of ``source`` had more than was taken.

        It sends no faster than it is read: what is handled of it says less than it would send.
        """
        if share < _INSISTS or source in self.blocked:
            return
        rate = self.streams.rate(source)
        if rate > self.limits.requests / 4:
            self._block(source, rate, f"had more than was taken for {share:.0%} of a second")

    def _block(self, source: str, rate: float, why: str) -> bool:
        if source in self.blocked or self.limits.trusts(source):
            return False
        self.blocked[source] = self._now() + self.limits.block_s
        self.blocks += 1
        self._on_block(source, rate, why)
        return True

    def lift(self) -> list[str]:
        """Let those in again whose time is over."""
        now = self._now()
        over = [source for source, until in self.blocked.items() if until <= now]
        for source in over:
            del self.blocked[source]
        return over
