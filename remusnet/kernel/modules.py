"""What the running kernel's files say of a module: for users who may not try it.

``/proc/modules``; kmod's ``modules.builtin`` and ``modules.dep`` in ``/lib/modules/RELEASE``; and
the kernel's configuration in ``/proc/config.gz`` or ``/boot/config-RELEASE``.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from pathlib import Path


def built(module: str, option: str, root: Path = Path("/")) -> tuple[bool | None, str]:
    """Whether the kernel has ``module`` or can load it, and where that is known from.

    ``option``: the one of the kernel's configuration that builds it. ``root``: where /proc, /lib
    and /boot are. None: nothing is known.
    """
    release = os.uname().release
    folder = root / "lib/modules" / release
    if any(line.split(" ")[0] == module for line in _lines(root / "proc/modules")):
        return True, "/proc/modules"
    if any(_module_of(line) == module for line in _lines(folder / "modules.builtin")):
        return True, "modules.builtin"
    path = module_file(module, root)
    if path:
        return True, path
    value = _configured(option, root)
    if value == "y":
        return True, f"{option}=y"
    if value == "m":
        # In a container the host may have it, and loads it when it is asked for.
        return None, f"{option}=m, but there is no such module in {folder}"
    return (False, f"{option} is not set") if value == "n" else (None, "")


def module_file(module: str, root: Path = Path("/")) -> str:
    """The file of ``module`` below the running kernel's folder of modules; empty if none."""
    dependencies = root / "lib/modules" / os.uname().release / "modules.dep"
    for line in _lines(dependencies):
        path = line.partition(":")[0]
        if _module_of(path) == module:
            return path
    return ""


def _module_of(path: str) -> str:
    """``sch_plug`` of ``kernel/net/sched/sch_plug.ko.xz``; files may have - where names have _."""
    return path.strip().rpartition("/")[2].partition(".ko")[0].replace("-", "_")


def _configured(option: str, root: Path) -> str:
    """``y``, ``m``, ``n``, or empty where the kernel's configuration is nowhere."""
    found = False
    for line in _configuration(root):
        found = True
        name, _, value = line.partition("=")
        if name == option:
            return value
    return "n" if found else ""


def _configuration(root: Path) -> Iterator[str]:
    try:
        with gzip.open(root / "proc/config.gz", "rt", encoding="utf-8") as file:
            yield from map(str.strip, file)
            return
    except OSError:
        pass
    yield from map(str.strip, _lines(root / "boot" / f"config-{os.uname().release}"))


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from file
    except OSError:
        return
