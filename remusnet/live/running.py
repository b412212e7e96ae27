"""A live run beside a test: ``remusnet run`` as a child, from its first moment to its result."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from remusnet.errors import InvalidInput, RemusnetError

_READY = re.compile(r"^remusnet: (\d+\.\d+\.\d+\.\d+) under .* come from (\S+)$", re.MULTILINE)
_ERROR = re.compile(r"^remusnet: error: (.*)$", re.MULTILINE)
_START_S, _END_S = 60.0, 60.0


class LiveRun:
    """One run, as a context. Within it ``address`` and ``gateway`` are known; after it ``result``.

    ``printed``: what the program has printed on both of its outputs. ``options`` are those of
    ``remusnet run``, without ``--json``.
    """

    def __init__(
        self, command: Sequence[str], options: Sequence[str], folder: Path | None = None
    ) -> None:
        self._arguments = [
            sys.executable,
            "-m",
            "remusnet",
            "run",
            "--json",
            *options,
            "--",
            *command,
        ]
        self._folder = folder
        self.address = self.gateway = ""
        self.result: dict[str, Any] = {}
        self.printed = ""

    def __enter__(self) -> Self:
        self._out = tempfile.TemporaryFile("w+", errors="replace")
        self._errors = tempfile.TemporaryFile("w+", errors="replace")
        self._process = subprocess.Popen(
            self._arguments,
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._errors,
            cwd=self._folder,
        )
        deadline = time.monotonic() + _START_S
        while not (found := _READY.search(self._said())):
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = self._said()
                self._stop(signal.SIGKILL)
                raise _error(said, self._process.returncode)
            time.sleep(0.02)
        self.address, self.gateway = found[1], found[2]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop(signal.SIGTERM)
        printed, said = _content(self._out), self._said()
        self._out.close()
        self._errors.close()
        *before, last = printed.rstrip("\n").split("\n")
        try:
            self.result = json.loads(last)
        except ValueError:
            if error is None:
                raise _error(said, self._process.returncode) from None
            error.add_note(said)
            return
        lines = [line for line in said.splitlines() if not line.startswith("remusnet: ")]
        self.printed = "\n".join([*before, *lines])

    def _stop(self, number: int) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _said(self) -> str:
        return _content(self._errors)


def _content(file: IO[str]) -> str:
    """All that is in it, wherever its writer is."""
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), size, 0).decode(errors="replace")


def _error(said: str, code: int | None) -> RemusnetError:
    found = _ERROR.search(said)
    error = InvalidInput(found[1] if found else f"the live run has not begun: {said.strip()}")
    if code:
        error.exit_code = code
    return error
