"""What a pytest inside a lab runs: the host's Python and checkout, or copies that it may read.

A lab's job that is root inside still reads with the rights of an ordinary account of the host. A
checkout or a virtual environment under root's home is closed to it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.kernel.lab.account import Account
from tests.kernel.lab.errors import LabUnavailable

REPOSITORY = Path(__file__).resolve().parents[3]

# What no test reads, some of it large.
_LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".cache", "build", "dist", ".*_cache")


@dataclass(frozen=True, slots=True)
class Inside:
    """How to start pytest inside: ``python``, ``environment``, and ``root``, the tests' folder."""

    python: str
    root: Path
    environment: Mapping[str, str]


def inside(root: Path, account: Account | None, scratch: Path) -> Inside:
    """Python, the repository and the tests in ``root`` as ``account`` can read them.

    Copies go below ``scratch``, which is made readable for all. Raises ``LabUnavailable`` if the
    interpreter itself can't be read.
    """
    plain = _inside(sys.executable, root, [REPOSITORY])
    if account is None or not account.change or _works(plain, account):
        return plain
    for path in (scratch, *scratch.parents):
        # Ours alone: not the directories of the system above.
        if path.stat().st_uid == os.geteuid() and not path.stat().st_mode & 0o001:
            path.chmod(path.stat().st_mode | 0o011)
    copies: dict[Path, Path] = {}
    packages = [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")]
    for source in dict.fromkeys([REPOSITORY, root, *packages]):
        copies[source] = scratch / f"copy{len(copies)}"
        _copy(source, copies[source])
    modules = [copies[REPOSITORY], *(copies[package] for package in packages)]
    # A virtual environment's own interpreter is a link beside the packages; its base is outside.
    base = str(Path(sys.executable).resolve())
    copied = _inside(base, copies[root], modules)
    if not _works(copied, account):
        raise LabUnavailable(
            f"{account.name} can't run {base}: make the environment with a system Python, or run "
            "this as an ordinary user"
        )
    return copied


def _inside(python: str, root: Path, path: list[Path]) -> Inside:
    known = dict.fromkeys(str(directory) for directory in path)
    return Inside(python, root, {"PYTHONPATH": os.pathsep.join(known)})


def _works(candidate: Inside, account: Account) -> bool:
    """Whether ``account`` can read it: tried, since modes and mounts say it only in part."""
    program = "import os, sys, pytest, tests.kernel.lab.errors, remusnet; os.listdir(sys.argv[1])"
    attempt = subprocess.run(
        [candidate.python, "-c", program, str(candidate.root)],
        cwd="/",
        env=dict(candidate.environment),
        capture_output=True,
        check=False,
        **account.drop(),
    )
    return attempt.returncode == 0


def _copy(source: Path, target: Path) -> None:
    """Copy a tree; times are kept (compiled Python depends on them), everybody may read it."""
    shutil.copytree(source, target, symlinks=True, ignore=_LEFT_OUT)
    for directory, _, names in os.walk(target):
        os.chmod(directory, 0o755)
        for name in names:
            file = Path(directory, name)
            if not file.is_symlink():
                file.chmod(file.stat().st_mode | 0o444)
