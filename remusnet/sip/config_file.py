"""sip.toml: a server's `Config` from the text of a file, or every mistake in it at once.

docs/reference/sip-file.md has every key.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import TypeVar

from remusnet.errors import InvalidInput
from remusnet.sip.config import Config, Tls
from remusnet.sip.flows import Endpoint, Transport, is_address, unbracketed
from remusnet.sip.presets import PRESETS, RESILIENT
from remusnet.sip.rejuvenation import ACTORS, Rejuvenation
from remusnet.sip.settings import DIGESTS, Route, Settings
from remusnet.sip.store import store_url
from remusnet.sip.transport.connection import Limits
from remusnet.sip.transport.floods import FloodLimits
from remusnet.sip.transport.sockets import Listener
from remusnet.tables.documents import parse
from remusnet.tables.fields import Fields
from remusnet.tables.mistakes import Mistake, MistakenFile

Value = TypeVar("Value")

S = 1_000_000_000
_LISTENER = re.compile(r"(udp|tcp|tls):(\[[0-9A-Fa-f:.]+\]|[0-9.]+):([0-9]{1,5})")
_PLACE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9.]+):([0-9]{1,5})")
_DOMAIN = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_\-]*)(?:\.[A-Za-z0-9_\-]+)*")


class SipFileError(MistakenFile):
    """A sip.toml with mistakes."""


def parse_listener(text: str) -> Listener:
    """``udp:127.0.0.1:5060``, ``tls:[::1]:5061``. Raises InvalidInput."""
    found = _LISTENER.fullmatch(text)
    if found is None or not is_address(found[2]) or int(found[3]) > 65535:
        raise InvalidInput(
            f"invalid listener: {text!r}; expected udp|tcp|tls:ADDRESS:PORT, "
            "for example udp:127.0.0.1:5060 or tls:[::1]:5061"
        )
    return Listener(Transport(found[1]), Endpoint(unbracketed(found[2]), int(found[3])))


def parse_endpoint(text: str) -> Endpoint:
    """``127.0.0.1:9911``, ``[::1]:9911``. Raises InvalidInput."""
    found = _PLACE.fullmatch(text)
    if found is None or not is_address(found[1]) or int(found[2]) > 65535:
        raise InvalidInput(f"invalid address: {text!r}; expected for example 127.0.0.1:9911")
    return Endpoint(unbracketed(found[1]), int(found[2]))


def parse_network(text: str) -> IPv4Network | IPv6Network:
    """``192.0.2.0/24`` or an address. Raises InvalidInput."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise InvalidInput(
            f"invalid network: {text!r}; expected for example 192.0.2.0/24"
        ) from None


def parse_digest(text: str) -> str:
    """The algorithm of a digest, as RFC 8760 writes it. Raises InvalidInput."""
    if text.upper() not in DIGESTS:
        raise InvalidInput(f"invalid digest: {text!r}; expected {' or '.join(DIGESTS)}")
    return text.upper()


def parse_domain(text: str) -> str:
    """A domain in lower case. Raises InvalidInput."""
    if not _DOMAIN.fullmatch(text):
        raise InvalidInput(f"invalid domain: {text!r}; expected for example example.org")
    return text.lower()


def load(text: str, origin: str, folder: Path) -> Config:
    """The server that ``text`` describes; files that it names stand in ``folder``.

    ``origin``: the file's name, for messages. Raises SipFileError with every mistake.
    """
    found = parse(text)
    if isinstance(found, Mistake):
        raise SipFileError(origin, (found,))
    mistakes: list[Mistake] = []
    config = _config(Fields(found, "", mistakes), folder)
    if mistakes:
        raise SipFileError(origin, tuple(mistakes))
    return config


