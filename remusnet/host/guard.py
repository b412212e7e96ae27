"""The guard of a trial: the process that goes back when no user has confirmed it in time.

It is forked before the change is made, and leaves the session of the terminal, so that neither a
closed window, nor a lost connection, nor a kill of the command ends it. It tells the command how
the trial ended, on a pipe; a pipe that closes without a word means that the guard was killed.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from remusnet.errors import RemusnetError
from remusnet.host.trial import Trial, claim, go_back, is_waiting
from remusnet.kernel.run_dir import AtWork
from remusnet.results.trial import Ending, Outcome

_POLL_S = 0.1
_LARGEST = 1 << 16


@dataclass(frozen=True, slots=True)
class Guard:
    """One that runs: its process ``number``, and the pipe on which it says how the trial ended."""

    trial: Trial
    run_dir: Path
    number: int
    pipe: int

    def fileno(self) -> int:
        """Readable where the trial has ended, or the guard."""
        return self.pipe

    def ended(self, wait_s: float | None = 0.0) -> Outcome | None:
        """How the trial ended; None where it has not within ``wait_s`` seconds (None: for ever).

        Raises GuardKilled where the guard can't say it any more.
        """
        if not select.select([self.pipe], [], [], wait_s)[0]:
            return None
        said = os.read(self.pipe, _LARGEST)
        with suppress(ChildProcessError):
            os.waitpid(self.number, 0)
        if not said:
            raise GuardKilled
        data = json.loads(said)
        return Outcome(self.trial.vifs, Ending(data[0]), self.trial.old, data[1])

    def go_back_now(self) -> None:
        """Asks it not to wait any longer; `ended` says how it went."""
        with suppress(ProcessLookupError):
            os.kill(self.number, signal.SIGTERM)


class GuardKilled(Exception):
    """The guard was killed: no process waits for the deadline any more."""


def post(trial: Trial, run_dir: Path, lock: int) -> Guard:
    """A guard for ``trial``; ``lock``: the descriptor of the trial's lock, its from now on."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    # A signal that comes before its own handlers are there must not reach ours in the child.
    before = signal.pthread_sigmask(
        signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    )
    try:
        number = os.fork()
        if number == 0:
            _stand(trial, run_dir, lock, writing)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    os.close(writing)
    os.close(lock)
    return Guard(trial, run_dir, number, reading)


def _stand(trial: Trial, run_dir: Path, lock: int, pipe: int) -> NoReturn:
    """The child: nothing of the command that it was forked from may go on in it."""
    code = 1
    try:
        hurry = _Hurry()
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, hurry.note)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.setsid()
        os.chdir("/")
        _leave_descriptors(keep={lock, pipe})
        os.pwrite(lock, f"{os.getpid():<10}\n".encode(), 0)  # whom a message names
        outcome = _watch(trial, run_dir.absolute(), hurry)
        os.write(pipe, json.dumps([outcome.ending.value, outcome.problem]).encode())
        code = 0
    finally:
        os._exit(code)


class _Hurry:
    """Whether a command has asked the guard to go back at once."""

    asked = False

    def note(self, _number: int, _frame: FrameType | None) -> None:
        """The handler of SIGTERM."""
        self.asked = True


def _watch(trial: Trial, run_dir: Path, hurry: _Hurry) -> Outcome:
    confirmed = Outcome(trial.vifs, Ending.CONFIRMED, trial.old)
    while trial.left_s and not hurry.asked:
        if not is_waiting(trial, run_dir):
            return confirmed
        time.sleep(min(_POLL_S, trial.left_s))
    if not claim(trial, run_dir):
        return confirmed
    while True:
        try:
            return go_back(trial, run_dir)
        except AtWork:
            continue  # it has waited for a minute
        except RemusnetError as error:
            return Outcome(trial.vifs, Ending.STAYS, trial.old, str(error))


def _leave_descriptors(keep: set[int]) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    for name in os.listdir("/proc/self/fd"):
        number = int(name)
        if number > 2 and number not in keep:
            with suppress(OSError):
                os.close(number)
