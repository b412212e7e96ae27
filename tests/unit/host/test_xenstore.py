"""The one door to other programs, and xenstore's tools behind it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from remusnet.errors import MissingDependency
from remusnet.host.commands import NoSuchProgram, TookTooLong, find, run
from remusnet.host.xenstore import Xenstore, domain_path


def script(folder: Path, text: str) -> str:
    program = folder / "program"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    return "program"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_a_program_gets_its_arguments_as_they_are(path: Path) -> None:
    program = script(path, 'printf "<%s>" "$@"')
    words = ("a b", "$HOME", "'", "", "\n")
    assert run(program, *words) == (0, "".join(f"<{each}>" for each in words), "")


def test_a_program_sees_a_reduced_environment_and_no_input(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "x")
    program = script(path, "cat; env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD=")
    _, out, _ = run(program)
    assert dict(line.split("=", 1) for line in out.splitlines()).keys() == {"PATH", "LC_ALL"}


def test_status_output_and_errors_come_apart(path: Path) -> None:
    assert run(script(path, "echo out; echo err >&2; exit 7")) == (7, "out\n", "err\n")
    assert run(script(path, "kill -9 $$"))[0] == -9


def test_much_output_does_not_block(path: Path) -> None:
    program = script(path, "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2")
    status, out, errors = run(program)
    assert (status, len(out), len(errors)) == (0, 300_000, 300_000)


@pytest.mark.parametrize("text", ["sleep 60", "exec >&- 2>&-; sleep 60"])
def test_a_program_that_takes_too_long_is_killed(path: Path, text: str) -> None:
    start = time.monotonic()
    with pytest.raises(TookTooLong, match=r"program did not answer within 0\.2 s"):
        run(script(path, text), longest=0.2)
    # Generous for a busy machine; the program would take 60 s.
    assert time.monotonic() - start < 20


def test_no_descriptor_is_left_behind(path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    run(script(path, "true"))
    with pytest.raises(TookTooLong):
        run(script(path, "sleep 60"), longest=0.05)
    assert os.listdir("/proc/self/fd") == before


def test_programs_in_relative_directories_are_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path, "true")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", ".:")
    assert find("program") is None
    with pytest.raises(NoSuchProgram):
        run("program")
    assert find("sh") is not None, "where a system has its programs it is found without a PATH"


def test_what_is_written_can_be_read_listed_and_removed(store_folder: Path) -> None:
    store = Xenstore()
    store.write({"/a/b/one": "1", "/a/b/two": "-t", "/a/c": "with spaces 'and' $more"})
    assert store.read("/a/b/one", "/a/b/two") == ["1", "-t"]
    assert store.read("/a/c") == ["with spaces 'and' $more"]
    assert sorted(store.children("/a/b")) == ["one", "two"]
    store.remove("/a/b")
    assert store.children("/a") == ["c"]
    store.remove("/a/c", tidy=True)
    assert list((store_folder / "store").iterdir()) == [], "empty parents go too"


def test_what_is_not_there_is_none_and_removed_already(store_folder: Path) -> None:
    store = Xenstore()
    store.write({"/a": "1"})
    assert store.read("/none") is None
    assert store.read("/a", "/none") is None
    assert store.children("/none") == []
    store.remove("/none")


def test_an_empty_value_is_a_value(store_folder: Path) -> None:
    store = Xenstore()
    store.write({"/a": "", "/b": "2"})
    assert store.read("/a", "/b") == ["", "2"]


def test_without_a_daemon_or_tools_one_line_says_what_to_do(
    store_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (store_folder / "store").rmdir()
    with pytest.raises(MissingDependency, match="xs_open.*is xenstored running"):
        Xenstore().read("/a")
    monkeypatch.setattr("remusnet.host.commands._FOLDERS", ())
    monkeypatch.setenv("PATH", "/no/such")
    with pytest.raises(MissingDependency, match="apt install xenstore-utils") as caught:
        Xenstore().read("/a")
    assert "\n" not in str(caught.value)


def test_a_tool_that_hangs_is_no_hang_of_ours(store_folder: Path) -> None:
    (store_folder / "refuse-xenstore-read").touch()
    with pytest.raises(MissingDependency, match="did not answer within"):
        Xenstore(longest=0.2).read("/a")


def test_a_failing_tool_is_told_from_a_missing_path(store_folder: Path) -> None:
    (store_folder / "refuse-xenstore-write").write_text("could not write path /a")
    with pytest.raises(MissingDependency, match="xenstore-write: could not write path /a"):
        Xenstore().write({"/a": "1"})


def test_the_paths_of_a_domain_are_xens() -> None:
    assert domain_path(3, "name") == "/local/domain/3/name"
