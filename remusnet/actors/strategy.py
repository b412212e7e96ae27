"""What a parent does when a child fails, as values: one table says who restarts whom."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from random import Random

from remusnet.errors import InvalidInput


class Directive(Enum):
    """What becomes of an actor that failed (the words are Akka's and OTP's)."""

    RESUME = "resume"  # it goes on with the state that it has
    RESTART = "restart"  # a new instance takes its reference and its mailbox
    STOP = "stop"  # it ends, and its parent goes on without it
    ESCALATE = "escalate"  # its failure becomes its parent's


class Scope(Enum):
    """Which siblings are restarted with it (OTP, supervisor: restart strategies)."""

    ONE_FOR_ONE = "one-for-one"  # none
    REST_FOR_ONE = "rest-for-one"  # its siblings that were started after it


class OnChildren(Enum):
    """What becomes of an actor's children while the actor itself is restarted."""

    STOP = "stop"  # they end; those that its spec declares are started anew (Akka)
    KEEP = "keep"  # they go on; those whose failure escalated are restarted
    RESTART = "restart"  # each is restarted in its place, from the top down


class OnMessage(Enum):
    """What becomes of the message whose processing failed."""

    DROP = "drop"  # it is a dead letter (Akka)
    RETRY = "retry"  # it is processed once more; if that fails too, it is a dead letter


@dataclass(frozen=True, slots=True)
class Window:
    """At most ``most`` failures within ``seconds``, counted in a sliding window (as OTP counts).

    A failure ``seconds`` ago or longer does not count any more.
    """

    most: int = 5
    seconds: float = 30.0

    def __post_init__(self) -> None:
        """Raise InvalidInput for a window that no failure, or every failure, fits in."""
        if self.most < 0 or not self.seconds > 0:
            raise InvalidInput(f"invalid window: {self.most} failures in {self.seconds} s")

    def count(self, times: deque[float], now: float) -> bool:
        """Note a failure at ``now`` (s) in ``times``; true where it is one too many."""
        self.forget(times, now)
        times.append(now)
        return len(times) > self.most

    def forget(self, times: deque[float], now: float) -> None:
        """Take out of ``times`` what has left the window by ``now`` (s)."""
        while times and times[0] <= now - self.seconds:
            times.popleft()


@dataclass(frozen=True, slots=True)
class Backoff:
    """A pause before a restart, which doubles with each failure in the window, in seconds.

    ``jitter`` is the share of it that is drawn at random, so that many actors which failed for one
    reason do not all come back at one moment.
    """

    first: float = 0.1
    most: float = 10.0
    jitter: float = 0.2

    def __post_init__(self) -> None:
        """Raise InvalidInput for pauses that can't be."""
        if not 0 < self.first <= self.most or not 0 <= self.jitter <= 1:
            raise InvalidInput(
                f"invalid back-off: from {self.first} s to {self.most} s, jitter {self.jitter}"
            )

    def pause(self, failures: int, random: Random) -> float:
        """Seconds before the restart after the ``failures``-th failure of the window (from 1)."""
        # 2**64 times any first pause is beyond any most: no float overflows before it is capped.
        pause = min(self.first * 2.0 ** min(failures - 1, 64), self.most)
        return pause * (1 - self.jitter * random.random())


@dataclass(frozen=True, slots=True)
class Strategy:
    """How an actor's failures are answered. The default restarts it, 5 times in 30 s at most.

    A failure beyond ``window`` stops the actor and escalates (Hlaváček 2014, 5.4.4). Without a
    window it never does, so that a back-off is needed, lest a failing start spins.
    ``exceptions``: other directives for some classes of errors; the first that fits is taken.
    """

    directive: Directive = Directive.RESTART
    scope: Scope = Scope.ONE_FOR_ONE
    window: Window | None = Window()
    children: OnChildren = OnChildren.STOP
    message: OnMessage = OnMessage.DROP
    backoff: Backoff | None = None
    exceptions: tuple[tuple[type[Exception], Directive], ...] = ()

    def __post_init__(self) -> None:
        """Raise InvalidInput for a strategy under which a failing start would spin."""
        if self.window is None and self.backoff is None and self.directive is Directive.RESTART:
            raise InvalidInput("invalid strategy: restarts without a window need a back-off")

    def directive_for(self, error: Exception) -> Directive:
        """What this strategy does about ``error``, its window aside."""
        for kind, directive in self.exceptions:
            if isinstance(error, kind):
                return directive
        return self.directive
