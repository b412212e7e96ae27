"""The session router: which call a request belongs to, and whether it may be worked on at all.

Its table leads from a Call-ID to a session, the actor of that call (Hlaváček 2014, 5.3).
"""

from __future__ import annotations

from remusnet.actors import Actor, Cell, Spec, Strategy
from remusnet.sip.flows import Flow
from remusnet.sip.message import Request
from remusnet.sip.message.build import reply
from remusnet.sip.message.via import top
from remusnet.sip.proxy.calls import Call, Calls, Work
from remusnet.sip.proxy.context import Context
from remusnet.sip.proxy.dialogs import leg_of
from remusnet.sip.proxy.news import NewWork
from remusnet.sip.proxy.request import Rejected, is_for_server, judge
from remusnet.sip.proxy.session import Session
from remusnet.sip.signals import Cancel, Incoming, IncomingAck, Respond
from remusnet.sip.transport.table import server_name
from remusnet.sip.wiring import Wiring


class Proxy(Actor):
    """Makes a session for each call. ``volatile``: its table goes with it, its sessions too."""

    def __init__(
        self, wiring: Wiring, own: Calls, strategy: Strategy, *, volatile: bool = False
    ) -> None:
        self._wiring = wiring
        self._own = own
        self._strategy = strategy
        self._volatile = volatile

    def started(self) -> None:
        """Enter itself; make sessions for calls that have none any more."""
        self._wiring.proxy = self.context
        for call in self._own.calls.values():
            if call.cell is None or not call.cell.alive:
                self._spawn(call)

    def restarting(self, error: Exception | None) -> None:
        """Forget all calls, where the preset says so."""
        del error
        if self._volatile:
            self._own.calls.clear()

    def receive(self, message: object) -> None:
        """A request, an ACK of a 2xx, or a CANCEL."""
        if isinstance(message, Incoming):
            try:
                self._request(message)
            except Rejected as rejected:
                message.transaction.tell(Respond(rejected.response))
        elif isinstance(message, IncomingAck):
            try:
                self._work(message.request, message.flow, None)
            except Rejected:
                return  # an ACK has no answer
        elif isinstance(message, Cancel):
            call = self._own.calls.get(message.request.call_id)
            if call is not None and call.cell is not None:
                call.cell.tell(message)

    def _request(self, incoming: Incoming) -> None:
        request = incoming.request
        if request.method == b"CANCEL":
            # Its INVITE would have been found: there is nothing to cancel (9.2).
            raise Rejected(reply(request, 481))
        self._work(request, incoming.flow, incoming.transaction)

    def _work(self, request: Request, flow: Flow, transaction: Cell | None) -> None:
        judged = judge(request, self._wiring)
        if is_for_server(judged.uri, self._wiring) and self._wiring.table.is_merged(
            request, server_name(request, top(request))
        ):
            raise Rejected(reply(request, 482))
        own = self._own
        call = own.calls.get(request.call_id)
        if call is None:
            if len(own.calls) >= own.most:
                self._wiring.counts.overload += 1
                refusal = reply(request, 503)
                refusal.add("Retry-After", b"5")
                raise Rejected(refusal)
            own.numbers += 1
            call = Call(request.call_id, str(own.numbers), born=self.context.system.now())
            own.calls[request.call_id] = call
        in_dialog, leg = leg_of(call, request, judged, flow)
        call.numbers += 1
        work = Work(
            call.numbers, request, flow, transaction, judged, Context(request), leg, in_dialog
        )
        call.works[work.number] = work
        cell = call.cell
        if cell is None or not cell.alive:
            cell = self._spawn(call)
        cell.tell(NewWork(work.number))

    def _spawn(self, call: Call) -> Cell:
        spec = Spec(
            call.name,
            lambda: Session(self._wiring, self._own, call),
            kind="session",
            strategy=self._strategy,
        )
        call.cell = self.context.spawn(spec)
        return call.cell
