"""What Python inside a lab runs: the host's own, and its modules, or copies that it may read.

A lab's job that is root inside still reads with the rights of an ordinary account of the host. A
checkout or a virtual environment under root's home is closed to it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from remusnet.lab.account import Account
from remusnet.lab.errors import LabUnavailable

SOURCE = Path(__file__).resolve().parents[2]
"""Where ``import remusnet`` finds it: a checkout, or the folder of installed packages."""

# What no module imports, some of it large.
_LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".cache", "build", "dist", ".*_cache")


@dataclass(frozen=True, slots=True)
class Inside:
    """How to start Python inside: ``python`` in ``environment``.

    ``root``: where the folder that was asked for is found there.
    """

    python: str
    root: Path
    environment: Mapping[str, str]


def inside(root: Path, account: Account | None, scratch: Path, imports: str) -> Inside:
    """Python, remusnet and the folder ``root`` as ``account`` can read them.

    Copies what that user can't read below ``scratch``, and opens that. Raises ``LabUnavailable`` if
    the interpreter itself can't be read, or can't import the modules that ``imports`` names ("a,
    b").
    """
    if account is None or not account.change:
        return Inside(sys.executable, root, {"PYTHONPATH": str(SOURCE)})
    packages = [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")]
    python = Path(sys.executable)
    closed = closed_to([root, SOURCE, *packages, python], account)
    if python in closed or closed.intersection(packages):
        # A virtual environment's interpreter is a link beside its packages; the base is elsewhere.
        python = python.resolve()
        closed.update(packages)
    scratch.chmod(0o755)
    copies: dict[Path, Path] = {}
    for source in sorted(closed - {Path(sys.executable)}):
        copies[source] = scratch / f"copy{len(copies)}"
        _copy(source, copies[source])
    modules = [copies.get(SOURCE, SOURCE), *(copies[p] for p in packages if p in copies)]
    path = os.pathsep.join(dict.fromkeys(map(str, modules)))
    place = Inside(str(python), copies.get(root, root), {"PYTHONPATH": path})
    _try_out(place, account, imports)
    return place


def closed_to(paths: Sequence[Path], account: Account) -> set[Path]:
    """Those of ``paths`` (directories, programs) that ``account`` can't read and enter."""
    script = 'for path; do test -r "$path" && test -x "$path" || echo "$path"; done'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *map(str, paths)],
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
        **account.drop(),
    )
    return {Path(line) for line in done.stdout.splitlines()}


def _try_out(place: Inside, account: Account, imports: str) -> None:
    program = f"import os, sys, {imports}; os.listdir(sys.argv[1])"
    attempt = subprocess.run(
        [place.python, "-c", program, str(place.root)],
        cwd="/",
        env=dict(place.environment),
        capture_output=True,
        text=True,
        check=False,
        **account.drop(),
    )
    if attempt.returncode != 0:
        why = (attempt.stderr.strip() or "killed").splitlines()[-1]
        raise LabUnavailable(
            f"{account.name} can't import {imports} with {place.python} ({why}): make the "
            "environment with a system Python, or run this as an ordinary user"
        )


def _copy(source: Path, target: Path) -> None:
    """Copy a tree; times are kept (compiled Python depends on them), all users may read it."""
    shutil.copytree(source, target, symlinks=True, ignore=_LEFT_OUT)
    for directory, _, names in os.walk(target):
        os.chmod(directory, 0o755)
        for name in names:
            file = Path(directory, name)
            if not file.is_symlink():
                file.chmod(file.stat().st_mode | 0o444)
