"""The program in this process, as a user runs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from remusnet.cli.main import main

Run = Callable[..., tuple[int, str, str]]
"""Takes words, gives the exit code and what came on stdout and on stderr."""


def runner(capsys: pytest.CaptureFixture[str], *first: str | Path) -> Run:
    """Runs ``remusnet FIRST... WORDS...`` for the words that it is called with."""

    def run(*words: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in (*first, *words)])
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    return run
