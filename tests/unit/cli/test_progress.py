from __future__ import annotations

import subprocess
import sys

import pexpect
import pytest

from tests.lib.terminal import plain

PATIENT = """
import time
from remusnet.cli import _progress
_progress.PATIENCE_S = {patience}
with _progress.Progress() as progress:
    progress.step("reading 'call.pcap' (12 kB)")
    time.sleep({first})
    progress.step("replaying [bold] frames")
    time.sleep({second})
    progress.hide()
    print("hidden", flush=True)
    time.sleep(0.3)
print("done")
"""


def in_terminal(patience: float, first: float = 0.5, second: float = 0.6) -> str:
    code = PATIENT.format(patience=patience, first=first, second=second)
    child = pexpect.spawn(
        sys.executable, ["-c", code], encoding="utf-8", dimensions=(24, 80), timeout=60
    )
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    return str(child.before)


def test_what_takes_long_says_what_it_is_at_and_takes_it_away() -> None:
    raw = in_terminal(patience=0.1)
    text = plain(raw)
    assert "reading 'call.pcap' (12 kB)" in text
    assert "replaying [bold] frames 0:00:0" in text
    # Gone before something else is printed, and it doesn't come back by itself.
    behind = raw[raw.index("hidden") :]
    assert plain(behind).split() == ["hidden", "done"]
    assert raw[: raw.index("hidden")].rstrip().endswith(("\x1b[2K", "\x1b[?25h"))


def test_what_is_quick_says_nothing() -> None:
    assert in_terminal(patience=60, first=0, second=0).split() == ["hidden", "done"]


@pytest.mark.parametrize("stream", ["pipe", "closed"])
def test_no_terminal_gets_nothing(stream: str) -> None:
    code = PATIENT.format(patience=0.01, first=0.2, second=0)
    close = " 2>&-" if stream == "closed" else ""
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1"{close}', sys.executable, code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert (done.stdout.split(), done.stderr) == (["hidden", "done"], "")
