"""The supervision tree, declared in one place (Hlaváček 2014, Fig. 16).

    /                        the server
      registrar              answers REGISTER
      location               reads and writes bindings
      proxy                  routes requests: an actor a session below it
      transport
        sender
        coder
        transactions         an actor a transaction below it
        receiver             last: what it passes on finds the others there

Start order is the order of the list, stop order its reverse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from remusnet.actors import Actor, Spec
from remusnet.actors.actor import Handled
from remusnet.sip.presets import Preset
from remusnet.sip.transport.coder import Coder
from remusnet.sip.transport.receiver import Receiver
from remusnet.sip.transport.sender import Sender
from remusnet.sip.transport.sockets import Listener
from remusnet.sip.transport.table import Table
from remusnet.sip.transport.transactions import Transactions
from remusnet.sip.wiring import Wiring

# So many messages may wait; then requests get 503, and datagrams are left to their sender's timers.
MAILBOX = 10_000


@dataclass(frozen=True, slots=True)
class Cores:
    """How the actors above the transport are made; each returns a new instance."""

    registrar: Callable[[], Actor]
    location: Callable[[], Actor]
    proxy: Callable[[], Actor]


class TransportSupervisor(Actor):
    """Has four children, and no task of its own."""


class VolatileReceiver(Receiver):
    """Opens the sockets itself, anew after each restart: addresses may have changed (5.4)."""

    def __init__(self, wiring: Wiring, listeners: list[Listener]) -> None:
        super().__init__(wiring)
        self._listeners = listeners

    def started(self) -> Handled:
        """Open them."""
        super().started()
        return self._open()

    async def _open(self) -> None:
        if not self._wiring.sockets.bound:
            await self._wiring.sockets.open(self._listeners)

    def restarting(self, error: Exception | None) -> None:
        """Close them; the next instance binds the same ports."""
        del error
        self._listeners[:] = self._wiring.bound or self._listeners
        self._wiring.bound_before = list(self._listeners)
        self._wiring.sockets.close()


class VolatileTransactions(Transactions):
    """Has the table itself: it goes with the instance, and its children are stopped (5.3)."""

    def restarting(self, error: Exception | None) -> None:
        """The next instance begins with none."""
        del error
        self._wiring.table = Table()


def specs(wiring: Wiring, cores: Cores, preset: Preset, listeners: list[Listener]) -> list[Spec]:
    """The tree's declared part, top level first."""

    def receiver() -> Actor:
        return VolatileReceiver(wiring, listeners) if preset.volatile else Receiver(wiring)

    def transactions() -> Actor:
        kind = VolatileTransactions if preset.volatile else Transactions
        return kind(wiring, preset.leaves)

    transport = Spec(
        "transport",
        TransportSupervisor,
        strategy=preset.routers,
        children=(
            Spec("sender", lambda: Sender(wiring), strategy=preset.leaves),
            Spec("coder", lambda: Coder(wiring), strategy=preset.resumes),
            Spec("transactions", transactions, strategy=preset.routers),
            Spec("receiver", receiver, strategy=preset.leaves, mailbox=MAILBOX),
        ),
    )
    bounded = Spec("core", Actor, mailbox=MAILBOX)
    return [
        replace(bounded, name="registrar", make=cores.registrar, strategy=preset.resumes),
        replace(bounded, name="location", make=cores.location, strategy=preset.routers),
        replace(bounded, name="proxy", make=cores.proxy, strategy=preset.routers),
        transport,
    ]
