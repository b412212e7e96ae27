"""Drives a plug in the rhythm of a schedule, as Remus would: BUFFER, and RELEASE_ONE at the commit.

Deadlines are counted from deadlines, so a timer that is late does not delay all that follow. But no
epoch is released sooner after its BUFFER than the schedule says, however late that was: the commit
is counted from there. A driver that was stopped for long begins anew, without a burst of
checkpoints.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low
from typing import Protocol

from remusnet.errors import RemusnetError
from remusnet.kernel.plug import Plug
from remusnet.schedule import Schedule

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_NEWS = signal.SIGIO
_PR_SET_TIMERSLACK = 29  # linux/prctl.h
_RECENT = 10_000


class Driven(Protocol):
    """The plug that it drives: a `remusnet.kernel.plug.Plug`."""

    def start(self) -> None:
        """The first epoch begins."""

    def buffer(self) -> None:
        """A checkpoint begins."""

    def release(self) -> None:
        """It has committed."""


class Watched(Protocol):
    """What there can be news of: a `remusnet.kernel.plug.Plug`."""

    def fileno(self) -> int:
        """Readable where there are."""

    def check(self) -> None:
        """Deals with them."""


class Clock(Protocol):
    """Tells the time, and waits for it."""

    def now_ns(self) -> int:
        """A time that only grows, in ns."""

    def wait_until(self, deadline_ns: int) -> bool:
        """Waits; false where something asks to stop instead."""


@dataclass(frozen=True, slots=True)
class Timing:
    """``checkpoints`` that have committed; how late their timers were, in ns.

    ``late_p50_ns`` is of the last 10,000 deadlines (two a checkpoint), ``late_max_ns`` of all.
    ``missed``: how often a whole period or more was lost, and the rhythm began anew.
    """

    checkpoints: int
    elapsed_ns: int
    late_p50_ns: int
    late_max_ns: int
    missed: int

    def to_json(self) -> dict[str, int]:
        """Part of what ``remusnet checkpoint --json`` prints."""
        return {
            "checkpoints": self.checkpoints,
            "elapsed_ns": self.elapsed_ns,
            "late_p50_ns": self.late_p50_ns,
            "late_max_ns": self.late_max_ns,
            "missed": self.missed,
        }


class Checkpointer:
    """Takes checkpoints of ``plug`` by ``schedule`` until ``count`` have committed, until the next
    could not commit within ``duration_ns``, or until the clock stops.

    It opens nothing when it ends: its caller, which has the plug, does.
    """

    def __init__(
        self,
        plug: Driven,
        schedule: Schedule,
        clock: Clock,
        *,
        count: int | None = None,
        duration_ns: int | None = None,
    ) -> None:
        self._plug = plug
        self._schedule = schedule
        self._clock = clock
        self._count = count
        self._duration_ns = duration_ns
        self._checkpoints = 0
        self._missed = 0
        self._latest_ns = 0
        self._recent: deque[int] = deque(maxlen=_RECENT)
        self._start_ns = clock.now_ns()

    def run(self) -> None:
        """Returns at its end, or where the clock stops. Raises what the plug raises."""
        self._plug.start()
        due = self._start_ns + self._schedule.interval_ns
        while not self._is_over(due):
            if not self._wait(due):
                return
            self._plug.buffer()
            # From here, not from when it was due: the commit must not come too soon after it.
            commit = self._clock.now_ns() + self._schedule.busy_ns
            if not self._wait(commit):
                return
            self._plug.release()
            self._checkpoints += 1
            following = due + self._schedule.period_ns
            now = self._clock.now_ns()
            self._missed += now >= following + self._schedule.period_ns
            due = max(following, now)

    def timing(self) -> Timing:
        """The times measured so far. Another thread may ask, too."""
        recent = list(self._recent)
        return Timing(
            checkpoints=self._checkpoints,
            elapsed_ns=self._clock.now_ns() - self._start_ns,
            late_p50_ns=median_low(recent) if recent else 0,
            late_max_ns=self._latest_ns,
            missed=self._missed,
        )

    def _is_over(self, due: int) -> bool:
        if self._count is not None and self._checkpoints >= self._count:
            return True
        end = None if self._duration_ns is None else self._start_ns + self._duration_ns
        return end is not None and due + self._schedule.busy_ns > end

    def _wait(self, deadline_ns: int) -> bool:
        if not self._clock.wait_until(deadline_ns):
            return False
        late = self._clock.now_ns() - deadline_ns
        self._recent.append(late)
        self._latest_ns = max(self._latest_ns, late)
        return True


class SignalClock:
    """The monotonic clock; SIGINT, SIGTERM and SIGHUP end a wait and all waits after it.

    ``number`` is the signal that has come, 0 for none. They have to be blocked: see
    `blocked_signals`.
    """

    def __init__(self) -> None:
        self.number = 0
        self._heard: Watched | None = None

    def hear(self, plug: Watched) -> None:
        """From now on a wait checks ``plug`` as soon as there are news of it, and goes on."""
        self._heard = plug
        fcntl.fcntl(plug, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(plug, fcntl.F_SETFL, fcntl.fcntl(plug, fcntl.F_GETFL) | os.O_ASYNC)

    def close(self) -> None:
        """No news any more: SIGIO would end a process that has not blocked it."""
        if self._heard is not None:
            with suppress(OSError, ValueError):  # the plug is closed
                flags = fcntl.fcntl(self._heard, fcntl.F_GETFL)
                fcntl.fcntl(self._heard, fcntl.F_SETFL, flags & ~os.O_ASYNC)
        self._heard = None
        signal.sigtimedwait((_NEWS,), 0)

    def now_ns(self) -> int:
        """CLOCK_MONOTONIC."""
        return time.monotonic_ns()

    def wait_until(self, deadline_ns: int) -> bool:
        """Sleeps in sigtimedwait(2): a signal neither interrupts an operation nor gets lost.

        Raises what a check of the plug raises.
        """
        while not self.number:
            remaining = max(0, deadline_ns - time.monotonic_ns())
            come = signal.sigtimedwait((*_SIGNALS, _NEWS), remaining / 1e9)
            if come is not None and come.si_signo == _NEWS:
                if self._heard is not None:
                    self._heard.check()
            elif come is not None:
                self.number = come.si_signo
            elif time.monotonic_ns() >= deadline_ns:
                return True
        return False


@contextmanager
def blocked_signals() -> Iterator[SignalClock]:
    """SIGINT, SIGTERM and SIGHUP wait for the clock that this gives; those ignored still are. So
    does SIGIO, by which the kernel says that there are news of a plug.

    Meanwhile the kernel's timers are as exact as it can make them for this thread, instead of
    50 us late on purpose (PR_SET_TIMERSLACK, prctl(2)).
    """
    mask = {each for each in _SIGNALS if signal.getsignal(each) is not signal.SIG_IGN}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*mask, _NEWS})
    _set_timer_slack(1)
    clock = SignalClock()
    try:
        yield clock
    finally:
        _set_timer_slack(0)  # 0: as it was by default
        clock.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _set_timer_slack(ns: int) -> None:
    """Asks for it; where it can't be had, timers are a little late, which the summary shows."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(ns), 0, 0, 0)


