"""A response context (RFC 3261, 16.7): the branches of one request, and what goes back of them.

No I/O and no clock: it takes what happened, and returns commands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from remusnet.sip.flows import Target
from remusnet.sip.message import Request, Response
from remusnet.sip.message.build import cancel, reply
from remusnet.sip.transaction import Trouble


class BranchState(Enum):
    """How far a branch has come."""

    TRYING = "trying"
    PROCEEDING = "proceeding"  # a provisional response has come: it can be cancelled
    FINAL = "final"


@dataclass(slots=True)
class Branch:
    """A copy of the request, and where it went. ``others``: where else it may (RFC 3263, 4.3)."""

    number: int
    request: Request
    target: Target
    others: list[Target] = field(default_factory=list)
    state: BranchState = BranchState.TRYING
    cancelled: bool = False
    tries: int = 1


# Commands.


@dataclass(frozen=True, slots=True)
class Forward:
    """Begin a client transaction for a branch."""

    branch: Branch


@dataclass(frozen=True, slots=True)
class SendCancel:
    """Begin a client transaction for this CANCEL of a branch.

    Its answer doesn't matter (9.1); where it can't be sent, `uncancelled` is called.
    """

    request: Request
    target: Target
    branch: int


@dataclass(frozen=True, slots=True)
class Reply:
    """Send this response back."""

    response: Response


@dataclass(frozen=True, slots=True)
class ArmC:
    """Timer C of a branch, or its 64*T1 after a CANCEL; it takes the place of the one armed."""

    branch: int
    after_cancel: bool = False


@dataclass(frozen=True, slots=True)
class DisarmC:
    """The branch has its final response."""

    branch: int


@dataclass(frozen=True, slots=True)
class NextGroup:
    """All tried so far have failed: try those of the next q, or else answer."""


@dataclass(frozen=True, slots=True)
class Over:
    """All branches have ended, and the answer has been sent."""


Command = Forward | SendCancel | Reply | ArmC | DisarmC | NextGroup | Over


@dataclass(slots=True)
class Context:
    """``request``: as it came, whose responses these are. ``more``: whether groups are left."""

    request: Request
    branches: dict[int, Branch] = field(default_factory=dict)
    finals: list[Response] = field(default_factory=list)
    more: bool = False
    answered: bool = False  # a final response has gone back
    cancelled: bool = False
    accepted: bool = False  # with a 2xx
    over: bool = False
    silent: bool = False  # a non-INVITE that timed out: no answer (RFC 4320, 4.2)

    @property
    def is_invite(self) -> bool:
        """Whether it is an INVITE: its 2xx are not the only ones, and it can be cancelled."""
        return self.request.method == b"INVITE"

    def begin(self, branches: list[Branch]) -> list[Command]:
        """Forward to these at the same time (16.6)."""
        commands: list[Command] = []
        for branch in branches:
            self.branches[branch.number] = branch
            commands.append(Forward(branch))
            if self.is_invite:
                commands.append(ArmC(branch.number))
        return commands

    def answer(self, number: int, response: Response) -> list[Command]:
        """A branch has got ``response``, from which our Via is taken already (16.7)."""
        branch = self.branches.get(number)
        if branch is None:
            return []
        if response.status < 200:
            return self._provisional(branch, response)
        if 200 <= response.status < 300 and branch.state is BranchState.FINAL:
            # Another 2xx of the same branch: a fork further down (16.7, step 5).
            return [Reply(response)] if self.is_invite and self.accepted else []
        if branch.state is BranchState.FINAL:
            return []
        if response.status == 503 and branch.others and not branch.cancelled:
            return self._elsewhere(branch)
        branch.state = BranchState.FINAL
        commands: list[Command] = [DisarmC(number)] if self.is_invite else []
        if response.status < 300:
            if self.is_invite or not self.answered:
                commands.append(Reply(response))
            self.answered = self.accepted = True
            self.more = False
            return [*commands, *self.cancel_all(), *self._over_if_done()]
        self.finals.append(response)
        if response.status >= 600:
            self.more = False
            commands += self.cancel_all()
        return [*commands, *self._decide()]

    def failure(self, number: int, trouble: Trouble) -> list[Command]:
        """A branch's transaction has failed: as if a 408 or a 503 had come (16.7 and 16.9)."""
        branch = self.branches.get(number)
        if branch is None or branch.state is BranchState.FINAL:
            return []
        if branch.others and not branch.cancelled:
            return self._elsewhere(branch)
        if trouble is Trouble.TIMEOUT and not self.is_invite:
            self.silent = True
        status = 408 if trouble is Trouble.TIMEOUT else 503
        return self.answer(number, reply(self.request, status))

    def timer_c(self, number: int) -> list[Command]:
        """Timer C, or the wait after a CANCEL, has run out (16.8)."""
        branch = self.branches.get(number)
        if branch is None or branch.state is BranchState.FINAL:
            return []
        if branch.state is BranchState.PROCEEDING and not branch.cancelled:
            return self._cancel(branch)
        branch.others.clear()
        return self.answer(number, reply(self.request, 408))

    def cancel_all(self) -> list[Command]:
        """Cancel all that are pending (16.10); those without a response as soon as one comes."""
        self.more = False
        if not self.is_invite:
            return []
        pending = [each for each in self.branches.values() if each.state is not BranchState.FINAL]
        return [command for each in pending if not each.cancelled for command in self._cancel(each)]

    def caller_cancels(self) -> list[Command]:
        """The caller has cancelled."""
        if self.answered:
            return []
        self.cancelled = True
        commands = self.cancel_all()
        if not self.branches:
            self.finals.append(reply(self.request, 487))
            commands += self._decide()
        return commands

    def uncancelled(self, number: int) -> list[Command]:
        """The CANCEL of a branch could not be sent: the context need not wait for its effect."""
        branch = self.branches.get(number)
        return self.timer_c(number) if branch is not None and branch.cancelled else []

    def abandon(self, response: Response) -> list[Command]:
        """Answer now, whatever is pending; that is cancelled."""
        if self.answered:
            return []
        self.answered = True
        return [Reply(response), *self.cancel_all(), *self._over_if_done()]

    def give_up(self, response: Response) -> list[Command]:
        """There is nothing to forward to: answer."""
        self.more = False
        self.finals.append(response)
        return self._decide()

    def _provisional(self, branch: Branch, response: Response) -> list[Command]:
        if branch.state is BranchState.FINAL:
            return []
        commands: list[Command] = []
        first = branch.state is BranchState.TRYING
        branch.state = BranchState.PROCEEDING
        if branch.cancelled:
            if first:
                commands = [SendCancel(cancel(branch.request), branch.target, branch.number)]
        elif self.is_invite and response.status > 100:
            commands = [ArmC(branch.number)]
        if response.status > 100 and not self.answered:
            commands.append(Reply(response))
        return commands

    def _cancel(self, branch: Branch) -> list[Command]:
        branch.cancelled = True
        commands: list[Command] = [ArmC(branch.number, after_cancel=True)]
        if branch.state is BranchState.PROCEEDING:
            commands.append(SendCancel(cancel(branch.request), branch.target, branch.number))
        return commands

    def _elsewhere(self, branch: Branch) -> list[Command]:
        branch.target = branch.others.pop(0)
        branch.state = BranchState.TRYING
        branch.tries += 1
        return [Forward(branch)]

    def _decide(self) -> list[Command]:
        """When all have failed: try more, or send the best (16.7, step 6)."""
        if any(each.state is not BranchState.FINAL for each in self.branches.values()):
            return []
        if self.answered:
            return self._over_if_done()
        if self.more and not self.cancelled:
            return [NextGroup()]
        self.answered = True
        if self.silent and all(each.status in (408, 503) for each in self.finals):
            return self._over_if_done()
        return [Reply(best(self.finals, self.request)), *self._over_if_done()]

    def _over_if_done(self) -> list[Command]:
        done = all(each.state is BranchState.FINAL for each in self.branches.values())
        if not done or not self.answered or self.over:
            return []
        self.over = True
        return [Over()]


def best(finals: list[Response], request: Request) -> Response:
    """The response to send back: a 6xx, else of the lowest class; 503 as 500 (16.7, step 6).

    Of 4xx those are taken before others that let the caller do something. All challenges go along.
    """
    helpful = (401, 407, 415, 420, 484)

    def rank(response: Response) -> tuple[int, int]:
        family = response.status // 100
        if family == 6:
            return (0, 0)
        # A 503 says only that its own server is busy, a 408 only that a server is silent.
        late = 2 if response.status in (503, 408) else 1
        return (family, 0 if response.status in helpful else late)

    if not finals:
        return reply(request, 480)
    chosen = min(finals, key=rank)
    if chosen.status == 503:
        return reply(request, 500)
    if chosen.status in (401, 407):
        chosen = chosen.copy()
        for other in finals:
            if other.status in (401, 407) and other.headers != chosen.headers:
                chosen.headers += [
                    found
                    for found in other.headers
                    if found.name in (b"www-authenticate", b"proxy-authenticate")
                    and found not in chosen.headers
                ]
                chosen.forget()
    return chosen
