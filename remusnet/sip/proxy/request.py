"""What the proxy does with a request before it forwards it (RFC 3261, 16.3, 16.4, 16.6): no I/O."""

from __future__ import annotations

from dataclasses import dataclass

from remusnet.sip.flows import Endpoint, Target, Transport, bracketed, unbracketed
from remusnet.sip.message import Request, Response
from remusnet.sip.message.build import reply, tag_of
from remusnet.sip.message.uri import Uri, read_address, read_uri
from remusnet.sip.proxy import loops
from remusnet.sip.wiring import Wiring

METHODS = b"INVITE, ACK, BYE, CANCEL, OPTIONS, REGISTER, MESSAGE, INFO, UPDATE, PRACK, NOTIFY"
_LONGEST_URI = 8192


class Rejected(Exception):
    """The request is answered with this, and not forwarded."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


@dataclass(frozen=True, slots=True)
class Judged:
    """A request that may be forwarded.

    ``request``: without our own Route; ``uri``: its request URI; ``print_``: its fingerprint;
    ``forwards``: what Max-Forwards becomes; ``breadth``: how many branches it may have; ``leg``:
    what our own Route says about the way that the dialog took through us (0: it says nothing).
    """

    request: Request
    uri: Uri
    print_: bytes
    forwards: int
    breadth: int
    leg: int = 0


def judge(request: Request, wiring: Wiring) -> Judged:
    """Validate (16.3) and undo our own part of the route set (16.4). Raises Rejected."""
    if len(request.uri) > _LONGEST_URI:
        raise Rejected(reply(request, 414))
    uri = read_uri(request.uri)
    if uri is None:
        raise Rejected(reply(request, 400, reason="Bad Request: request URI"))
    if not uri.is_sip:
        raise Rejected(reply(request, 416))
    forwards = _max_forwards(request)
    if (refusal := unsupported(request, "proxy-require")) is not None:
        raise Rejected(refusal)
    breadth = loops.breadth(request)
    if breadth == 0:
        raise Rejected(reply(request, 440))
    print_ = loops.fingerprint(request)
    if loops.has_looped(request, print_, own_sent_by(wiring)):
        raise Rejected(reply(request, 482))
    if forwards == 0 and not (request.method == b"OPTIONS" and is_for_server(uri, wiring)):
        raise Rejected(reply(request, 483))
    stripped = without_own_routes(request, wiring)
    uri = read_uri(stripped.uri)
    if uri is None or not uri.is_sip:
        raise Rejected(reply(request, 416 if uri else 400))
    maddr = (uri.parameter(b"maddr") or b"").decode("ascii", "replace").lower()
    if maddr in wiring.domains or wiring.is_own(unbracketed(maddr), uri.port):
        # 16.4: it has reached whom it was sent to by that.
        uri = uri.without(b"maddr", b"transport", port=False)
        stripped.uri = uri.text
    return Judged(stripped, uri, print_, forwards - 1, breadth, _leg(request, wiring))


def _leg(request: Request, wiring: Wiring) -> int:
    for value in [*request.values("route")[:1], b"<%b>" % request.uri]:
        address = read_address(value)
        if address is not None and _is_listener(address.uri, wiring):
            text = address.uri.parameter(b"leg") or b""
            return int(text) if text.isdigit() and len(text) < 6 else 0
    return 0


def _max_forwards(request: Request) -> int:
    text = request.get("max-forwards")
    if text is None:
        return 70  # 16.6, step 3
    if not text.isdigit() or len(text) > 9:
        raise Rejected(reply(request, 400, reason="Bad Request: Max-Forwards"))
    return min(int(text), 255)


def own_sent_by(wiring: Wiring) -> frozenset[bytes]:
    """What our Vias have as sent-by, in the form of `remusnet.sip.message.via.Via.sent_by`."""
    found = set()
    for listener in wiring.bound:
        host = bracketed(listener.endpoint.host).encode()
        port = listener.endpoint.port
        found.add(host if port == 5060 else b"%b:%d" % (host, port))
    return frozenset(found)


def is_own_uri(uri: Uri, wiring: Wiring) -> bool:
    """Whether a URI's host is this server, or one of its domains."""
    host = uri.host.strip("[]")
    return uri.host in wiring.domains or wiring.is_own(host, uri.port)


def is_served(uri: Uri, wiring: Wiring) -> bool:
    """Whether a request URI is this server's to find targets for; a maddr leads away (16.5)."""
    return uri.parameter(b"maddr") is None and is_own_uri(uri, wiring)


def is_for_server(uri: Uri, wiring: Wiring) -> bool:
    """Whether a request URI means this server itself, and no user of it."""
    return uri.user is None and is_served(uri, wiring)


