"""A folder that a command makes is whole, or it is not there."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from remusnet.cli._interrupts import ended_by_exception


@contextmanager
def whole_or_gone(folder: Path | None) -> Iterator[Callable[[], None]]:
    """Whatever ends the body, Ctrl-C and kill too: a ``folder`` that it has begun is gone again.

    So are the folders above that it made for it. One that was there before stays, and so does one
    that is whole: the body says so by calling what it is given. None: no folder.
    """
    whole = False

    def finished() -> None:
        nonlocal whole
        whole = True

    if folder is None:
        yield finished
        return
    new = [each for each in (folder, *folder.parents) if not _there(each)]
    with ended_by_exception():
        try:
            yield finished
        except BaseException:
            if new and not whole:
                shutil.rmtree(folder, ignore_errors=True)
                for each in new[1:]:
                    with suppress(OSError):  # another process has put something into it
                        each.rmdir()
            raise


def _there(path: Path) -> bool:
    try:
        return path.is_symlink() or path.exists()
    except (OSError, ValueError):
        return True  # remusnet deletes nothing that it can't look at
