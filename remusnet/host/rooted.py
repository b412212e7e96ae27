"""Paths of a system that is mounted somewhere, followed as that system itself would."""

from __future__ import annotations

import os
from pathlib import Path

from remusnet.errors import InvalidInput, quoted

_MOST_LINKS = 40  # as Linux: path_resolution(7)


def inside(root: Path, path: str | Path) -> Path:
    """Where ``path`` leads in the system below ``root``: never outside of it.

    A link that begins with / begins at ``root``, and ".." ends there. A missing part is taken as it
    is written. Raises InvalidInput for links that go round.
    """
    waiting = str(path).split("/")[::-1]
    found: list[str] = []
    links = 0
    while waiting:
        word = waiting.pop()
        if word in ("", "."):
            continue
        if word == "..":
            del found[-1:]
            continue
        here = root.joinpath(*found, word)
        try:
            target = os.readlink(here)
        except OSError:  # no link, or not there
            found.append(word)
            continue
        links += 1
        if links > _MOST_LINKS:
            raise InvalidInput(f"{quoted(str(here))}: links that go round")
        if target.startswith("/"):
            found.clear()
        waiting.extend(target.split("/")[::-1])
    return root.joinpath(*found)
