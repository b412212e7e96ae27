"""The transaction router and its children: one actor a transaction (Hlaváček 2014, 5.3).

The router knows which transaction a message belongs to; a child does what its machine says. What
both work on is the table: under ``resilient`` an instance that takes over finds all in it.
"""

from __future__ import annotations

from remusnet.actors import Actor, Cell, Spec, Strategy
from remusnet.sip.flows import Flow
from remusnet.sip.message import Malformed, Request, Response
from remusnet.sip.message.build import reply
from remusnet.sip.message.via import Via, top
from remusnet.sip.signals import (
    Answer,
    Begin,
    Cancel,
    Encode,
    Failure,
    Incoming,
    IncomingAck,
    Received,
    Respond,
    SendStateless,
    ServerFailed,
    Unsent,
)
from remusnet.sip.transaction import (
    Arm,
    Command,
    Disarm,
    End,
    Fired,
    FromUser,
    FromWire,
    InviteClient,
    InviteServer,
    NonInviteClient,
    NonInviteServer,
    ToUser,
    ToWire,
    Trouble,
    Unreachable,
)
from remusnet.sip.transport.table import (
    Entry,
    client_name,
    response_name,
    response_target,
    server_name,
)
from remusnet.sip.wiring import Wiring

_RETRY_AFTER_S = b"5"


class Transactions(Actor):
    """Finds, or makes, the transaction of each message. ``strategy``: of each transaction."""

    def __init__(self, wiring: Wiring, strategy: Strategy) -> None:
        self._wiring = wiring
        self._strategy = strategy
        self._numbers = 0

    def started(self) -> None:
        """Enter itself; make actors for transactions that have none any more."""
        self._wiring.transactions = self.context
        table = self._wiring.table
        for entry in [*table.servers.values(), *table.clients.values()]:
            if entry.cell is None or not entry.cell.alive:
                self._spawn(entry)

    def receive(self, message: object) -> None:
        """A message from the wire, or from a core."""
        if isinstance(message, Received):
            try:
                if isinstance(message.message, Request):
                    self._request(message.message, message.flow)
                else:
                    self._response(message.message)
            except Malformed:
                self._wiring.counts.malformed += 1
        elif isinstance(message, Begin):
            self._begin(message)
        elif isinstance(message, SendStateless):
            self._encode(Encode(message.message, message.target))

    def _request(self, request: Request, flow: Flow) -> None:
        wiring = self._wiring
        via = top(request)
        name = server_name(request, via)
        known = wiring.table.servers.get(name)
        if known is not None:
            assert known.cell is not None
            known.cell.tell(FromWire(request))
        elif request.method == b"ACK":
            proxy = wiring.proxy
            if proxy is not None:
                proxy.tell(IncomingAck(request, flow))
        elif len(wiring.table) >= wiring.max_transactions:
            self._overload(request, via, flow)
        else:
            self._new_server(request, via, flow)

    def _new_server(self, request: Request, via: Via, flow: Flow) -> None:
        wiring = self._wiring
        kind = InviteServer if request.method == b"INVITE" else NonInviteServer
        machine = kind(request, reliable=flow.transport.reliable, timers=wiring.timers)
        name = server_name(request, via)
        entry = Entry(name, machine, response_target(via, flow, wiring.via_maddr), flow=flow)
        wiring.table.add_server(entry)
        cell = self._spawn(entry)
        if request.method == b"CANCEL" and self._cancels(request, via, cell):
            return
        core = wiring.registrar if request.method == b"REGISTER" else wiring.proxy
        assert core is not None
        entry.user = core
        if not core.tell(Incoming(request, flow, cell)):
            wiring.counts.overload += 1
            cell.tell(Respond(_unavailable(request)))

    def _cancels(self, request: Request, via: Via, cell: Cell) -> bool:
        """Answer a CANCEL whose INVITE is here, and tell who works on that (9.2, 16.10)."""
        invite = self._wiring.table.servers.get(server_name(request, via, b"INVITE"))
        if invite is None or invite.cell is None or invite.user is None:
            return False
        cell.tell(Respond(reply(request, 200)))
        invite.user.tell(Cancel(invite.cell, request))
        return True

    def _response(self, response: Response) -> None:
        via = top(response)
        entry = self._wiring.table.clients.get(response_name(response, via))
        host = via.host.decode("ascii", "replace").strip("[]").lower()
        if entry is None or not self._wiring.is_own(host, via.port):
            # RFC 6026, 8.9: no server forwards it.
            self._wiring.counts.stray += 1
            return
        if len(response.values("via")) < 2 <= len(entry.machine.request.values("via")):
            # Without another Via it is for us alone (16.7, step 3), and we only passed the request
            # on. As an answer it would end the transaction, and no client would hear of it.
            raise Malformed("no Via but ours", 0, response)
        assert entry.cell is not None
        entry.cell.tell(FromWire(response))

    def _begin(self, begin: Begin) -> None:
        request = begin.request
        kind = InviteClient if request.method == b"INVITE" else NonInviteClient
        reliable = begin.target.transport.reliable
        machine = kind(request, reliable=reliable, timers=self._wiring.timers)
        name = client_name(top(request).branch, request.method)
        entry = Entry(name, machine, begin.target, user=begin.user, key=begin.key)
        self._wiring.table.clients[name] = entry
        self._spawn(entry)

    def _spawn(self, entry: Entry) -> Cell:
        self._numbers += 1
        while self.context.child(str(self._numbers)) is not None:
            self._numbers += 1
        spec = Spec(
            str(self._numbers),
            lambda: Transaction(self._wiring, entry),
            kind="transaction",
            strategy=self._strategy,
        )
        entry.cell = self.context.spawn(spec)
        return entry.cell

    def _overload(self, request: Request, via: Via, flow: Flow) -> None:
        """503 without a transaction: one more would be what there are too many of."""
        self._wiring.counts.overload += 1
        target = response_target(via, flow, self._wiring.via_maddr)
        self._encode(Encode(_unavailable(request), target))

    def _encode(self, encode: Encode) -> None:
        coder = self._wiring.coder
        assert coder is not None
        coder.tell(encode)


