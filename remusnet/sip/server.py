"""The whole server: its tree, what outlives the tree's actors, its start and its end."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_network
from itertools import count

from remusnet.actors import DeadLetter, Event, System
from remusnet.errors import Conflict, NotPermitted, RemusnetError
from remusnet.sip.auth import Nonces
from remusnet.sip.config import Config
from remusnet.sip.flows import Flow
from remusnet.sip.location import Location, Locations
from remusnet.sip.mourning import mourn
from remusnet.sip.presets import Preset
from remusnet.sip.proxy import Calls, Proxy
from remusnet.sip.registrar import Registrar, Registrations
from remusnet.sip.rejuvenation import rejuvenate
from remusnet.sip.settings import Settings
from remusnet.sip.signals import Bytes
from remusnet.sip.steady import SteadyClock
from remusnet.sip.store import Store, StoreUnavailable
from remusnet.sip.timers import Timers
from remusnet.sip.tls import client_context, server_context
from remusnet.sip.transport.floods import FloodLimits
from remusnet.sip.transport.sockets import Sockets
from remusnet.sip.transport.table import Table
from remusnet.sip.tree import Cores, specs
from remusnet.sip.wiring import Wiring

DRAIN_S = 5.0
_GATHER_S = 0.025


@dataclass(slots=True)
class Holdings:
    """What the cores work on; under ``resilient`` it outlives them all."""

    locations: Locations
    registrations: Registrations
    calls: Calls


def holdings(settings: Settings, store: Store, now: Callable[[], float]) -> Holdings:
    """Empty ones."""
    nonces = Nonces(now)
    prefix, numbers = secrets.token_hex(4), count(1)
    calls = Calls(settings, store, nonces, unique=lambda: f"{prefix}{next(numbers)}")
    return Holdings(Locations(store), Registrations(store, nonces), calls)


def cores(wiring: Wiring, held: Holdings, preset: Preset) -> Cores:
    """The actors above the transport."""
    return Cores(
        registrar=lambda: Registrar(wiring, held.calls.settings, held.registrations),
        location=lambda: Location(wiring, held.locations),
        proxy=lambda: Proxy(wiring, held.calls, preset.leaves, volatile=preset.volatile),
    )


class Server:
    """A server that runs in this thread's asyncio loop."""

    def __init__(
        self,
        config: Config,
        *,
        on_event: Callable[[Event], None] | None = None,
        on_dead_letter: Callable[[DeadLetter], None] | None = None,
        tell: Callable[[str], None] = lambda _text: None,
    ) -> None:
        """``tell``: called with what its operator should know, a line each."""
        self.config = config
        self._tell = tell
        self._on_dead_letter = on_dead_letter
        self.draining = False
        tls = config.tls
        self.sockets = Sockets(
            self._heard,
            server_tls=None if tls is None else server_context(tls),
            client_tls=client_context(tls),
            limits=config.limits,
            flood_limits=flood_limits(config),
            work=self._work,
            tell=tell,
        )
        self.wiring = Wiring(
            timers=Timers(config.t1),
            domains=config.domains,
            sockets=self.sockets,
            table=Table(),
            max_transactions=config.max_transactions,
            via_maddr=config.settings.via_maddr,
        )
        self.store = Store(config.store)
        self.held = holdings(config.settings, self.store, asyncio.get_running_loop().time)
        self.held.locations.remembered = config.remembered
        self.held.locations.gather_s = _GATHER_S
        if not self.store.shared:
            # Servers that share a store have the time of day in common, and nothing else.
            clock = SteadyClock()
            self.wiring.wall = self.held.locations.wall = clock
            self.held.locations.steady = clock
        self.held.calls.most = config.max_calls
        self.system = System(
            on_event=on_event,
            on_dead_letter=self._dead,
            strategy=config.preset.top,
            clock_ns=time.monotonic_ns,
        )

    async def start(self) -> None:
        """Open the store and the sockets, then start the tree.

        Raises RemusnetError where one of them can't be had; nothing is left open then.
        """
        try:
            await self.store.open()
            self.held.locations.total = await self.store.count(self.wiring.wall())
        except StoreUnavailable as error:
            await self.store.close()
            raise Conflict(f"store {error}") from None
        self.held.locations.opened = True
        try:
            await self.sockets.open(list(self.config.listeners))
        except OSError as error:
            await self.store.close()
            raise _unbound(self.config, error) from None
        preset = self.config.preset
        listeners = list(self.sockets.bound)
        for spec in specs(self.wiring, cores(self.wiring, self.held, preset), preset, listeners):
            self.system.declare(spec)
        rejuvenate(self.system, self.config.rejuvenation, self._tell)

    async def stop(self) -> None:
        """End: no new calls, those transactions that are under way may end, for 5 s at most.

        After a failure beyond the top nothing drives them any more: it ends at once, so that a
        service manager can start it anew.
        """
        self.draining = True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DRAIN_S
        while self.system.failure is None and self._pending() and loop.time() < deadline:
            await asyncio.sleep(0.02)
        await self.system.stop()
        self.sockets.close()
        await self.store.close()

    @property
    def calls(self) -> int:
        """How many calls are up."""
        return self.held.calls.established

    async def reload(self, config: Config) -> str:
        """Take over what changes without a restart; returns the changes, in words.

        Addresses: new ones are bound before old ones are closed (5.4.3.3); connections and calls
        stay. Domains, routes and rules count for requests to come. Raises RemusnetError.
        """
        fixed = ("store", "tls", "preset", "t1", "limits", "metrics", "control", "events")
        left = [name for name in fixed if getattr(config, name) != getattr(self.config, name)]
        wanted = list(config.listeners)
        try:
            await self.sockets.rebind(wanted)
        except OSError as error:
            raise _unbound(config, error) from None
        self.wiring.domains = config.domains
        self.wiring.via_maddr = config.settings.via_maddr
        self.held.calls.settings = config.settings
        self.sockets.floods.limits = flood_limits(config)
        self.system.find("registrar").restart()
        self.config = replace(
            self.config,
            listeners=config.listeners,
            domains=config.domains,
            settings=config.settings,
            flood=config.flood,
        )
        return "taken over" + (f" (but for {', '.join(left)}: restart for that)" if left else "")

    @property
    def bindings(self) -> int:
        """How many bindings the store has; those that expired in the last minute may count."""
        return self.held.locations.total

    @property
    def listening(self) -> str:
        """``listening udp:127.0.0.1:5060 tcp:127.0.0.1:5060 domain example.org``."""
        places = " ".join(str(listener) for listener in self.sockets.bound)
        return f"listening {places} domain {' '.join(self.config.domains)}"

    def _pending(self) -> bool:
        """Whether a client waits for an answer of ours."""
        waiting = (
            entry.machine.state_name in ("trying", "proceeding", "calling")
            for table in (self.wiring.table.servers, self.wiring.table.clients)
            for entry in table.values()
        )
        return any(waiting)

    def _work(self) -> int:
        """How many messages between actors are to be handled."""
        return len(self.system.queue)

    def _heard(self, data: bytes, flow: Flow) -> None:
        receiver = self.wiring.receiver
        if receiver is not None:
            receiver.tell(Bytes(data, flow))

    def _dead(self, letter: DeadLetter) -> None:
        """Answers 500, not with silence, a request that no actor could handle in two tries."""
        mourn(letter, self.wiring, self.held.registrations, self.held.calls)
        if self._on_dead_letter is not None:
            self._on_dead_letter(letter)


def flood_limits(config: Config) -> FloodLimits:
    """Those of a configuration: whom its routes lead to, may send what it likes."""
    routes = tuple(ip_network(route.remote.host) for route in config.settings.routes)
    return replace(config.flood, trusted=(*config.flood.trusted, *routes))


def _unbound(config: Config, error: OSError) -> RemusnetError:
    wanted = " ".join(str(listener) for listener in config.listeners)
    text = f"cannot listen on {wanted}: {error.strerror or error}"
    return NotPermitted(text) if isinstance(error, PermissionError) else Conflict(text)
