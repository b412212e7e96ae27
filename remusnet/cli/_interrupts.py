"""Ctrl-C, kill and a closed terminal end a command as an exception does, and none is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

Handler = Callable[[int, FrameType | None], object]
_ENDINGS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ended_by_exception() -> Iterator[None]:
    """Let kill and a closed terminal end the program as an exception does, not at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.getsignal(each) for each in _ENDINGS}
    for each in _ENDINGS:
        if before[each] is signal.SIG_DFL:  # not ignored, as by nohup
            signal.signal(each, _end)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def load_chance() -> None:
    """Import ``numpy.random``, with Ctrl-C and kill put off until that is done.

    A Cython module that is being made drops what a handler of signals raises meanwhile, and the
    command would go on as if the user had not asked it to end.
    """
    came: list[int] = []
    before: dict[signal.Signals, Handler] = {}
    if threading.current_thread() is threading.main_thread():
        found = {each: signal.getsignal(each) for each in (signal.SIGINT, *_ENDINGS)}
        before = {each: handler for each, handler in found.items() if callable(handler)}
    # No mask: it would be the main thread's alone, and numpy's own threads would take the signal.
    for each in before:
        signal.signal(each, lambda number, _frame: came.append(number))
    try:
        import numpy.random  # noqa: F401 - for what it does to sys.modules
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        for number in came:
            signal.raise_signal(number)
