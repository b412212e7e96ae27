"""Where the lab's parts come from and where they are kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
CACHE = TOP / ".cache" / "xen-lab"
PROVISION = TOP / "vagrant"
"""What the lab shares with the two-host test bed."""

JOB_DISK = 64 << 20
OUT_DISK = 128 << 20
"""Bytes of the two raw disks: what goes in, and what comes out. Sparse files."""


def digest_of(paths: Iterable[Path], *words: str) -> str:
    """A short digest of files (by name and content; folders whole) and of words."""
    known = hashlib.sha256()
    for path in paths:
        files = (
            sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
        )
        for file in files:
            if "__pycache__" not in file.parts:
                known.update(f"{file.relative_to(TOP)}\0".encode() + file.read_bytes() + b"\0")
    known.update("\0".join(words).encode())
    return known.hexdigest()[:16]
