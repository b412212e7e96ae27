"""The run directory: only what nobody else can change is believed, and files appear whole."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from remusnet.errors import Conflict
from remusnet.kernel.own_folder import OwnFolder, Untrusted
from remusnet.kernel.run_dir import Problems, change_lock, driver_lock
from remusnet.kernel.state.drivers import (
    PlugId,
    PlugRecord,
    PlugState,
    read_record,
    write_record,
)
from remusnet.kernel.state.receipt import Phase, Receipt, Receipts
from tests.unit.kernel.state.test_receipt import receipt

NOBODY = 65534
THE_PLUG = PlugId("boot", 7, 0x80010000)

DAMAGES: dict[str, Callable[[Path], object]] = {
    "others may write it": lambda folder: folder.chmod(0o777),
    "the group may write it": lambda folder: folder.chmod(0o775),
    "another user's": lambda folder: os.chown(folder, NOBODY, -1),
    "a link to it": lambda folder: folder.symlink_to(folder.rename(folder.with_name("real"))),
    "others may replace it": lambda folder: folder.parent.chmod(0o777),
}
"""A folder that was fine, and then was not. The last: the folder above is everybody's."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "above/run"
    made.mkdir(parents=True)
    return made


@pytest.mark.parametrize("how", DAMAGES)
def test_a_folder_that_others_can_change_is_refused_by_all_who_use_it(
    folder: Path, how: str
) -> None:
    Receipts(folder).write([receipt()], Phase.APPLIED)
    write_record(folder, "ifb-1", THE_PLUG, PlugRecord(PlugState.OPEN))
    DAMAGES[how](folder)
    with pytest.raises(Conflict, match=r"run': "):
        Receipts(folder).read()
    with pytest.raises(Conflict, match=r"run': "):
        Receipts(folder).write([receipt()], Phase.APPLIED)
    with pytest.raises(Conflict, match=r"run': "):
        Receipts(folder).delete(["ifb-1"])
    with pytest.raises(Conflict, match=r"run': "), change_lock(folder):
        pass
    with pytest.raises(Conflict, match=r"run': "), driver_lock(folder, "ifb-1"):
        pass
    assert read_record(folder, "ifb-1", THE_PLUG) == PlugRecord(), "nobody has said anything"
    with pytest.raises(Conflict, match=r"run': "):
        write_record(folder, "ifb-1", THE_PLUG, PlugRecord())


@pytest.mark.parametrize("how", DAMAGES)
def test_an_ending_believes_nothing_there_and_goes_on(folder: Path, how: str) -> None:
    Receipts(folder).write([receipt()], Phase.APPLIED)
    DAMAGES[how](folder)
    problems = Problems()
    store = Receipts(folder, problems)
    with change_lock(folder, problems=problems):
        assert store.read() == ({}, ())
        store.write([receipt()], Phase.REMOVING)
        store.delete(["ifb-1"])
    assert len(problems.lines) == 4, problems.lines


@pytest.mark.parametrize("umask", [0, 0o027, 0o777])
def test_modes_do_not_depend_on_the_umask(tmp_path: Path, umask: int) -> None:
    folder = tmp_path / "above/run"
    old = os.umask(umask)
    try:
        Receipts(folder).write([receipt()], Phase.APPLIED)
        write_record(folder, "ifb-1", THE_PLUG, PlugRecord())
    finally:
        os.umask(old)
    found = {each.name: each.stat().st_mode & 0o7777 for each in tmp_path.rglob("*")}
    assert found == {
        "above": 0o755,
        "run": 0o755,
        "ifb-1.json": 0o644,
        "plug-ifb-1.state": 0o644,
    }


def test_a_file_that_others_may_write_is_not_believed(folder: Path) -> None:
    Receipts(folder).write([receipt()], Phase.APPLIED)
    (folder / "ifb-1.json").chmod(0o666)
    found, (damaged,) = Receipts(folder).read()
    assert found == {}
    assert "others may write it (mode 0666)" in damaged


def test_no_link_is_followed(folder: Path) -> None:
    """Not to read, not to write, and not to lock."""
    outside = folder.parent / "outside"
    outside.write_text("theirs")
    for name in ("file", "file.new", "lock"):
        (folder / name).symlink_to(outside)
    with OwnFolder(str(folder)) as opened:
        with pytest.raises(OSError, match="symbolic links"):
            opened.read("file", 100)
        with pytest.raises(OSError, match="symbolic links"):
            opened.open_lock("lock")
        opened.write("file", b"ours")
        assert opened.read("file", 100) == b"ours"
    assert outside.read_text() == "theirs"
    assert not (folder / "file").is_symlink()


def test_a_fifo_in_the_place_of_a_file_does_not_keep_anybody_waiting(folder: Path) -> None:
    os.mkfifo(folder / "ifb-1.json")
    (folder / "ifb-1.json").chmod(0o644)
    seen: list[tuple[dict[str, Receipt], tuple[str, ...]]] = []
    reader = threading.Thread(target=lambda: seen.append(Receipts(folder).read()), daemon=True)
    reader.start()
    reader.join(10)
    ((found, damaged),) = seen
    assert found == {}
    assert "not a file" in damaged[0]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for broken in ("write", "fsync", "rename", "fchmod"):
        with OwnFolder(str(folder)) as opened:
            opened.write("file", b"old")
            with monkeypatch.context() as patch:
                patch.setattr(os, broken, lambda *_, **__: fail())
                with pytest.raises(OSError, match="No space"):
                    opened.write("file", b"new")
            assert (opened.names(), opened.read("file", 9)) == (["file"], b"old"), broken


def test_what_a_killed_writer_left_is_no_obstacle(folder: Path) -> None:
    (folder / "file.new").write_text("half")
    with OwnFolder(str(folder)) as opened:
        opened.write("file", b"whole")
        assert (opened.names(), opened.read("file", 9)) == (["file"], b"whole")


def test_what_is_written_is_on_the_disk_before_it_has_its_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    did: list[str] = []
    for name in ("fsync", "rename"):

        def watched(*arguments: object, _name: str = name, **more: object) -> None:
            did.append(_name)
            _REAL[_name](*arguments, **more)

        monkeypatch.setattr(os, name, watched)
    with OwnFolder(str(folder)) as opened:
        opened.write("file", b"x")
    assert did == ["fsync", "rename", "fsync"]


_REAL: dict[str, Callable[..., object]] = {"fsync": os.fsync, "rename": os.rename}


def test_the_folder_stays_the_one_that_was_looked_at(folder: Path) -> None:
    """A path can lead elsewhere a moment later."""
    with OwnFolder(str(folder)) as opened:
        folder.rename(folder.with_name("moved"))
        folder.symlink_to("/etc")
        opened.write("file", b"x")
    assert (folder.with_name("moved") / "file").read_text() == "x"


def test_a_sticky_folder_above_is_fine_and_one_without_is_not(folder: Path) -> None:
    folder.parent.chmod(0o1777)
    with OwnFolder(str(folder)):
        pass
    folder.parent.chmod(0o777)
    with pytest.raises(Untrusted, match="another in its place"), OwnFolder(str(folder)):
        pass