def without_own_routes(request: Request, wiring: Wiring) -> Request:
    """The request without the Route values that brought it here (16.4), strict routers included."""
    changed = request.copy()
    uri = read_uri(changed.uri)
    if uri is not None and uri.parameter(b"lr") is not None and _is_listener(uri, wiring):
        # A strict router has put our Record-Route into the request URI: the last Route is the URI.
        routes = changed.values("route")
        last = read_address(routes[-1]) if routes else None
        if last is not None:
            changed.remove("route")
            for value in routes[:-1]:
                changed.add("Route", value)
            changed.uri = last.uri.text
    # Two of ours, where the call goes from one transport to another (RFC 5658).
    own = 0
    for value in changed.values("route"):
        address = read_address(value)
        if address is None or not _is_listener(address.uri, wiring):
            break
        own += 1
    if own:
        # At once: 64 KB of them, one by one, would take seconds.
        changed.drop("route", own)
    return changed


def _is_listener(uri: Uri, wiring: Wiring) -> bool:
    return uri.user is None and (
        wiring.is_own(uri.host.strip("[]"), uri.port) or uri.host in wiring.domains
    )


def prepared(
    judged: Judged,
    uri: bytes,
    target: Target,
    wiring: Wiring,
    *,
    unique: str,
    routes: tuple[bytes, ...] = (),
    record: Transport | None = None,
    leg: int = 0,
    breadth: int | None = None,
) -> Request:
    """The copy that goes to ``target`` (16.6, steps 1 to 8).

    ``routes``: put above those that it has (Path). ``record``: the transport that it came by, where
    we want to see what follows; then ``leg`` is what we shall know it by (Record-Route).
    """
    copy = judged.request.copy()
    copy.uri = uri
    copy.set("Max-Forwards", b"%d" % max(judged.forwards, 0))
    if breadth is not None:
        copy.set("Max-Breadth", b"%d" % breadth)
    for value in reversed(routes):
        copy.push("Route", value)
    _to_strict_router(copy)
    if record is not None:
        _record_route(copy, record, target, wiring, leg)
    via = wiring.own_endpoint(target.transport, target.remote)
    value = b"SIP/2.0/%b %b;branch=%b" % (
        target.transport.via,
        _sent_by(via),
        loops.branch(judged.print_, unique),
    )
    if target.transport is Transport.UDP:
        value += b";rport"
    copy.push("Via", value)
    if copy.get("content-length") is None:
        copy.set("Content-Length", b"%d" % len(copy.body))
    return copy


def _to_strict_router(copy: Request) -> None:
    """Where the first Route is no loose router: that is the request URI, and what was is last."""
    routes = copy.values("route")
    first = read_address(routes[0]) if routes else None
    if first is None or first.uri.parameter(b"lr") is not None:
        return
    copy.remove("route")
    for value in [*routes[1:], b"<%b>" % copy.uri]:
        copy.add("Route", value)
    copy.uri = first.uri.text


def _record_route(
    copy: Request, came_by: Transport, target: Target, wiring: Wiring, leg: int
) -> None:
    """One value, or two where the transports differ, the one to the callee on top (RFC 5658).

    Where the request URI is a sips URI, so is ours (16.6, step 4).
    """
    if copy.uri[:5].lower() == b"sips:":
        own = wiring.own_endpoint(Transport.TLS, target.remote)
        copy.push("Record-Route", b"<sips:%b;lr;leg=%d>" % (_sent_by(own), leg))
        return
    transports = [came_by] if came_by is target.transport else [came_by, target.transport]
    for transport in transports:
        own = wiring.own_endpoint(transport, target.remote)
        kind = b"" if transport is Transport.UDP else b";transport=%b" % transport.value.encode()
        copy.push("Record-Route", b"<sip:%b%b;lr;leg=%d>" % (_sent_by(own), kind, leg))


def _sent_by(endpoint: Endpoint) -> bytes:
    return str(endpoint).encode()


def unsupported(
    request: Request, header: str, supported: tuple[bytes, ...] = ()
) -> Response | None:
    """420, where Require or Proxy-Require names what this server can't do (8.2.2.3, 16.3)."""
    unknown = [tag for tag in request.values(header) if tag and tag.lower() not in supported]
    if not unknown:
        return None
    refusal = reply(request, 420)
    refusal.add("Unsupported", b", ".join(unknown))
    return refusal


def about_server(request: Request) -> Response:
    """The answer to a request that means this server itself (8.2; an OPTIONS: 11.2)."""
    if request.method not in METHODS.split(b", "):
        response = reply(request, 405)
        response.add("Allow", METHODS)
        return response
    if tag_of(request.get("to") or b""):
        return reply(request, 481)  # of no dialog that is known here (12.2.2)
    if request.method != b"OPTIONS":
        return reply(request, 404)
    if (refusal := unsupported(request, "require", (b"path",))) is not None:
        return refusal
    response = reply(request, 200)
    response.add("Allow", METHODS)
    response.add("Accept", b"application/sdp")
    response.add("Supported", b"path")
    return response
