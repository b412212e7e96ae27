"""Where a request may go: to a binding, by a Route, by a static route (RFC 3261, 16.5 and 16.6).

No I/O. A hostile Contact or Route leads nowhere but to what was registered or configured.
"""

from __future__ import annotations

from collections.abc import Sequence

from remusnet.sip.bindings import Binding
from remusnet.sip.flows import Endpoint, Target, Transport
from remusnet.sip.message.uri import Uri, read_address
from remusnet.sip.proxy.calls import Way
from remusnet.sip.proxy.resolver import at_once, transport_of
from remusnet.sip.settings import Settings
from remusnet.sip.transport.sockets import Sockets


def by_route(uri: Uri, value: bytes, settings: Settings) -> Way | None:
    """Where the topmost Route leads: only where a configured one leads, else None."""
    address = read_address(value)
    for route in settings.routes:
        if address is not None and (
            route.domain == address.uri.host
            or str(route.remote.host) == address.uri.host.strip("[]")
        ):
            return Way(uri.text, (Target(route.transport, route.remote, name=route.name),))
    return None


def leads_back(path: Sequence[bytes], host: str, settings: Settings) -> bool:
    """Whether a Path begins at ``host``, where its REGISTER came from, or at a configured route.

    RFC 3327 leaves to the registrar whose Path it believes: the proxy before it adds its own.
    """
    first = read_address(path[0])
    target = at_once(first.uri, settings) if first is not None else None
    if target is None or target.remote is None:
        return False
    known = {host, *(route.remote.host for route in settings.routes)}
    return target.remote.host in known


def by_bindings(
    bindings: Sequence[Binding], settings: Settings, sockets: Sockets, *, secure: bool = False
) -> list[list[Way]]:
    """The ways to a user's contacts: groups of one q, the highest first (16.6).

    ``secure``: the request URI is a sips URI, so only TLS will do (26.2.2).
    """
    groups: dict[int, list[Way]] = {}
    for binding in bindings[: settings.max_forks]:
        way = to_binding(binding, settings, sockets)
        if way is not None and (not secure or way.targets[0].transport is Transport.TLS):
            groups.setdefault(binding.q, []).append(way)
    return [groups[q] for q in sorted(groups, reverse=True)]


def to_binding(binding: Binding, settings: Settings, sockets: Sockets) -> Way | None:
    """The way to a contact: its Path, else where its REGISTER came from, which may be a NAT."""
    uri = binding.uri
    if uri is None:
        return None
    contact = binding.contact
    if uri.is_sip and (uri.headers or uri.parameter(b"method") is not None):
        contact = uri.without(b"method").text  # neither may stand in a request URI (16.6, step 2)
    kind, _, place = binding.source.partition(":")
    host, _, port = place.rpartition(":")
    if binding.path:
        if not leads_back(binding.path, host.strip("[]"), settings):
            return None
        first = read_address(binding.path[0])
        target = at_once(first.uri, settings) if first is not None else None
        return Way(contact, (target,), binding.path) if target is not None else None
    if not host:
        target = at_once(uri, settings)
        return Way(contact, (target,)) if target is not None else None
    transport = transport_of(uri) or Transport(kind)
    source = Endpoint(host.strip("[]"), int(port))
    direct = Endpoint(uri.host.strip("[]"), uri.port or transport.port)
    if transport.reliable and direct.host == source.host:
        # A client doesn't listen at a stream's source port; its connection may still be there.
        flow = sockets.flow_to(Transport(kind), source)
        return Way(contact, (Target(transport, direct, flow),))
    if transport.reliable:
        flow = sockets.flow_to(Transport(kind), source)
        remote = None if flow is not None else source
        return Way(contact, (Target(transport, remote, flow),))
    if Transport(kind) is not transport:
        source = Endpoint(source.host, direct.port)
    elif direct.host == source.host:
        source = direct
    return Way(contact, (Target(transport, source),))
