from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from remusnet.cli._folder import whole_or_gone


def test_a_folder_that_is_finished_stays(tmp_path: Path) -> None:
    with whole_or_gone(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b").mkdir(parents=True)
    assert (tmp_path / "a" / "b").is_dir()


def test_a_folder_that_is_whole_stays_whatever_comes_after_it(tmp_path: Path) -> None:
    folder = tmp_path / "report"

    def interrupted() -> None:
        with whole_or_gone(folder) as finished:
            folder.mkdir()
            finished()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert folder.is_dir()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_a_folder_that_was_begun_is_gone_with_those_above_it(
    tmp_path: Path, error: type[BaseException]
) -> None:
    folder = tmp_path / "a" / "b"

    def interrupted() -> None:
        with whole_or_gone(folder):
            folder.mkdir(parents=True)
            (folder / "index.html").write_text("half")
            raise error

    with pytest.raises(error):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_there_stays_with_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(KeyboardInterrupt), whole_or_gone(tmp_path):
        raise KeyboardInterrupt
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_folder_above_that_others_use_meanwhile_stays(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"

    def interrupted() -> None:
        with whole_or_gone(folder):
            folder.mkdir(parents=True)
            (tmp_path / "a" / "theirs").write_text("theirs")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["theirs"]


def test_kill_ends_it_as_ctrl_c_does_and_the_handlers_are_as_before(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def killed() -> None:
        with whole_or_gone(tmp_path / "new"):
            (tmp_path / "new").mkdir()
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)

    with pytest.raises(SystemExit) as ended:
        killed()
    assert ended.value.code == 143
    assert not (tmp_path / "new").exists()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "kill"]
)
def test_an_interrupted_report_leaves_nothing(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """The folder is made before the work, so that what is in its way is known early."""
    folder = tmp_path / "reports" / "today"
    program = (sys.executable, "-m", "remusnet")
    # Else it would ignore Ctrl-C where these tests do, as what a shell has put into the background.
    before = signal.signal(number, signal.SIG_DFL)
    try:
        running = subprocess.Popen(
            [*program, "simulate", "fig10", "--duration", "30min", "--report", str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        signal.signal(number, before)
    try:
        until = time.monotonic() + 60
        while not folder.parent.exists():
            assert time.monotonic() < until
            assert running.poll() is None
            time.sleep(0.02)
        running.send_signal(number)
        out, err = running.communicate(timeout=60)
    finally:
        running.kill()
    # Python ends by the signal itself where it came within an exec, as in a dataclass's making: to
    # a shell both are 128 + the signal.
    assert running.returncode in (code, -number)
    assert (out, err) == ("", "")
    assert list(tmp_path.iterdir()) == []


_INTERRUPTED_IMPORT = """
import abc, collections.abc, os, runpy, signal, sys

signal.signal(signal.SIGINT, signal.default_int_handler)
register = abc.ABCMeta.register

def interrupted(kind, subclass):
    if kind is collections.abc.Sequence and "numpy.random" in sys.modules:
        abc.ABCMeta.register = register
        os.kill(os.getpid(), signal.SIGINT)
    return register(kind, subclass)

abc.ABCMeta.register = interrupted
runpy.run_module("remusnet", run_name="__main__", alter_sys=True)
"""


def test_ctrl_c_while_a_library_is_loaded_that_drops_it_ends_the_command_too() -> None:
    """Cython's modules register their arrays as sequences, and ignore whatever that raises."""
    arguments = ("simulate", "fig10", "--duration", "1s")
    run = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED_IMPORT, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (run.returncode, run.stdout, run.stderr) == (130, "", "")
