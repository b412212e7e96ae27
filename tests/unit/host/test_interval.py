"""The interval of the xl that starts the netbuf script, on a /proc of files."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from remusnet.host.netbuf.interval import BY_XL, BY_XLS_DEFAULT, read_option, xl_interval

SCRIPT, XL, SHELL = 40, 30, 20
MS = 1_000_000


class Proc:
    """A folder like /proc."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, pid: int, parent: int, exe: str, *words: str) -> None:
        here = self.folder / str(pid)
        here.mkdir()
        # A name may look like the rest of the line.
        (here / "stat").write_text(f"{pid} (a) S 1 (b) S {parent} 1 1 0 -1 4194304\n")
        (here / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in words))
        (here / "exe").symlink_to(exe)

    def interval(self) -> tuple[int, str]:
        return xl_interval(str(self.folder), SCRIPT)


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    made = Proc(tmp_path)
    made.add(SCRIPT, XL, "/usr/bin/python3.11", "python3", "remusnet-netbuf", "setup")
    made.add(SHELL, 1, "/bin/bash", "bash")
    return made


XL_PATH = "/usr/lib/xen-4.17/bin/xl"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["xl", "remus", "-i", "1000", "guest", "host"], (1000 * MS, BY_XL)),
        (["xl", "remus", "-i1000", "guest", "host"], (1000 * MS, BY_XL)),
        (["xl", "-v", "remus", "-Fbi", "40", "guest"], (40 * MS, BY_XL)),
        (["xl", "remus", "guest", "host", "-i", "50"], (50 * MS, BY_XL)),
        (["xl", "remus", "-N", "-i", "guest", "host"], (200 * MS, BY_XLS_DEFAULT)),
        (["xl", "remus", "guest", "host"], (200 * MS, BY_XLS_DEFAULT)),
        (["xl", "remus", "-i", "0", "guest", "host"], (0, "")),
        (["xl", "remus", "-i", "99999999999", "guest", "host"], (0, "")),
        (["xl", "remus", "-i", "soon", "guest", "host"], (0, "")),
        (["xl", "create", "-i", "5"], (0, "")),
    ],
)
def test_the_interval_is_what_xl_was_told(
    proc: Proc, words: list[str], expected: tuple[int, str]
) -> None:
    proc.add(XL, SHELL, XL_PATH, *words)
    assert proc.interval() == expected


def test_a_new_xl_package_changes_nothing(proc: Proc) -> None:
    proc.add(XL, SHELL, f"{XL_PATH} (deleted)", "xl", "remus", "-i", "60", "guest", "host")
    assert proc.interval() == (60 * MS, BY_XL)


def test_a_wrapper_between_xl_and_the_script_does_not_hide_it(proc: Proc) -> None:
    proc.add(XL, 25, "/bin/sh", "sh", "my-script")
    proc.add(25, SHELL, XL_PATH, "xl", "remus", "-i", "70", "guest", "host")
    assert proc.interval() == (70 * MS, BY_XL)


def test_who_only_calls_itself_xl_is_not_asked(proc: Proc) -> None:
    proc.add(XL, SHELL, "/bin/sleep", "xl", "remus", "-i", "1000", "guest", "host")
    assert proc.interval() == (0, "")


def test_an_xl_that_is_no_ancestor_is_not_asked(proc: Proc) -> None:
    proc.add(XL, SHELL, "/bin/sh", "sh")
    proc.add(31, SHELL, XL_PATH, "xl", "remus", "-i", "1000", "guest", "host")
    assert proc.interval() == (0, "")


def test_an_xl_of_another_user_is_not_asked(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    proc.add(XL, SHELL, XL_PATH, "xl", "remus", "-i", "1000", "guest", "host")
    others = SimpleNamespace(st_uid=os.geteuid() + 1)
    monkeypatch.setattr(os, "stat", lambda _path: others)
    assert proc.interval() == (0, "")


def test_an_ancestor_that_has_ended_is_no_error(proc: Proc) -> None:
    assert proc.interval() == (0, "")


def test_real_ancestors_without_an_xl_say_nothing() -> None:
    assert xl_interval() == (0, "")


@pytest.mark.parametrize(
    ("words", "value"),
    [("-i", ""), ("-- -i 5", None), ("-s -i -i 7", "7"), ("-i 5 -i 6", "6"), ("- -i 9", "9")],
)
def test_options_are_read_as_getopt_reads_them(words: str, value: str | None) -> None:
    assert read_option(words.split(" ")) == value
