"""Frames at a steady rate from a process of its own, while a test changes what is between.

Frame ``number`` (from 0) is the base frame ``number % len(frames)``, stamped with its number.
"""

from __future__ import annotations

import os
import signal
import time
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.kernel.lab.packets import Sender, stamped

_TICK_S = 0.005


class Load:
    """Sends ``frames`` over and over as the guest, ``rate`` of them a second, until `stop`.

    ``sent``: how many there were; known after that, as is `when`.
    """

    def __init__(self, sender: Sender, frames: Sequence[bytes], rate: int, log: Path) -> None:
        self._sender = sender
        self._frames = frames
        self._at_once = max(1, round(rate * _TICK_S))
        self._log = log
        self._first = array("q")
        self._before = array("q")
        self._after = array("q")
        self._child = 0
        self.sent = 0

    def __enter__(self) -> Self:
        self._child = os.fork()
        if self._child == 0:
            try:
                self._send()
            finally:
                os._exit(0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the process, and read what it has noted."""
        if not self._child:
            return
        os.kill(self._child, signal.SIGUSR1)
        os.waitpid(self._child, 0)
        self._child = 0
        noted = array("q")
        noted.frombytes(self._log.read_bytes())
        self._first, self._before, self._after = noted[0::4], noted[2::4], noted[3::4]
        self.sent = self._first[-1] + noted[-3] if noted else 0

    def when(self, number: int) -> tuple[int, int]:
        """Between which times (`time.time_ns`) frame ``number`` was sent."""
        at = bisect_right(self._first, number) - 1
        return self._before[at], self._after[at]

    def _send(self) -> None:
        ended: list[int] = []
        signal.signal(signal.SIGUSR1, lambda number, _: ended.append(number))
        notes = array("q")
        number = 0
        # An absolute clock: what a busy kernel has kept us from sending is sent a little later.
        due = time.monotonic()
        with self._log.open("wb") as log:
            while not ended:
                due += _TICK_S
                time.sleep(max(0.0, due - time.monotonic()))
                base = self._frames
                batch = [
                    stamped(base[each % len(base)], each)
                    for each in range(number, number + self._at_once)
                ]
                before = time.time_ns()
                self._sender.send(batch)
                notes.extend((number, self._at_once, before, time.time_ns()))
                number += self._at_once
            notes.tofile(log)
