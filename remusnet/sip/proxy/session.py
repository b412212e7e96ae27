"""A session: the actor of one call, or of one request that belongs to none.

It asks (who sends this, where is the callee), lets contexts decide, and does what they say. What it
works on is its `Call`: an instance that takes over finds all in it, and arms its timers again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from remusnet.actors import Actor
from remusnet.sip.auth import Result, challenge, check, take_credentials
from remusnet.sip.flows import Target, Transport
from remusnet.sip.location import Found, Lookup
from remusnet.sip.message import Request
from remusnet.sip.message.build import reply, tag_of
from remusnet.sip.message.uri import Uri, read_address
from remusnet.sip.proxy.admission import Admitted, Claim, Refusal, Unproven, admission
from remusnet.sip.proxy.calls import Call, Calls, Way, Work, learn
from remusnet.sip.proxy.context import (
    ArmC,
    Branch,
    Command,
    DisarmC,
    Forward,
    NextGroup,
    Over,
    Reply,
    SendCancel,
)
from remusnet.sip.proxy.dialogs import registered_as, to_contact
from remusnet.sip.proxy.loops import shares
from remusnet.sip.proxy.news import Broken, NewWork, Resolved, TimerC, TooLong, UserFound
from remusnet.sip.proxy.request import about_server, is_for_server, is_own_uri, is_served, prepared
from remusnet.sip.proxy.resolver import at_once, look_up
from remusnet.sip.proxy.ways import by_bindings, by_route
from remusnet.sip.signals import Answer, Begin, Cancel, Failure, Respond, SendStateless
from remusnet.sip.wiring import Wiring

# A call whose BYE the proxy hasn't seen is forgotten after this, in seconds.
LONGEST_CALL_S = 12 * 3600.0
LINGER = 0  # stands for a branch; those are numbered from 1


class Session(Actor):
    """Works on the requests of one call."""

    def __init__(self, wiring: Wiring, own: Calls, call: Call) -> None:
        self._wiring = wiring
        self._own = own
        self._call = call
        self._settings = own.settings
        self._tasks: set[asyncio.Task[None]] = set()

    def started(self) -> None:
        """Take over what an earlier instance had."""
        self._call.cell = self.context
        now = self.context.system.now()
        self.context.after(max(self._call.born + LONGEST_CALL_S - now, 0), TooLong(), "long")
        for work in self._call.works.values():
            for branch, deadline in work.deadlines.items():
                self._arm(work, branch, deadline - now)

    def receive(self, message: object) -> None:
        """Something about one of the call's requests."""
        if isinstance(message, Answer | Failure):
            self._of_branch(message)
        elif isinstance(message, NewWork):
            self._begin(self._call.works[message.number])
        elif isinstance(message, Found):
            self._located(message)
        elif isinstance(message, UserFound):
            self._identified(message)
        elif isinstance(message, Resolved):
            self._resolved(message)
        elif isinstance(message, TimerC):
            self._timer_c(message)
        elif isinstance(message, Cancel):
            self._cancel(message)
        elif isinstance(message, Broken):
            self._abandon(message)
        elif isinstance(message, TooLong):
            for leg in self._call.legs.values():
                leg.established = False
            self._end_if_done()

    # Who sends it, and may it?

    def _begin(self, work: Work) -> None:
        if work.in_dialog:
            self._within_dialog(work)
            return
        aor = registered_as(work.judged, self._wiring)
        if aor is not None and self._look_up(work, aor):
            work.asks_contact = True
        else:
            self._admit(work)

    def _admit(self, work: Work) -> None:
        to_ours = work.contact is not None or is_served(work.judged.uri, self._wiring)
        found = admission(work.request, work.flow, self._settings, self._wiring, to_ours=to_ours)
        if found is Admitted.YES:
            self._route(work)
        elif found is Admitted.IGNORED:
            self._forget(work.number)
        elif isinstance(found, Refusal):
            self._refuse(work, found.status, found.reason)
        elif isinstance(found, Unproven):
            self._challenge(work, found.realm, stale=False)
        elif isinstance(found, Claim):
            self._ask_for_user(work, found.given, found.realm)

    def _ask_for_user(self, work: Work, given: dict[str, str], realm: str) -> None:
        cell, store, number = self.context, self._own.store, work.number

        async def ask() -> None:
            user, away = None, False
            try:
                user = await store.user(given.get("username", ""), realm)
            except Exception:  # noqa: BLE001 - whatever it is, the client gets an answer
                away = True
            cell.tell(UserFound(number, given, user, away))

        self._start(ask())

    def _identified(self, found: UserFound) -> None:
        work = self._call.works.get(found.number)
        if work is None:
            return
        if found.away:
            self._refuse(work, 503)
            return
        method = work.request.method.decode("ascii", "replace")
        result = check(found.given, found.user, method, self._own.nonces, self._settings.digests)
        sender = read_address(work.request.get("from") or b"")
        realm = found.given["realm"]
        if result is not Result.GOOD or found.user is None or sender is None:
            self._challenge(work, realm, stale=result is Result.STALE)
        elif sender.uri.user != found.user.name.encode():
            self._refuse(work, 403)
        else:
            # Credentials for us stay here; those for others go on to them (22.3).
            take_credentials(work.judged.request, realm)
            self._route(work)

    def _challenge(self, work: Work, realm: str, *, stale: bool) -> None:
        response = reply(work.request, 407)
        digests = self._settings.digests
        challenge(response, realm, self._own.nonces, digests, proxy=True, stale=stale)
        self._obey(work, work.context.give_up(response))

    # Where does it go?

    def _within_dialog(self, work: Work) -> None:
        """Sends it to the other side: where its first request came from, or went to.

        Contacts and Routes may say what they like.
        """
        end = work.leg.ends.get(tag_of(work.request.get("to") or b""))
        if end is None:
            self._refuse(work, 481)
            return
        uri = work.judged.uri
        text = uri.text
        if is_own_uri(uri, self._wiring) and end.contact is not None:
            text = end.contact
        self._forward(work, [[Way(text, (end.target,))]])

    def _route(self, work: Work) -> None:
        uri = work.judged.uri
        routes = work.judged.request.values("route")
        if work.contact is not None:
            self._forward(work, [[work.contact]])
        elif routes:
            # A Route leads only where a configured one leads.
            if (way := by_route(uri, routes[0], self._settings)) is not None:
                self._forward(work, [[way]])
            else:
                self._refuse(work, 403)
        elif is_for_server(uri, self._wiring):
            self._obey(work, work.context.give_up(about_server(work.request)))
        elif is_served(uri, self._wiring):
            if not self._look_up(work, self._wiring.aor(uri)):
                self._refuse(work, 503)
        else:
            self._to_others(work, uri)

    def _look_up(self, work: Work, aor: bytes) -> bool:
        """Ask the location; False: it has no room."""
        location = self._wiring.location
        assert location is not None
        return location.tell(Lookup(aor, self.context, work.number))

    def _to_others(self, work: Work, uri: Uri) -> None:
        target = at_once(uri, self._settings)
        if target is not None:
            self._forward(work, [[Way(uri.text, (target,))]])
            return
        if not self._settings.use_dns:
            self._refuse(work, 404)
            return
        cell, number = self.context, work.number

        async def ask() -> None:
            targets: tuple[Target, ...] = ()
            with suppress(Exception):  # whatever it is, the client gets an answer
                targets = await look_up(uri)
            cell.tell(Resolved(number, uri.text, targets))

        self._start(ask())

    def _resolved(self, found: Resolved) -> None:
        if (work := self._call.works.get(found.number)) is not None:
            self._forward(work, [[Way(found.uri, found.targets)]] if found.targets else [])

    def _located(self, found: Found) -> None:
        work = self._call.works.get(found.key) if isinstance(found.key, int) else None
        if work is None:
            return
        sockets = self._wiring.sockets
        if work.asks_contact:
            uri, bindings = work.judged.uri.text, found.bindings or ()
            work.contact = to_contact(uri, bindings, self._settings, sockets)
            work.asks_contact = False
            self._admit(work)
            return
        if found.bindings is None:
            self._refuse(work, 503)
            return
        secure = work.judged.uri.scheme == "sips"
        self._forward(work, by_bindings(found.bindings, self._settings, sockets, secure=secure))

    # Forwarding, and what comes of it.

    def _forward(self, work: Work, groups: list[list[Way]]) -> None:
        if work.request.method == b"ACK":
            self._forward_ack(work, groups)
            return
        work.groups = groups
        self._next_group(work)

    def _next_group(self, work: Work) -> None:
        if not work.groups:
            self._obey(work, work.context.give_up(reply(work.request, 480)))
            return
        group = work.groups.pop(0)
        work.context.more = bool(work.groups)
        breadth = shares(work.judged.breadth, len(group))
        if len(breadth) < len(group):
            if work.request.method != b"INVITE" or not breadth:
                self._refuse(work, 440)
                return
            # Those that it has no breadth for now come after the others (RFC 5393, 5.3.3).
            work.groups.insert(0, group[len(breadth) :])
            work.context.more = True
        branches = []
        for way, share in zip(group, breadth, strict=False):
            work.branches += 1
            branches.append(self._branch(work, way, work.branches, share))
        self._obey(work, work.context.begin(branches))

    def _branch(self, work: Work, way: Way, number: int, share: int) -> Branch:
        first, *others = way.targets
        work.ways[number] = (way, share)
        return Branch(number, self._copy(work, way, first, share), first, others)

    def _copy(self, work: Work, way: Way, target: Target, share: int | None) -> Request:
        dialog_begins = work.request.method in (b"INVITE", b"SUBSCRIBE", b"REFER")
        by_tls = Transport.TLS in (work.flow.transport, target.transport)
        # Where TLS begins or ends, it is no matter of configuration (16.6, step 4).
        wanted = self._settings.record_route or (by_tls and work.flow.transport != target.transport)
        record = work.flow.transport if dialog_begins and wanted else None
        return prepared(
            work.judged,
            way.uri,
            target,
            self._wiring,
            unique=self._own.unique(),
            routes=way.routes,
            record=record,
            leg=work.leg.number,
            breadth=share,
        )

    def _forward_ack(self, work: Work, groups: list[list[Way]]) -> None:
        """An ACK for a 2xx has no transaction (16.11 and 17)."""
        if groups and groups[0]:
            way = groups[0][0]
            target = way.targets[0]
            transactions = self._wiring.transactions
            assert transactions is not None
            transactions.tell(SendStateless(self._copy(work, way, target, None), target))
        self._forget(work.number)

    def _refuse(self, work: Work, status: int, reason: str = "") -> None:
        response = reply(work.request, status, reason=reason)
        if status == 503:
            response.add("Retry-After", b"5")
        if work.transaction is None:
            self._forget(work.number)
            return
        self._obey(work, work.context.give_up(response))

    def _of_branch(self, message: Answer | Failure) -> None:
        assert isinstance(message.key, tuple)
        number, branch, *cancelling = message.key
        work = self._call.works.get(number)
        if cancelling:
            if work is not None and isinstance(message, Failure):
                self._obey(work, work.context.uncancelled(branch))
        elif isinstance(message, Answer):
            if work is None:
                return
            response = message.response.copy()
            response.pop("via")
            learn(work, branch, response)
            self._obey(work, work.context.answer(branch, response))
        elif work is not None:
            self._obey(work, work.context.failure(branch, message.trouble))

    def _abandon(self, broken: Broken) -> None:
        for work in tuple(self._call.works.values()):
            if work.number != broken.number and work.transaction is not broken.transaction:
                continue
            if work.transaction is None:
                self._forget(work.number)
            else:
                self._obey(work, work.context.abandon(reply(work.request, 500)))

    def _cancel(self, cancel: Cancel) -> None:
        for work in self._call.works.values():
            if work.transaction is cancel.transaction:
                self._obey(work, work.context.caller_cancels())
                return

    def _obey(self, work: Work, commands: list[Command]) -> None:
        transactions = self._wiring.transactions
        assert transactions is not None
        for command in commands:
            if isinstance(command, Forward):
                branch = command.branch
                if branch.tries > 1:
                    # Another place, another transaction: another branch, and perhaps transport.
                    way, share = work.ways[branch.number]
                    branch.request = self._copy(work, way, branch.target, share)
                key = (work.number, branch.number)
                transactions.tell(Begin(branch.request, branch.target, self.context, key))
            elif isinstance(command, SendCancel):
                cancelling = (work.number, command.branch, "cancel")
                begin = Begin(command.request, command.target, self.context, cancelling)
                transactions.tell(begin)
            elif isinstance(command, Reply):
                if work.transaction is not None:
                    work.transaction.tell(Respond(command.response))
            elif isinstance(command, ArmC):
                timers = self._wiring.timers
                seconds = timers.transaction if command.after_cancel else timers.c
                work.deadlines[command.branch] = self.context.system.now() + seconds
                self._arm(work, command.branch, seconds)
            elif isinstance(command, DisarmC):
                work.deadlines.pop(command.branch, None)
                self.context.cancel(("c", work.number, command.branch))
            elif isinstance(command, NextGroup):
                self._next_group(work)
            elif isinstance(command, Over):
                self._over(work)

    def _over(self, work: Work) -> None:
        """No branch is pending. An INVITE's other 2xx may still come for 64*T1 (RFC 6026, 7.2)."""
        if work.context.accepted:
            seconds = self._wiring.timers.transaction
            self._linger(work, seconds)
        else:
            self._forget(work.number)

    def _timer_c(self, fired: TimerC) -> None:
        if (work := self._call.works.get(fired.number)) is None:
            return
        work.deadlines.pop(fired.branch, None)
        if fired.branch == LINGER:
            self._forget(work.number)
        else:
            self._obey(work, work.context.timer_c(fired.branch))

    def _linger(self, work: Work, seconds: float) -> None:
        work.deadlines[LINGER] = self.context.system.now() + seconds
        self._arm(work, LINGER, seconds)

    def _forget(self, number: int) -> None:
        work = self._call.works.pop(number, None)
        if work is not None and not work.leg.established:
            used = any(each.leg is work.leg for each in self._call.works.values())
            if not used:
                self._call.legs.pop(work.leg.number, None)
        self._end_if_done()

    def _arm(self, work: Work, branch: int, seconds: float) -> None:
        message = TimerC(work.number, branch)
        self.context.after(max(seconds, 0), message, ("c", work.number, branch))

    def _end_if_done(self) -> None:
        if not self._call.works and not self._call.established:
            self._own.calls.pop(self._call.call_id, None)
            self._call.cell = None  # as a transaction's entry
            self.context.stop()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.context.system.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
