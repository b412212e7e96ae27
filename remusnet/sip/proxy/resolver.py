"""Where a SIP URI leads (RFC 3263): addresses as they are, static routes, names by dnspython."""

from __future__ import annotations

import dns.asyncresolver
import dns.exception
import dns.rdatatype
import dns.resolver

from remusnet.sip.flows import Endpoint, Target, Transport, is_address, unbracketed
from remusnet.sip.message.uri import Uri
from remusnet.sip.settings import Settings

_SECONDS = 3.0
_MOST = 8
_SERVICES = {
    "SIPS+D2T": Transport.TLS,
    "SIP+D2T": Transport.TCP,
    "SIP+D2U": Transport.UDP,
}
_PREFIXES = {Transport.UDP: "_sip._udp", Transport.TCP: "_sip._tcp", Transport.TLS: "_sips._tcp"}


def transport_of(uri: Uri) -> Transport | None:
    """The transport that a URI asks for; None where it leaves that open, or asks for another."""
    if uri.scheme == "sips":
        return Transport.TLS
    asked = (uri.parameter(b"transport") or b"").lower().decode("ascii", "replace")
    return next((each for each in Transport if each.value == asked), None)


def at_once(uri: Uri, settings: Settings) -> Target | None:
    """Where it leads, if no name has to be looked up for that."""
    for route in settings.routes:
        if route.domain == uri.host:
            return Target(route.transport, route.remote, name=route.name)
    host = unbracketed((uri.parameter(b"maddr") or uri.host.encode()).decode("ascii", "replace"))
    if not is_address(host):
        return None
    transport = transport_of(uri) or Transport.UDP
    return Target(transport, Endpoint(host, uri.port or transport.port), name=uri.host)


async def look_up(uri: Uri) -> tuple[Target, ...]:
    """Where a name leads, in the order of preference; empty where it leads nowhere."""
    resolver = dns.asyncresolver.Resolver()
    resolver.lifetime = _SECONDS
    transport = transport_of(uri)
    host = uri.host
    if uri.port:
        chosen = transport or Transport.UDP
        return await _addresses(resolver, host, uri.port, chosen, host)
    candidates = [transport] if transport else await _by_naptr(resolver, host)
    found: list[Target] = []
    for candidate in candidates:
        for name, port in await _by_srv(resolver, f"{_PREFIXES[candidate]}.{host}"):
            found += await _addresses(resolver, name, port, candidate, host)
        if len(found) >= _MOST:
            break
    if not found:
        chosen = transport or Transport.UDP
        found += await _addresses(resolver, host, chosen.port, chosen, host)
    return tuple(found[:_MOST])


async def _by_naptr(resolver: dns.asyncresolver.Resolver, host: str) -> list[Transport]:
    """The transports that a domain offers, best first (4.1)."""
    try:
        answer = await resolver.resolve(host, dns.rdatatype.NAPTR)
    except dns.exception.DNSException:
        return [Transport.UDP, Transport.TCP]
    records = sorted(answer, key=lambda each: (each.order, each.preference))
    services = [each.service.decode("ascii", "replace").upper() for each in records]
    known = [_SERVICES[service] for service in services if service in _SERVICES]
    return known or [Transport.UDP, Transport.TCP]


async def _by_srv(resolver: dns.asyncresolver.Resolver, name: str) -> list[tuple[str, int]]:
    try:
        answer = await resolver.resolve(name, dns.rdatatype.SRV)
    except dns.exception.DNSException:
        return []
    records = sorted(answer, key=lambda each: (each.priority, -each.weight))
    return [(each.target.to_text(omit_final_dot=True), each.port) for each in records[:_MOST]]


async def _addresses(
    resolver: dns.asyncresolver.Resolver, host: str, port: int, transport: Transport, name: str
) -> tuple[Target, ...]:
    found = []
    for kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
        try:
            answer = await resolver.resolve(host, kind)
        except dns.exception.DNSException:
            continue
        found += [Target(transport, Endpoint(each.address, port), name=name) for each in answer]
    return tuple(found)
