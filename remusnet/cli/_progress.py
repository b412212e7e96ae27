"""A line on standard error while something takes long: only in a terminal, gone when it is done."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

PATIENCE_S = 2.0
"""A user who waits no longer than that needs no progress line."""


class Progress:
    """A context that shows what `step` was told last, and since when, after two seconds.

    Not where standard error is no terminal: logs and pipes get nothing of it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._text = ""
        self._bar: Bar | None = None
        self._timer: threading.Timer | None = None
        self._begun_s = time.monotonic()

    def __enter__(self) -> Self:
        self._begun_s = time.monotonic()
        self._watch()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.hide()

    def step(self, text: str) -> None:
        """Say what is done now."""
        with self._lock:
            self._text = text
            if self._bar is not None:
                self._bar.update(self._bar.task_ids[0], description=text)
        self._watch()

    def hide(self) -> None:
        """Take the line away, until the next step: before something else is printed."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._bar is not None:
                self._bar.stop()
                self._bar = None

    def _watch(self) -> None:
        with self._lock:
            if self._timer is not None or self._bar is not None or not _terminal():
                return
            left_s = PATIENCE_S - (time.monotonic() - self._begun_s)
            self._timer = threading.Timer(max(0.0, left_s), self._show)
            # It must not keep the program alive that was told to end.
            self._timer.daemon = True
            self._timer.start()

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import Progress as Bar
        from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

        with self._lock:
            if self._timer is not threading.current_thread():
                return  # hidden meanwhile
            self._timer = None
            self._bar = Bar(
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            task = self._bar.add_task(self._text, total=None)
            # Since the beginning, not since it is shown.
            self._bar.tasks[task].start_time = self._bar.get_time() - (
                time.monotonic() - self._begun_s
            )
            self._bar.start()


def _terminal() -> bool:
    with suppress(AttributeError, ValueError):  # standard error is closed, or was never there
        return sys.stderr.isatty()
    return False
