"""The table of transactions, and by what a message finds its own (RFC 3261, 17.1.3 and 17.2.3)."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address

from remusnet.actors import Cell
from remusnet.sip.flows import Endpoint, Flow, Target, Transport, is_address, unbracketed
from remusnet.sip.message import Request, Response
from remusnet.sip.message.build import tag_of
from remusnet.sip.message.via import MAGIC, Via
from remusnet.sip.transaction import Machine

Networks = tuple[IPv4Network | IPv6Network, ...]


@dataclass(slots=True)
class Entry:
    """A transaction: its machine, its way, and its user, which gets ``key`` back.

    ``deadlines``: timers that are armed, by the loop's time; a new instance arms them again.
    """

    name: Hashable
    machine: Machine
    target: Target
    user: Cell | None = None
    key: object = None
    flow: Flow | None = None
    cell: Cell | None = None
    deadlines: dict[str, float] = field(default_factory=dict)
    begun: bool = False


@dataclass(slots=True)
class Table:
    """All transactions. Under ``resilient`` it outlives the actors that work on it."""

    servers: dict[Hashable, Entry] = field(default_factory=dict)
    clients: dict[Hashable, Entry] = field(default_factory=dict)
    same_request: dict[Hashable, list[Hashable]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.servers) + len(self.clients)

    def add_server(self, entry: Entry) -> None:
        """A new server transaction."""
        self.servers[entry.name] = entry
        self.same_request.setdefault(_request_key(entry.machine.request), []).append(entry.name)

    def remove(self, entry: Entry) -> None:
        """It is over."""
        if self.servers.get(entry.name) is entry:
            del self.servers[entry.name]
            key = _request_key(entry.machine.request)
            names = self.same_request.get(key, [])
            if entry.name in names:
                names.remove(entry.name)
            if not names:
                self.same_request.pop(key, None)
        elif self.clients.get(entry.name) is entry:
            del self.clients[entry.name]

    def is_merged(self, request: Request, name: Hashable) -> bool:
        """Whether ``request`` has come by another way already (8.2.2.2)."""
        if tag_of(request.get("to") or b""):
            return False
        return any(other != name for other in self.same_request.get(_request_key(request), ()))


def _request_key(request: Request) -> Hashable:
    return (request.call_id, tag_of(request.get("from") or b""), *request.cseq)


def server_name(request: Request, via: Via, method: bytes | None = None) -> Hashable:
    """The key by which a request finds its server transaction; an ACK finds the INVITE's.

    ``method``: of the transaction that is looked for, where it is another's (CANCEL).
    """
    method = method or (b"INVITE" if request.method == b"ACK" else request.method)
    if via.branch.startswith(MAGIC) and len(via.branch) > len(MAGIC):
        return (via.branch, via.sent_by, method)
    # RFC 2543's way, for branches without the cookie.
    number, _ = request.cseq
    caller = tag_of(request.get("from") or b"")
    first = request.values("via")[0]
    return (request.uri, caller, request.call_id, number, first, method)


def client_name(branch: bytes, method: bytes) -> Hashable:
    """By what a response finds its client transaction."""
    return (branch, method)


def response_target(via: Via, flow: Flow, via_maddr: Networks = ()) -> Target:
    """Where the responses to a request go (18.2.2; RFC 3581, 4).

    A maddr counts only within ``via_maddr``: else a stranger could aim responses at any host, also
    at a whole multicast group. And a maddr that is a name is not looked up.
    """
    maddr = unbracketed(via.maddr.decode("ascii", "replace")) if via.maddr and via_maddr else ""
    allowed = maddr and is_address(maddr) and any(ip_address(maddr) in net for net in via_maddr)
    if allowed and flow.transport is Transport.UDP:
        return Target(flow.transport, Endpoint(maddr, via.port or 5060), flow)
    if flow.transport is Transport.UDP:
        # With rport: exactly whence it came. Without: to the port that Via names.
        port = flow.remote.port if via.wants_rport else (via.port or 5060)
        return Target(flow.transport, Endpoint(flow.remote.host, port), flow)
    port = via.port or flow.transport.port
    return Target(flow.transport, Endpoint(flow.remote.host, port), flow)


def response_name(response: Response, via: Via) -> Hashable:
    """By what a response finds its client transaction."""
    return client_name(via.branch, response.cseq[1])
