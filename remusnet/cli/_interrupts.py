"""Ctrl-C, kill and a closed terminal end a command as an exception does, and none is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from remusnet.interrupts import put_off

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
    with put_off():
        import numpy.random  # noqa: F401 - for what it does to sys.modules
