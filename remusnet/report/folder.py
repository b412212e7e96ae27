"""The folder of a report: written beside its place and renamed; no other folder is touched.

A file in it, `MARKER`, names what was written. So a folder is replaced only where all that is in
it is of a report, and a user's own notes beside a report are never deleted with it. What another
command writes is of another kind: figures don't take the place of a report, nor a report theirs.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from remusnet.errors import Conflict, InvalidInput, quoted

MARKER = ".remusnet-report"
REPORT, FIGURES = "a report", "figures"
"""What a folder can have in it. The marker names all kinds but a report."""
_KIND = "# "
_LARGEST_MARKER = 1 << 16


def prepare(directory: Path, kind: str = REPORT) -> None:
    """Find out what stands in the way of a report in ``directory``, before the work.

    Makes the folders above it. Raises InvalidInput for what is no folder, Conflict for a folder
    with something in it that is of no report, or of another ``kind``, OSError where nothing can be
    written.
    """
    place = _place(directory)
    _check(place, kind)
    with _new_folder(place):
        pass


@contextmanager
def replaced(directory: Path, kind: str = REPORT) -> Iterator[Path]:
    """A folder to write a report into; it takes the place of ``directory`` when the body is done.

    Whatever ends the body by an exception leaves ``directory`` as it was. Raises as `prepare`.
    """
    place = _place(directory)
    _check(place, kind)
    with _new_folder(place) as new:
        yield new
        names = sorted(each.name for each in new.iterdir())
        lines = names if kind == REPORT else [f"{_KIND}{kind}", *names]
        (new / MARKER).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        _check(place, kind)  # once more: the work may have taken long
        _put(new, place)


def _place(directory: Path) -> Path:
    """Where it is, through links: a link stays one. The folders above are made."""
    try:
        place = Path(os.path.realpath(directory))
        place.parent.mkdir(parents=True, exist_ok=True)
        return place
    except (FileExistsError, NotADirectoryError):
        raise InvalidInput(f"{quoted(str(directory))} is no folder") from None


def _check(place: Path, kind: str) -> None:
    try:
        # What a run that was killed has begun is nobody's either.
        there = {each.name for each in place.iterdir() if not each.name.startswith(f"{MARKER}-")}
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise InvalidInput(f"{quoted(str(place))} is no folder") from None
    if not there:
        return
    if MARKER not in there:
        raise Conflict(
            f"{quoted(str(place))} has files in it, and they are of no report (there is no "
            f"{MARKER}): name another folder, or remove it"
        )
    written = _written(place)
    found = REPORT
    if written and written[0].startswith(_KIND):
        found = written[0].removeprefix(_KIND)
    if found != kind:
        raise Conflict(
            f"{quoted(str(place))} has {found} in it, not {kind}: name another folder, or remove it"
        )
    foreign = sorted(there - set(written) - {MARKER})
    if foreign:
        raise Conflict(
            f"{quoted(str(place))} has {quoted(foreign[0])} in it, which is of no report: "
            "name another folder, or move it"
        )


def _written(place: Path) -> list[str]:
    """The lines of the marker: names, and first its kind where it is no report."""
    with (place / MARKER).open("rb") as file:
        return file.read(_LARGEST_MARKER).decode("utf-8", "replace").splitlines()


@contextmanager
def _new_folder(place: Path) -> Iterator[Path]:
    """A hidden one on the same file system, with the usual mode: `tempfile` makes private ones.

    It is gone in the end, unless it was renamed: also where Ctrl-C comes at the moment it is made.
    """
    beside = place if _stays(place) else place.parent
    new = beside / f"{MARKER}-{secrets.token_hex(6)}"
    try:
        try:
            new.mkdir()
        except OSError as error:
            raise type(error)(error.errno, error.strerror, str(place)) from None
        yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _stays(place: Path) -> bool:
    """Whether it is not to be renamed: it can't be, or who stands there would stand in the old one.

    (A mount point; a folder in one that we may not write to; the working directory.)
    """
    return place.exists() and (
        os.path.ismount(place) or not os.access(place.parent, os.W_OK) or place.samefile(Path.cwd())
    )


def _put(new: Path, place: Path) -> None:
    if not place.exists():
        new.rename(place)
    elif _stays(place):
        _put_files(new, place)
    else:
        status = place.stat()
        new.chmod(stat.S_IMODE(status.st_mode))
        with suppress(PermissionError):
            os.chown(new, status.st_uid, status.st_gid)
        old = new.with_name(f"{new.name}-old")
        place.rename(old)
        try:
            new.rename(place)
        except BaseException:
            old.rename(place)
            raise
        shutil.rmtree(old, ignore_errors=True)


def _put_files(new: Path, place: Path) -> None:
    """One by one. The marker first, with the names of both: whatever ends it, all is a report's."""
    old = _written(place) if (place / MARKER).exists() else []
    names = [each.name for each in new.iterdir() if each.name != MARKER]
    both = "".join(f"{name}\n" for name in sorted({*old, *names, new.name}))
    beside = new / f"{MARKER}-both"
    beside.write_text(both, encoding="utf-8")
    beside.replace(place / MARKER)
    for name in names:
        (new / name).replace(place / name)
    for name in set(old) - set(names):
        with suppress(OSError):
            (place / name).unlink()
    (new / MARKER).replace(place / MARKER)
