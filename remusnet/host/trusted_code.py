"""Whether others could change what root's script will run: its Python, and remusnet itself.

Not only the files: a user who can write any folder on the way can put others in their place. A
folder with the sticky bit, such as /tmp, is fine on the way: users can't touch each other's files.
"""

from __future__ import annotations

import os
import stat
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from remusnet.kernel.own_folder import writable_by_others

_OTHER_PACKAGES = ("site-packages", "dist-packages")


def changeable(program: Path, package: Path, root: Path = Path("/")) -> Iterator[str]:
    """What others can change of ``program`` (a Python) and of the ``package`` that it will run, one
    line each: a path, and how they could. What is not below ``root`` is not looked at.

    The package's folder is first on the script's path, so what lies beside the package counts too.
    Raises OSError.
    """
    looks = _Looks(root)
    for path in (program, program.parent.parent / "pyvenv.cfg", Path(sysconfig.get_path("stdlib"))):
        yield from looks.way(path)
    yield from looks.tree(Path(sysconfig.get_path("stdlib")), without=_OTHER_PACKAGES)
    yield from looks.way(package)
    yield from looks.tree(package)
    for each in sorted(looks.below(package.parent).glob("*")):
        yield from looks.one(package.parent / each.name)


class _Looks:
    """Each path is looked at once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._seen: set[Path] = set()

    def below(self, path: Path) -> Path:
        """Where the path of that system is on this one."""
        return self._root / path.relative_to("/")

    def way(self, path: Path) -> Iterator[str]:
        """The path, the folders on the way there, and where links among them lead."""
        for each in (*reversed(path.parents), path):
            yield from self.one(each, on_the_way=each != path)

    def tree(self, folder: Path, without: tuple[str, ...] = ()) -> Iterator[str]:
        """All that is in a folder."""
        for place, folders, files in os.walk(self.below(folder)):
            folders[:] = sorted(each for each in folders if each not in without)
            here = folder / Path(place).relative_to(self.below(folder))
            for name in (*folders, *sorted(files)):
                yield from self.one(here / name)

    def one(self, path: Path, *, on_the_way: bool = False) -> Iterator[str]:
        """One path; of a link, that and where it leads."""
        if path in self._seen:
            return
        self._seen.add(path)
        try:
            status = self.below(path).lstat()
        except FileNotFoundError:
            return
        if stat.S_ISLNK(status.st_mode):
            if status.st_uid not in (0, os.geteuid()):
                yield f"{path}: it belongs to user {status.st_uid}"
            target = os.readlink(self.below(path))
            yield from self.way(path.parent / target)
            return
        if on_the_way and status.st_mode & stat.S_ISVTX and status.st_uid in (0, os.geteuid()):
            return
        problem = writable_by_others(status)
        if problem:
            yield f"{path}: {problem}"
