"""The rhythm of a live run: the program is frozen at each checkpoint, and runs on after the pause.

`remusnet.kernel.checkpoint.Checkpointer` says when; here is what it drives, and its clock, which
also lets the program run on, ends the run in time, and notices who has died.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from remusnet.kernel.checkpoint import Checkpointer
from remusnet.live.epochs import EpochLog
from remusnet.live.freezer import Freezer
from remusnet.live.plugs import KeeperEnded, LivePlug
from remusnet.live.program import Program
from remusnet.schedule import Schedule

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)
GRACE_NS = 5_000_000_000
"""From SIGTERM until the program is killed."""
_LOOK_NS = 500_000_000
_FOREVER_NS = 1 << 62


@dataclass(slots=True)
class Ends:
    """When what is to happen, by the monotonic clock; `_FOREVER_NS` for never."""

    stop_ns: int = _FOREVER_NS
    fail_ns: int = _FOREVER_NS
    kill_ns: int = _FOREVER_NS
    thaw_ns: int = _FOREVER_NS
    look_ns: int = 0

    @property
    def next_ns(self) -> int:
        """The first of them."""
        return min(self.stop_ns, self.fail_ns, self.kill_ns, self.thaw_ns, self.look_ns)


class LiveDriver:
    """Drives ``plug`` and ``freezer``; it is the clock of its own checkpoints.

    ``look`` is called twice a second, and raises where something is gone. Raises what that, the
    plug and the freezer raise.
    """

    def __init__(
        self,
        program: Program,
        freezer: Freezer,
        plug: LivePlug | None,
        schedule: Schedule,
        log: EpochLog,
        look: Callable[[], None],
    ) -> None:
        self._program = program
        self._freezer = freezer
        self._plug = plug
        self._schedule = schedule
        self._log = log
        self._look = look
        self._ends = Ends()
        self._frozen = False
        self._begun = (0, 0, 0)
        self._resumed = 0
        self._commit_ns = 0
        self._waiting = False
        self.failed = False
        """Whether the primary has failed: no checkpoints any more."""
        self.by_signal = 0
        self._stopping = False
        self.helpers: dict[int, Callable[[], Exception]] = {}
        """Processes that have to live, and what to raise where one doesn't."""

    def run(self, *, duration_ns: int | None, fail_after_ns: int | None) -> None:
        """Takes checkpoints until the program has ended, or the primary has ``failed``."""
        now = self.now_ns()
        if duration_ns is not None:
            self._ends.stop_ns = now + duration_ns
        if fail_after_ns is not None:
            self._ends.fail_ns = now + fail_after_ns
        if self._plug is None:
            self.wait_until(_FOREVER_NS)
        else:
            Checkpointer(self, self._schedule, self).run()

    def rest(self) -> None:
        """Waits without checkpoints until the program has ended."""
        self.wait_until(_FOREVER_NS)

    def outage(self, ns: int, back: Callable[[], None]) -> None:
        """The program stands for ``ns``; then ``back`` is called, and it runs, without checkpoints.

        Signals end it as ever.
        """
        self.failed = False
        self._ends.fail_ns = self._ends.look_ns = _FOREVER_NS
        self._freeze()
        self._ends.thaw_ns = _FOREVER_NS
        self.wait_until(self.now_ns() + ns)
        back()
        self._ends.look_ns = 0
        self._thaw()

    # -- what a Checkpointer drives ----------------------------------------------------------------

    def start(self) -> None:
        """The plug was started before the program was."""

    def buffer(self) -> None:
        """The program stands, and the plug knows the epoch's end."""
        suspend_ns = time.time_ns()
        self._freeze()
        frozen_ns = time.time_ns()
        mark_ns = self._there().buffer()
        self._begun = (suspend_ns, frozen_ns, mark_ns)
        self._waiting = True
        now = self.now_ns()
        self._ends.thaw_ns = now + self._schedule.pause_ns
        self._commit_ns = now + self._schedule.busy_ns
        if not self._schedule.pause_ns:
            self._thaw()

    def release(self) -> None:
        """The checkpoint has committed."""
        if self._frozen:
            self._thaw()
        commit_ns = time.time_ns()
        self._there().release()
        self._waiting = False
        self._log.write(*self._begun, self._resumed, commit_ns)

    def finish(self, longest_ns: int) -> None:
        """The program has ended: what it has sent leaves, an epoch after the other.

        It waits for commits ``longest_ns`` at most; frames held then are released late or not at
        all, and is not measured.
        """
        if self._plug is None:
            return
        if self._waiting:
            left_ns = self._commit_ns - self.now_ns()
            if left_ns > longest_ns:
                return
            time.sleep(max(0, left_ns) / 1e9)
            self.release()
        if self._schedule.commit_delay_ns > longest_ns:
            return
        self.buffer()
        time.sleep(self._schedule.commit_delay_ns / 1e9)
        self.release()

    def thaw(self) -> None:
        """Whatever has ended the run: the program does not stay frozen."""
        if self._frozen:
            self._thaw()

    def _freeze(self) -> None:
        if not self._frozen:
            self._freezer.freeze()
            self._frozen = True

    def _thaw(self) -> None:
        self._freezer.thaw()
        self._frozen = False
        self._resumed = time.time_ns()
        self._ends.thaw_ns = _FOREVER_NS

    def _there(self) -> LivePlug:
        if self._plug is None:
            raise ValueError("a run without a policy has no plug")
        return self._plug

    # -- a Checkpointer's clock --------------------------------------------------------------------

    def now_ns(self) -> int:
        """CLOCK_MONOTONIC."""
        return time.monotonic_ns()

    def wait_until(self, deadline_ns: int) -> bool:
        """Waits in sigtimedwait(2), and does what is due meanwhile.

        False where the program has ended or the primary has failed.
        """
        while True:
            if self._program.code is not None or self.failed:
                return False
            now = self.now_ns()
            self._do_due(now)
            if self.failed:
                return False
            if now >= deadline_ns:
                return True
            until = min(deadline_ns, self._ends.next_ns)
            left_ns = until - self.now_ns()
            if left_ns > 0:
                come = signal.sigtimedwait(SIGNALS, min(left_ns, 10**15) / 1e9)
                if come is not None:
                    self._heard(come.si_signo)

    def _do_due(self, now: int) -> None:
        ends = self._ends
        if now >= ends.thaw_ns:
            self._thaw()
        if now >= ends.kill_ns:
            ends.kill_ns = _FOREVER_NS
            self._freezer.kill()
        if now >= ends.stop_ns:
            self.stop()
        if now >= ends.fail_ns:
            self.failed = True
        if now >= ends.look_ns:
            ends.look_ns = now + _LOOK_NS
            self._look()

    @property
    def stopping(self) -> bool:
        """Whether the program was asked to end."""
        return self._stopping

    def stop(self) -> None:
        """Asks the program to end, once; after some seconds it is killed."""
        ends = self._ends
        ends.stop_ns = ends.fail_ns = _FOREVER_NS
        if not self._stopping:
            self._stopping = True
            ends.kill_ns = self.now_ns() + GRACE_NS
            os.kill(self._program.process, signal.SIGTERM)

    def _heard(self, number: int) -> None:
        if number != signal.SIGCHLD:
            self.by_signal = self.by_signal or number
            self.stop()
            return
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not process:
                return
            if process == self._program.process:
                self._program.ended(status)
            elif process in self.helpers:
                error = self.helpers[process]()
                raise error


def keeper_ended() -> Exception:
    """For `LiveDriver.helpers`."""
    return KeeperEnded()