def _unavailable(request: Request) -> Response:
    response = reply(request, 503)
    response.add("Retry-After", _RETRY_AFTER_S)
    return response


class Transaction(Actor):
    """Does what a machine says."""

    __slots__ = ("_entry", "_wiring")

    def __init__(self, wiring: Wiring, entry: Entry) -> None:
        self._wiring = wiring
        self._entry = entry

    def started(self) -> None:
        """Begin, or take over: then the timers are armed for the rest of their time."""
        entry = self._entry
        entry.cell = self.context
        if not entry.begun:
            entry.begun = True
            self._obey(entry.machine.begin())
            return
        now = self.context.system.now()
        for timer, deadline in entry.deadlines.items():
            self.context.after(max(deadline - now, 0), Fired(timer), key=timer)

    def receive(self, message: object) -> None:
        """An event of the machine."""
        machine = self._entry.machine
        if isinstance(message, FromWire):
            self._obey(machine.handle(message))
        elif isinstance(message, Respond):
            self._obey(machine.handle(FromUser(message.response)))
        elif isinstance(message, Fired):
            self._entry.deadlines.pop(message.timer, None)
            self._obey(machine.handle(message))
        elif isinstance(message, Unsent):
            self._obey(machine.handle(Unreachable(message.reason)))

    def _obey(self, commands: list[Command]) -> None:
        entry, context = self._entry, self.context
        for command in commands:
            if isinstance(command, ToWire):
                coder = self._wiring.coder
                assert coder is not None
                coder.tell(Encode(command.message, entry.target, context))
            elif isinstance(command, Arm):
                entry.deadlines[command.timer] = context.system.now() + command.seconds
                context.after(command.seconds, Fired(command.timer), key=command.timer)
            elif isinstance(command, Disarm):
                entry.deadlines.pop(command.timer, None)
                context.cancel(command.timer)
            elif isinstance(command, ToUser):
                self._tell_user(command.what)
            elif isinstance(command, End):
                self._wiring.table.remove(entry)
                entry.cell = None  # else each keeps the other in memory until cycles are looked for
                context.stop()

    def _tell_user(self, what: Request | Response | Trouble) -> None:
        entry = self._entry
        if isinstance(what, Request):
            proxy = self._wiring.proxy
            if proxy is not None and entry.flow is not None:
                proxy.tell(IncomingAck(what, entry.flow))
        elif entry.user is None:
            return
        elif isinstance(what, Response):
            entry.user.tell(Answer(entry.key, what))
        elif entry.flow is None:
            entry.user.tell(Failure(entry.key, what))
        else:
            entry.user.tell(ServerFailed(self.context, what))
