"""Wait for what another process or the kernel does in its own time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


def wait_until(condition: Callable[[], _T], what: str, timeout: float = 10) -> _T:
    """Ask ``condition`` until its answer is true, and return that answer.

    Raises ``AssertionError`` that names ``what`` after ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {timeout:g} s: {what}"
        time.sleep(0.002)
    return answer
