"""Server transactions: RFC 3261, 17.2, figures 7 and 8, with RFC 6026's Accepted.

The user hears of a response that can't be sent; that ends no transaction (RFC 6026, 7.1): else a
repetition of its request would be a new one. Their timers end them.
"""

from __future__ import annotations

from remusnet.sip.message import Request, Response
from remusnet.sip.message.build import reply, respond
from remusnet.sip.timers import Timers
from remusnet.sip.transaction.machine import (
    Arm,
    Command,
    Disarm,
    Event,
    Fired,
    FromUser,
    FromWire,
    Machine,
    ToUser,
    ToWire,
    Trouble,
    Unreachable,
)

_SILENT = "silent"


def _request(event: Event) -> Request | None:
    if isinstance(event, FromWire) and isinstance(event.message, Request):
        return event.message
    return None


class InviteServer(Machine):
    """Proceeding, Completed, Confirmed, Accepted (RFC 6026, figure 7), Terminated."""

    def __init__(self, request: Request, *, reliable: bool, timers: Timers) -> None:
        super().__init__(request, reliable=reliable, timers=timers)
        self._interval = timers.t1
        self._last: Response = respond(request, 100)

    def begin(self) -> list[Command]:
        """Say 100 at once: a proxy's answer takes longer than 200 ms often enough (17.2.1)."""
        self.state = self.proceeding
        return [ToWire(self._last), Arm(_SILENT, self.timers.orphaned)]

    def proceeding(self, event: Event) -> list[Command]:
        """No final response yet; a repeated INVITE gets the last provisional one.

        RFC 3261 has no timer here, for its user is always there. This server's may be lost (under
        ``thesis``, with all calls): then the server tells the caller so, some time (as by 16.8).
        """
        if event == Fired(_SILENT):
            event = FromUser(reply(self.request, 408))
        if (request := _request(event)) is not None:
            return [ToWire(self._last)] if request.method == b"INVITE" else []
        if isinstance(event, Unreachable):
            return [ToUser(Trouble.TRANSPORT)]
        if not isinstance(event, FromUser):
            return []
        self._last = event.response
        if event.response.status < 200:
            return [ToWire(event.response), Arm(_SILENT, self.timers.orphaned)]
        commands: list[Command] = [Disarm(_SILENT), ToWire(event.response)]
        if event.response.status < 300:
            self.state = self.accepted
            return [*commands, Arm("L", self.timers.transaction)]
        self.state = self.completed
        commands.append(Arm("H", self.timers.transaction))
        if not self.reliable:
            commands.append(Arm("G", self._interval))
        return commands

    def accepted(self, event: Event) -> list[Command]:
        """A 2xx was sent: others may follow, ACKs go up, repeated INVITEs are absorbed."""
        if event == Fired("L"):
            return self.end()
        request = _request(event)
        if request is not None and request.method == b"ACK":
            return [ToUser(request)]
        if isinstance(event, FromUser) and 200 <= event.response.status < 300:
            return [ToWire(event.response)]
        return []

    def completed(self, event: Event) -> list[Command]:
        """A final response that is no 2xx was sent: it is repeated until the ACK comes."""
        request = _request(event)
        if request is not None and request.method == b"ACK":
            wait = self.wait(self.confirmed, "I", self.timers.t4)
            return [Disarm("G"), Disarm("H"), wait]
        if request is not None:
            return [ToWire(self._last)]
        if event == Fired("G"):
            self._interval = min(2 * self._interval, self.timers.t2)
            return [ToWire(self._last), Arm("G", self._interval)]
        if event == Fired("H"):
            return self.end(ToUser(Trouble.TIMEOUT))
        if isinstance(event, Unreachable):
            return [ToUser(Trouble.TRANSPORT)]
        return []

    def confirmed(self, event: Event) -> list[Command]:
        """The ACK has come: repeated ones are absorbed."""
        return self.end() if event == Fired("I") else []


class NonInviteServer(Machine):
    """Trying, Proceeding, Completed, Terminated."""

    def __init__(self, request: Request, *, reliable: bool, timers: Timers) -> None:
        super().__init__(request, reliable=reliable, timers=timers)
        self._last: Response | None = None

    def begin(self) -> list[Command]:
        """Wait for the user's response: a 100 too early is worse than none (RFC 4320, 4.1).

        The client waits until its timer F fires. Then no answer is any use, nor allowed (4.2).
        """
        self.state = self.trying
        return [Arm("F", self.timers.late)]

    def trying(self, event: Event) -> list[Command]:
        """No response yet: a repeated request is absorbed. A client that waits for long gets a
        100.
        """
        if event == Fired("F"):
            return self._either(FromUser(respond(self.request, 100)))
        return self._either(event)

    def proceeding(self, event: Event) -> list[Command]:
        """A repeated request gets the last provisional response."""
        if _request(event) is not None and self._last is not None:
            return [ToWire(self._last)]
        return self._either(event)

    def _either(self, event: Event) -> list[Command]:
        if isinstance(event, Unreachable):
            return [ToUser(Trouble.TRANSPORT)]
        if event == Fired("F"):
            return self.end()
        if not isinstance(event, FromUser):
            return []
        if 100 < event.response.status < 200:
            return []  # no provisional response but 100 goes to a non-INVITE (RFC 4320, 4.1)
        self._last = event.response
        if event.response.status == 100:
            self.state = self.proceeding
            return [ToWire(event.response), Arm("F", self.timers.transaction - self.timers.late)]
        wait = self.wait(self.completed, "J", self.timers.transaction)
        return [ToWire(event.response), Disarm("F"), wait]

    def completed(self, event: Event) -> list[Command]:
        """A repeated request gets the final response again."""
        if event == Fired("J"):
            return self.end()
        if isinstance(event, Unreachable):
            return [ToUser(Trouble.TRANSPORT)]
        if _request(event) is not None and self._last is not None:
            return [ToWire(self._last)]
        return []