class Reporter:
    """Calls ``show`` with the timing every ``seconds``, from a thread of its own.

    A terminal that takes no more text stops that thread, never the checkpoints.
    """

    def __init__(
        self, checkpointer: Checkpointer, show: Callable[[Timing], None], seconds: float = 0.5
    ) -> None:
        self._checkpointer = checkpointer
        self._show = show
        self._seconds = seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Reporter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(self._seconds)

    def _run(self) -> None:
        while not self._over.wait(self._seconds):
            self._show(self._checkpointer.timing())


class _News:
    """Tells the user what happens while a plug is driven, from the reporter's thread."""

    def __init__(
        self,
        plug: Plug,
        show: Callable[[Timing], None] | None,
        warn: Callable[[str], None] | None,
    ) -> None:
        self._plug = plug
        self._show = show
        self._warn = warn
        self._told = 0

    def tell(self, timing: Timing) -> None:
        """Tells the user what is new."""
        self.tell_purges()
        if self._show is not None:
            self._show(timing)

    def tell_purges(self) -> None:
        """Tells the user of the purges since the last time."""
        count = self._plug.purges
        if count > self._told and self._warn is not None:
            self._told = count
            self._warn(
                f"{self._plug.device}: {self._plug.purge}: what it held is lost, and its plug was "
                "cleared so that nothing of the open epoch leaves"
            )


@dataclass(frozen=True, slots=True)
class Summary:
    """A drive that is over. ``released`` and ``dropped``: frames meanwhile, by the kernel's count.

    ``purges``: how often something has emptied the plug without a release; then it was cleared.
    ``signal``: the one that stopped it, 0 for none. ``error``: what ended it, if anything did.
    ``problems``: what could not be written on the way; the plug is opened all the same.
    """

    device: str
    timing: Timing
    released: int
    dropped: int
    purges: int
    signal: int
    error: RemusnetError | None
    problems: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """As ``remusnet checkpoint --json`` prints it."""
        return {
            "device": self.device,
            **self.timing.to_json(),
            "released": self.released,
            "dropped": self.dropped,
            "purges": self.purges,
            "signal": self.signal or None,
            "error": None if self.error is None else str(self.error),
        }


def drive(
    device: str,
    schedule: Schedule,
    *,
    count: int | None = None,
    duration_ns: int | None = None,
    show: Callable[[Timing], None] | None = None,
    warn: Callable[[str], None] | None = None,
    run_dir: Path | None = None,
) -> Summary:
    """Drives the plug of ``device`` until ``count``, ``duration_ns`` or a signal; then opens it.

    ``show`` is called twice a second, from another thread; ``warn`` from there too, with a sentence
    about each time that something has purged the plug, if several came at once, about the last.
    Raises what `Plug` raises before the first checkpoint; a later error ends the drive, and is in
    the summary.
    """
    error: RemusnetError | None = None
    released = dropped = 0
    with blocked_signals() as clock:
        plug = Plug(device, run_dir=run_dir)
        checkpointer = Checkpointer(plug, schedule, clock, count=count, duration_ns=duration_ns)
        news = _News(plug, show, warn)
        try:
            with plug:
                clock.hear(plug)
                before = plug.status()
                with Reporter(checkpointer, news.tell):
                    checkpointer.run()
                after = plug.status()
                released, dropped = after.passed - before.passed, after.drops - before.drops
        except RemusnetError as failure:
            error = failure
        news.tell_purges()
        return Summary(
            device=device,
            timing=checkpointer.timing(),
            released=released,
            dropped=dropped,
            purges=plug.purges,
            signal=clock.number,
            error=error,
            problems=plug.problems,
        )
