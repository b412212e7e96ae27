"""Where a SIP URI leads (RFC 3263): addresses as they are, static routes, names by dnspython."""

from __future__ import annotations

from typing import Any

import dns.asyncresolver
import dns.exception
import dns.name
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
        # A URI with a port means that port: no SRV lookup (4.2).
        return await _addresses(resolver, host, uri.port, transport or Transport.UDP, host)
    if transport is not None:
        services = [(transport, f"{_PREFIXES[transport]}.{host}")]
    else:
        services = await _by_naptr(resolver, host)
    found: list[Target] = []
    for chosen, service in services:
        for name, port in await _by_srv(resolver, service):
            found += await _addresses(resolver, name, port, chosen, host)
        if len(found) >= _MOST:
            break
    if not found:
        chosen = transport or Transport.UDP
        found += await _addresses(resolver, host, chosen.port, chosen, host)
    return tuple(found[:_MOST])


async def _by_naptr(resolver: dns.asyncresolver.Resolver, host: str) -> list[tuple[Transport, str]]:
    """The transports that a domain offers, best first, and the names of their services (4.1)."""
    found = []
    for each in await _records(resolver, host, dns.rdatatype.NAPTR):
        transport = _SERVICES.get(each.service.decode("ascii", "replace").upper())
        if transport is not None and each.flags.lower() == b"s":
            found.append((transport, each.replacement.to_text(omit_final_dot=True)))
    usual = (Transport.UDP, Transport.TCP)
    return found or [(transport, f"{_PREFIXES[transport]}.{host}") for transport in usual]


async def _by_srv(resolver: dns.asyncresolver.Resolver, name: str) -> list[tuple[str, int]]:
    """Hosts and ports, those of the lowest priority first, drawn by weight (RFC 2782)."""
    records = await _records(resolver, name, dns.rdatatype.SRV)
    # A target of "." says that there is no such service.
    return [
        (each.target.to_text(omit_final_dot=True), each.port)
        for each in records[:_MOST]
        if each.target != dns.name.root
    ]


async def _records(
    resolver: dns.asyncresolver.Resolver, name: str, kind: dns.rdatatype.RdataType
) -> list[Any]:
    """The records in the order that their RFC asks for; none where no name server answers."""
    try:
        answer = await resolver.resolve(name, kind)
    except dns.exception.DNSException:
        return []
    return list(answer.rrset.processing_order()) if answer.rrset is not None else []


async def _addresses(
    resolver: dns.asyncresolver.Resolver, host: str, port: int, transport: Transport, name: str
) -> tuple[Target, ...]:
    found = []
    for kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
        records = await _records(resolver, host, kind)
        found += [Target(transport, Endpoint(each.address, port), name=name) for each in records]
    return tuple(found)
