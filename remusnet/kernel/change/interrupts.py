"""Signals that wait until it is safe: between two messages to the kernel, never within one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from remusnet.errors import RemusnetError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(RemusnetError):
    """A signal asked to stop; the exit code is a shell's for it (128 + its number)."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_code = 128 + number


class Interrupts:
    """The first signal that has come."""

    def __init__(self) -> None:
        self.number = 0

    def check(self) -> None:
        """Raises Interrupted where a signal has come, once."""
        number, self.number = self.number, 0
        if number:
            raise Interrupted(number)

    def note(self, number: int, _frame: FrameType | None) -> None:
        """The signal handler."""
        self.number = self.number or number


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """SIGINT, SIGTERM and SIGHUP are only noted meanwhile; those that were ignored still are.

    Outside the main thread, which alone may handle signals, nothing is noted.
    """
    noted = Interrupts()
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, noted.note)
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
