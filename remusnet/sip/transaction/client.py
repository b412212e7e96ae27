"""Client transactions: RFC 3261, 17.1, figures 5 and 6, with RFC 6026's Accepted."""

from __future__ import annotations

from remusnet.sip.message import Request, Response
from remusnet.sip.message.build import ack
from remusnet.sip.timers import Timers
from remusnet.sip.transaction.machine import (
    Arm,
    Command,
    Disarm,
    Event,
    Fired,
    FromWire,
    Machine,
    ToUser,
    ToWire,
    Trouble,
    Unreachable,
)

_SILENT = "silent"


def _response(event: Event) -> Response | None:
    if isinstance(event, FromWire) and isinstance(event.message, Response):
        return event.message
    return None


class InviteClient(Machine):
    """Calling, Proceeding, Completed, Accepted (RFC 6026, figure 5), Terminated."""

    def __init__(self, request: Request, *, reliable: bool, timers: Timers) -> None:
        super().__init__(request, reliable=reliable, timers=timers)
        self._interval = timers.t1
        self._ack: Request | None = None

    def begin(self) -> list[Command]:
        """Send the INVITE; over UDP repeat it at T1, 2 T1, 4 T1... without an upper bound."""
        self.state = self.calling
        commands: list[Command] = [ToWire(self.request), Arm("B", self.timers.transaction)]
        if not self.reliable:
            commands.append(Arm("A", self._interval))
        return commands

    def calling(self, event: Event) -> list[Command]:
        """No response yet."""
        if event == Fired("A"):
            self._interval *= 2
            return [ToWire(self.request), Arm("A", self._interval)]
        if event == Fired("B"):
            return self.end(ToUser(Trouble.TIMEOUT))
        if isinstance(event, Unreachable):
            return self.end(ToUser(Trouble.TRANSPORT))
        if (response := _response(event)) is None:
            return []
        return [Disarm("A"), Disarm("B"), *self._answered(response)]

    def proceeding(self, event: Event) -> list[Command]:
        """A provisional response has come: nothing is repeated.

        RFC 3261 has no timer here. But the proxy gives up at Timer C, and 64*T1 after its CANCEL
        (9.1, 16.8): a callee that is silent for longer than both leaves nothing behind.
        """
        if event == Fired(_SILENT):
            return self.end(ToUser(Trouble.TIMEOUT))
        response = _response(event)
        return [] if response is None else self._answered(response)

    def _answered(self, response: Response) -> list[Command]:
        if response.status < 200:
            self.state = self.proceeding
            return [ToUser(response), Arm(_SILENT, self.timers.c + 2 * self.timers.transaction)]
        if response.status < 300:
            self.state = self.accepted
            return [Disarm(_SILENT), ToUser(response), Arm("M", self.timers.transaction)]
        self._ack = ack(self.request, response)
        wait = self.wait(self.completed, "D", self.timers.d)
        return [Disarm(_SILENT), ToWire(self._ack), ToUser(response), wait]

    def accepted(self, event: Event) -> list[Command]:
        """Each 2xx goes up, also those of other branches below (RFC 6026, 7.2)."""
        if event == Fired("M"):
            return self.end()
        response = _response(event)
        return [ToUser(response)] if response is not None and 200 <= response.status < 300 else []

    def completed(self, event: Event) -> list[Command]:
        """Each repeated final response gets the ACK again."""
        if event == Fired("D"):
            return self.end()
        if isinstance(event, Unreachable):
            return self.end(ToUser(Trouble.TRANSPORT))
        response = _response(event)
        if response is None or response.status < 300 or self._ack is None:
            return []
        return [ToWire(self._ack)]


class NonInviteClient(Machine):
    """Trying, Proceeding, Completed, Terminated."""

    def __init__(self, request: Request, *, reliable: bool, timers: Timers) -> None:
        super().__init__(request, reliable=reliable, timers=timers)
        self._interval = timers.t1

    def begin(self) -> list[Command]:
        """Send the request; over UDP repeat it at T1, doubling up to T2."""
        self.state = self.trying
        commands: list[Command] = [ToWire(self.request), Arm("F", self.timers.transaction)]
        if not self.reliable:
            commands.append(Arm("E", self._interval))
        return commands

    def trying(self, event: Event) -> list[Command]:
        """No response yet."""
        if event == Fired("E"):
            self._interval = min(2 * self._interval, self.timers.t2)
            return [ToWire(self.request), Arm("E", self._interval)]
        return self._either(event)

    def proceeding(self, event: Event) -> list[Command]:
        """A provisional response has come: repeat at T2."""
        if event == Fired("E"):
            return [ToWire(self.request), Arm("E", self.timers.t2)]
        return self._either(event)

    def _either(self, event: Event) -> list[Command]:
        if event == Fired("F"):
            return self.end(ToUser(Trouble.TIMEOUT))
        if isinstance(event, Unreachable):
            return self.end(ToUser(Trouble.TRANSPORT))
        if (response := _response(event)) is None:
            return []
        if response.status < 200:
            self.state = self.proceeding
            return [ToUser(response)]
        wait = self.wait(self.completed, "K", self.timers.t4)
        return [Disarm("E"), Disarm("F"), ToUser(response), wait]

    def completed(self, event: Event) -> list[Command]:
        """Repeated responses are absorbed."""
        return self.end() if event == Fired("K") else []
