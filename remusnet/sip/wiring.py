"""Each actor of the server finds the others here.

An actor enters itself when it starts, so that after a restart by new references (Hlaváček 2014,
5.3) no actor talks to one that is gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from remusnet.actors import Cell
from remusnet.sip.flows import Endpoint, Transport
from remusnet.sip.message.uri import Uri
from remusnet.sip.timers import Timers
from remusnet.sip.transport.sockets import Listener, Sockets
from remusnet.sip.transport.table import Networks, Table


@dataclass(slots=True)
class Counts:
    """What the server has seen, by name; read by ``status`` and by metrics."""

    requests: dict[str, int] = field(default_factory=dict)  # by method, as received
    responses: dict[str, int] = field(default_factory=dict)  # by status, as sent
    malformed: int = 0
    stray: int = 0  # responses to nothing that this server has sent
    overload: int = 0  # requests answered 503


def count(counter: dict[str, int], name: str) -> None:
    """One more of ``name``; a stranger can't invent more than a hundred names."""
    if name not in counter and len(counter) >= 100:
        name = "other"
    counter[name] = counter.get(name, 0) + 1


@dataclass(slots=True)
class Wiring:
    """The server's actors, and what outlives them. ``own``: addresses that are this server's."""

    timers: Timers
    domains: tuple[str, ...]  # the first is also that of the server's own addresses
    sockets: Sockets
    table: Table
    counts: Counts = field(default_factory=Counts)
    wall: Callable[[], float] = time.time  # the wall clock, s
    max_transactions: int = 100_000
    via_maddr: Networks = ()  # whither a Via's maddr may aim responses
    bound_before: list[Listener] = field(default_factory=list)  # while sockets are opened anew
    receiver: Cell | None = None
    coder: Cell | None = None
    sender: Cell | None = None
    transactions: Cell | None = None
    registrar: Cell | None = None
    location: Cell | None = None
    proxy: Cell | None = None

    @property
    def bound(self) -> list[Listener]:
        """Where this server listens, or is about to listen again."""
        return self.sockets.bound or self.bound_before

    def own_endpoint(self, transport: Transport, remote: Endpoint | None = None) -> Endpoint:
        """The address to put into Via and Record-Route, of the family of ``remote``."""
        is_v6 = remote is not None and ":" in remote.host
        bound = [listener for listener in self.bound if listener.transport is transport]
        fitting = [found for found in bound if (":" in found.endpoint.host) == is_v6]
        found = (fitting or bound or self.bound)[0]
        return found.endpoint

    def domain_of(self, uri: Uri) -> str:
        """The domain that a URI of this server is in: its addresses are in the first."""
        return uri.host if uri.host in self.domains else self.domains[0]

    def aor(self, uri: Uri) -> bytes:
        """The address of record of a URI of this server (10.3, step 5): ``user@domain``."""
        return (uri.user or b"") + b"@" + self.domain_of(uri).encode()

    def listens_at(self, host: str) -> bool:
        """Whether a listener has the address ``host``."""
        return any(listener.endpoint.host == host for listener in self.bound)

    def is_own(self, host: str, port: int, transport: Transport | None = None) -> bool:
        """Whether ``host`` and ``port`` (0: none named) are one of the listeners' addresses."""
        return any(
            listener.endpoint.host == host
            and listener.endpoint.port == (port or listener.transport.port)
            and (transport is None or listener.transport is transport)
            for listener in self.bound
        )
