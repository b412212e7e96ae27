"""A server's configuration from the command line's options, alone or over a file's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from remusnet.errors import InvalidInput
from remusnet.sip.config import Config, Tls
from remusnet.sip.config_file import (
    is_loopback,
    parse_digest,
    parse_domain,
    parse_endpoint,
    parse_listener,
    parse_network,
)
from remusnet.sip.flows import Transport
from remusnet.sip.presets import preset
from remusnet.sip.settings import Settings
from remusnet.units import parse_duration

_DEFAULT_LISTENERS = ("udp:127.0.0.1:5060", "tcp:127.0.0.1:5060")
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Options:
    """What ``remusnet sip serve`` was given, as text; None and empty: nothing was said."""

    listen: Sequence[str] = ()
    domains: Sequence[str] = ()
    store: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    no_auth: bool = False
    allow_from: Sequence[str] = ()
    min_expires: str | None = None
    t1: str | None = None
    supervision: str | None = None
    allow_faults: bool = False
    events: str | None = None
    metrics: str | None = None
    digests: Sequence[str] = ()


def configured(base: Config | None, options: Options) -> Config:
    """``base`` (None: the defaults) with what the options say. Raises InvalidInput."""
    if base is None:
        listeners = tuple(parse_listener(text) for text in _DEFAULT_LISTENERS)
        base = Config(listeners, ("localhost",), "sqlite:remusnet-sip.db", Settings())
    config = replace(
        base,
        listeners=tuple(parse_listener(text) for text in options.listen) or base.listeners,
        domains=tuple(parse_domain(text) for text in options.domains) or base.domains,
        settings=_settings(base.settings, options),
        tls=_tls(options) or base.tls,
        store=options.store or base.store,
        events=options.events or base.events,
        allow_faults=options.allow_faults or base.allow_faults,
    )
    if options.t1:
        config = replace(config, t1=_t1(options.t1))
    if options.metrics:
        config = replace(config, metrics=parse_endpoint(options.metrics))
    if options.supervision:
        config = replace(config, preset=preset(options.supervision))
    _check(config)
    return config


def _settings(base: Settings, options: Options) -> Settings:
    settings = replace(
        base,
        authenticate=base.authenticate and not options.no_auth,
        allow_from=tuple(parse_network(text) for text in options.allow_from) or base.allow_from,
    )
    if options.digests:
        settings = replace(settings, digests=tuple(map(parse_digest, options.digests)))
    if options.min_expires:
        seconds = parse_duration(options.min_expires) // _NS_PER_S
        if seconds < 1:
            raise InvalidInput("invalid --min-expires: at least 1s")
        longest = max(seconds, settings.default_expires)
        settings = replace(settings, min_expires=seconds, default_expires=longest)
    return settings


def _t1(text: str) -> float:
    t1 = parse_duration(text) / _NS_PER_S
    if not 0.001 <= t1 <= 10:
        raise InvalidInput("invalid --t1: expected 1ms to 10s")
    return t1


def _tls(options: Options) -> Tls | None:
    if bool(options.tls_cert) != bool(options.tls_key):
        raise InvalidInput("--tls-cert and --tls-key belong together")
    if not options.tls_cert or not options.tls_key:
        return None
    return Tls(options.tls_cert, options.tls_key)


def _check(config: Config) -> None:
    has_tls = any(each.transport is Transport.TLS for each in config.listeners)
    if has_tls and config.tls is None:
        raise InvalidInput("a TLS listener needs --tls-cert and --tls-key")
    open_to_all = not config.settings.authenticate and not config.settings.allow_from
    if open_to_all and not all(map(is_loopback, config.listeners)):
        raise InvalidInput("--no-auth on other addresses than loopback needs --allow-from")
