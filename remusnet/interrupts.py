"""Ctrl-C, kill and a closed terminal, kept waiting while something must not be left half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], object]
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def put_off() -> Iterator[None]:
    """Let what this program answers of `ENDINGS` come afterwards; in other threads, do nothing."""
    came: list[int] = []
    before: dict[signal.Signals, Handler] = {}
    if threading.current_thread() is threading.main_thread():
        found = {each: signal.getsignal(each) for each in ENDINGS}
        before = {each: handler for each, handler in found.items() if callable(handler)}
    # No mask: it would be the main thread's alone, and numpy's own threads would take the signal.
    for each in before:
        signal.signal(each, lambda number, _frame: came.append(number))
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        for number in came:
            signal.raise_signal(number)
