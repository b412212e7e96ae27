"""What a server is started with, whether by options or by sip.toml."""

from __future__ import annotations

from dataclasses import dataclass, field

from remusnet.sip.flows import Endpoint
from remusnet.sip.presets import RESILIENT, Preset
from remusnet.sip.rejuvenation import Rejuvenation
from remusnet.sip.settings import Settings
from remusnet.sip.transport.connection import Limits
from remusnet.sip.transport.floods import FloodLimits
from remusnet.sip.transport.sockets import Listener


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files: the server's certificate chain and key; ``ca``: whom to believe (None: system).

    ``verify_clients``: clients that connect must have a certificate of ``ca``'s.
    """

    certificate: str
    key: str
    ca: str | None = None
    verify_clients: bool = False


@dataclass(frozen=True, slots=True)
class Config:
    """A server. ``store``: as `remusnet.sip.store.store_url` reads it."""

    listeners: tuple[Listener, ...]
    domains: tuple[str, ...]
    store: str
    settings: Settings
    t1: float = 0.5
    preset: Preset = RESILIENT
    tls: Tls | None = None
    allow_faults: bool = False
    events: str | None = None
    metrics: Endpoint | None = None
    control: str | None = None
    limits: Limits = field(default_factory=Limits)
    flood: FloodLimits = field(default_factory=FloodLimits)
    max_transactions: int = 100_000
    max_calls: int = 50_000
    remembered: int = 100_000
    rejuvenation: tuple[Rejuvenation, ...] = ()