def _config(fields: Fields, folder: Path) -> Config:
    listeners = _each(fields, "listen", parse_listener, 'for example ["udp:127.0.0.1:5060"]')
    domains = _each(fields, "domains", parse_domain, 'for example ["example.org"]')
    for key, values in (("listen", listeners), ("domains", domains)):
        if not values and not _noted(fields, key):
            fields.mistake(key, "missing", "at least one")
    for listener in dict.fromkeys(listeners):
        if listener.endpoint.port and listeners.count(listener) > 1:
            fields.mistake("listen", f"a listener twice: {listener}", "each of them once")
    store = fields.text("store", "sqlite:sip.db", "sqlite:FILE or postgresql://HOST/DATABASE")
    store = _store(fields, store, folder)
    tls = _tls(fields, folder)
    if tls is None and any(each.transport is Transport.TLS for each in listeners):
        fields.mistake("tls", "missing", "[tls] with certificate and key: a listener is TLS")
    preset = fields.one_of("supervision", RESILIENT.name, PRESETS)
    limits = _limits(fields)
    config = Config(
        listeners=tuple(listeners) or (Listener(Transport.UDP, Endpoint("127.0.0.1", 5060)),),
        domains=tuple(dict.fromkeys(domains)) or ("example.org",),
        store=store,
        settings=_settings(fields, listeners),
        t1=fields.duration("t1", S // 2, least=10_000_000, most=10 * S) / S,
        preset=PRESETS[preset],
        tls=tls,
        allow_faults=fields.flag("allow-faults", False),
        events=_file(fields, "events", folder),
        metrics=_one(fields, "metrics", parse_endpoint, "127.0.0.1:9911"),
        control=_file(fields, "control", folder),
        limits=limits[0],
        flood=_flood(fields),
        max_transactions=limits[1],
        max_calls=limits[2],
        remembered=limits[3],
        rejuvenation=tuple(_rejuvenations(fields)),
    )
    fields.finish()
    return config


def _settings(fields: Fields, listeners: list[Listener]) -> Settings:
    authenticate = fields.flag("authenticate", True)
    allow_from = _each(fields, "allow-from", parse_network, 'for example ["192.0.2.0/24"]')
    if not authenticate and not allow_from and not all(map(is_loopback, listeners)):
        problem = "missing: without authentication anybody could use this server"
        fields.mistake("allow-from", problem, 'networks, for example ["192.0.2.0/24"]')
    expires = fields.inner("expires") or Fields({}, "expires", fields.mistakes)
    least = expires.duration("min", 60 * S, least=S, most=86_400 * S) // S
    most = expires.duration("max", 86_400 * S, least=S, most=86_400 * 365 * S) // S
    usual = expires.duration("default", 3_600 * S, least=S, most=86_400 * 365 * S) // S
    if not least <= usual <= most:
        expires.mistake("default", "out of order", "min <= default <= max")
    expires.finish()
    return Settings(
        authenticate=authenticate,
        allow_from=tuple(allow_from),
        calls_from_outside=fields.flag("calls-from-outside", True),
        min_expires=least,
        max_expires=most,
        default_expires=usual,
        record_route=fields.flag("record-route", True),
        routes=tuple(_routes(fields)),
        use_dns=fields.flag("dns", True),
        digests=tuple(_each(fields, "digest", parse_digest, 'for example ["SHA-256", "MD5"]'))
        or DIGESTS,
        max_forks=fields.whole("max-forks", 10, least=1, most=60),
        via_maddr=tuple(_each(fields, "via-maddr", parse_network, 'for example ["192.0.2.0/24"]')),
    )


def is_loopback(listener: Listener) -> bool:
    """Whether only this machine reaches it."""
    return listener.endpoint.host == "::1" or listener.endpoint.host.startswith("127.")


def _routes(fields: Fields) -> list[Route]:
    found: list[Route] = []
    for inner in fields.inners("route"):
        domain = _one(inner, "domain", parse_domain, "example.net")
        to = _one(inner, "to", parse_listener, "udp:192.0.2.1:5060")
        name = inner.text("name", "", "whom the TLS certificate is for")
        if domain is None or to is None:
            for key, value in (("domain", domain), ("to", to)):
                if value is None and not inner.has(key):
                    inner.mistake(key, "missing", "[[route]] needs domain and to")
        elif not to.endpoint.port:
            inner.mistake("to", "no port: nobody listens at 0", "for example udp:192.0.2.1:5060")
        elif any(each.domain == domain for each in found):
            inner.mistake("domain", f"a second route to {domain}", "one for each domain")
        else:
            found.append(Route(domain, to.transport, to.endpoint, name or domain))
        inner.finish()
    return found


def _rejuvenations(fields: Fields) -> list[Rejuvenation]:
    found = []
    for inner in fields.inners("rejuvenate"):
        actor = inner.one_of("actor", None, ACTORS)
        keys = [key for key in ("every", "mailbox", "memory") if inner.has(key)]
        if not keys:
            inner.mistake("every", "missing", "every, mailbox or memory: when to restart it")
        every = inner.duration("every", S, least=S, most=365 * 86_400 * S)
        mailbox = inner.whole("mailbox", 1, least=1, most=10_000)
        memory = inner.size("memory", 2**20, least=2**20, most=2**50)
        found.append(
            Rejuvenation(
                actor,
                every / S if "every" in keys else None,
                mailbox if "mailbox" in keys else None,
                memory if "memory" in keys else None,
            )
        )
        inner.finish()
    return found


def _limits(fields: Fields) -> tuple[Limits, int, int, int]:
    inner = fields.inner("limits") or Fields({}, "limits", fields.mistakes)
    limits = Limits(
        connections=inner.whole("connections", 10_000, least=1, most=1_000_000),
        idle_s=inner.duration("idle", 1800 * S, least=S, most=86_400 * S) / S,
        partial_s=inner.duration("partial", 30 * S, least=S, most=3600 * S) / S,
    )
    transactions = inner.whole("transactions", 100_000, least=1, most=10_000_000)
    calls = inner.whole("calls", 50_000, least=1, most=10_000_000)
    remembered = inner.whole("remembered", 100_000, least=1, most=100_000_000)
    inner.finish()
    return limits, transactions, calls, remembered


def _flood(fields: Fields) -> FloodLimits:
    inner = fields.inner("flood") or Fields({}, "flood", fields.mistakes)
    usual = FloodLimits()
    limits = FloodLimits(
        requests=inner.whole("requests", usual.requests, least=1, most=10_000_000),
        behind_s=inner.duration("behind", 20_000_000, least=S // 1000, most=60 * S) / S,
        block_s=inner.duration("block", 30 * S, least=S, most=86_400 * S) / S,
        trusted=tuple(_each(inner, "trusted", parse_network, 'for example ["192.0.2.20"]')),
    )
    inner.finish()
    return limits


def _tls(fields: Fields, folder: Path) -> Tls | None:
    inner = fields.inner("tls")
    if inner is None:
        return None
    certificate = inner.text("certificate", None, "a PEM file")
    key = inner.text("key", None, "a PEM file")
    ca = inner.text("ca", "", "a PEM file")
    verify = inner.flag("verify-clients", False)
    inner.finish()
    believed = str(folder / ca) if ca else None
    return Tls(str(folder / certificate), str(folder / key), believed, verify)


def _store(fields: Fields, text: str, folder: Path) -> str:
    if text.startswith("sqlite:") and text != "sqlite:":
        text = f"sqlite:{folder / text.removeprefix('sqlite:')}"
    try:
        store_url(text)
    except InvalidInput:
        fields.mistake("store", f"invalid store: {text!r}", "sqlite:FILE or postgresql://...")
    return text


def _file(fields: Fields, key: str, folder: Path) -> str | None:
    text = fields.text(key, "", "a file's name")
    return str(folder / text) if text else None


def _one(fields: Fields, key: str, read: Callable[[str], Value], example: str) -> Value | None:
    text = fields.text(key, "", f'for example "{example}"')
    if not text:
        return None
    try:
        return read(text)
    except InvalidInput as error:
        fields.mistake(key, str(error).partition(";")[0], f'for example "{example}"')
        return None


def _each(fields: Fields, key: str, read: Callable[[str], Value], expected: str) -> list[Value]:
    found = []
    for number, text in enumerate(fields.texts(key, expected), start=1):
        try:
            found.append(read(text))
        except InvalidInput as error:
            fields.mistake(key, str(error).partition(";")[0], expected, number)
    return found


def _noted(fields: Fields, key: str) -> bool:
    return any(mistake.path.startswith(key) for mistake in fields.mistakes)
