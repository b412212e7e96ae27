"""A report's folder: written beside and renamed, and never in the place of something else."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from remusnet.errors import Conflict, InvalidInput
from remusnet.report import folder as module
from remusnet.report.folder import FIGURES, MARKER, REPORT, prepare, replaced


def write(folder: Path, *names: str) -> None:
    prepare(folder)
    with replaced(folder) as new:
        for name in names:
            (new / name).write_text(f"new {name}", encoding="utf-8")


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_a_newer_report_takes_the_place_of_an_older_one_with_all_of_its_files(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "a" / "report"
    write(folder, "index.html", "old.csv")
    folder.chmod(0o750)
    write(folder, "index.html", "new.csv")
    assert names(folder) == [MARKER, "index.html", "new.csv"]
    assert folder.stat().st_mode & 0o777 == 0o750
    assert names(folder.parent) == ["report"]


def test_a_new_folder_has_the_mode_that_any_has(tmp_path: Path) -> None:
    write(tmp_path / "report", "index.html")
    (tmp_path / "usual").mkdir()
    assert (tmp_path / "report").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_an_interrupt_at_the_moment_the_hidden_folder_is_made_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler of signals runs between any two steps, as here between making and knowing of it."""
    make = Path.mkdir

    def made_and_interrupted(path: Path, *, parents: bool = False, exist_ok: bool = False) -> None:
        make(path, parents=parents, exist_ok=exist_ok)
        if path.name.startswith(MARKER):
            raise KeyboardInterrupt

    monkeypatch.setattr(Path, "mkdir", made_and_interrupted)
    for attempt in (prepare, write):
        with pytest.raises(KeyboardInterrupt):
            attempt(tmp_path / "report")
    with pytest.raises(KeyboardInterrupt), replaced(tmp_path / "report"):
        pass
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["index.html", "thesis.tex", ".git"])
def test_a_folder_that_is_no_report_is_left_alone(name: str, tmp_path: Path) -> None:
    """A web site has an index.html too."""
    (tmp_path / name).write_text("mine")
    for attempt in (partial(prepare, tmp_path), partial(write, tmp_path, "index.html")):
        with pytest.raises(Conflict, match=r"are of no report \(there is no \.remusnet-report\)"):
            attempt()
    assert (tmp_path / name).read_text() == "mine"
    assert names(tmp_path) == [name]


@pytest.mark.parametrize(("first", "second"), [(REPORT, FIGURES), (FIGURES, REPORT)])
def test_what_another_command_has_written_is_left_alone(
    first: str, second: str, tmp_path: Path
) -> None:
    """Both have an index.html."""
    folder = tmp_path / "out"
    with replaced(folder, first) as new:
        (new / "index.html").write_text("theirs")
    with pytest.raises(Conflict, match=f"has {first} in it, not {second}: name another folder"):
        prepare(folder, second)
    prepare(folder, first)
    assert (folder / "index.html").read_text() == "theirs"


def test_notes_beside_a_report_are_not_deleted_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "report"
    write(folder, "index.html")
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(Conflict, match="'notes.txt' in it, which is of no report"):
        write(folder, "index.html")
    assert (folder / "notes.txt").read_text() == "mine"


def test_what_comes_between_the_look_and_the_end_is_not_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "report"
    prepare(folder)

    def late() -> None:
        with replaced(folder) as new:
            (new / "index.html").write_text("new")
            folder.mkdir()
            (folder / "index.html").write_text("mine")

    with pytest.raises(Conflict):
        late()
    assert (folder / "index.html").read_text() == "mine"
    assert names(tmp_path) == ["report"]


@pytest.mark.parametrize("where", ["beside", "inside"])
def test_a_report_that_fails_leaves_the_older_one(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "report"
    write(folder, "index.html")
    if where == "inside":
        monkeypatch.chdir(folder)
    (folder / "index.html").write_text("old")

    def fails() -> None:
        with replaced(folder) as new:
            (new / "index.html").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fails()
    assert (folder / "index.html").read_text() == "old"
    assert (names(folder), names(tmp_path)) == ([MARKER, "index.html"], ["report"])


def test_where_the_rename_fails_the_older_one_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "report"
    write(folder, "index.html")
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if target == folder and not self.name.endswith("-old"):
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="No space left"):
        write(folder, "other.html")
    assert names(folder) == [MARKER, "index.html"]
    assert names(tmp_path) == ["report"]


def test_the_working_directory_stays_the_same_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a mount point does: its files are replaced one by one."""
    monkeypatch.chdir(tmp_path)
    number = tmp_path.stat().st_ino
    write(Path(), "index.html", "old.csv")
    write(Path(), "index.html", "new.csv")
    assert tmp_path.stat().st_ino == number == Path.cwd().stat().st_ino
    assert names(tmp_path) == [MARKER, "index.html", "new.csv"]
    assert (tmp_path / MARKER).read_text() == "index.html\nnew.csv\n"


def test_a_run_killed_while_it_replaces_files_leaves_a_folder_that_the_next_one_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path(), "a", "b", "c")

    class Killed(BaseException):
        pass

    replace = Path.replace
    for at in range(1, 5):
        done = iter(range(1, 100))

        def killing(self: Path, target: Path, at: int = at, done: object = done) -> Path:
            if next(done) == at:  # type: ignore[call-overload]
                raise Killed
            return replace(self, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", killing)
            patch.setattr(module.shutil, "rmtree", lambda *_, **__: None)  # type: ignore[attr-defined]
            with pytest.raises(Killed):
                write(Path(), "a", "d")
    write(Path(), "a", "d")
    assert {each for each in names(tmp_path) if not each.startswith(f"{MARKER}-")} == {
        MARKER,
        "a",
        "d",
    }


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    write(tmp_path / "link", "index.html")
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path / "real") == [MARKER, "index.html"]


def test_a_file_in_the_way_is_named_and_nothing_is_made(tmp_path: Path) -> None:
    file = tmp_path / "out"
    file.write_text("mine")
    for path in (file, file / "below"):
        with pytest.raises(InvalidInput, match="is no folder"):
            prepare(path)
    assert (file.read_text(), names(tmp_path)) == ("mine", ["out"])
