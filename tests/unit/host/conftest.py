"""What tests of the host share: stand-ins for xenstore's tools."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

STAND_IN = Path(__file__).parents[2] / "kernel/stand-ins/xenstore"


@pytest.fixture
def store_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an empty store, whose tools are found first."""
    folder = tmp_path / "xen"
    (folder / "bin").mkdir(parents=True)
    (folder / "store").mkdir()
    shutil.copy(STAND_IN, folder / "xenstore")
    for tool in ("read", "write", "rm", "list", "exists"):
        (folder / f"bin/xenstore-{tool}").symlink_to(folder / "xenstore")
    monkeypatch.setenv("PATH", f"{folder}/bin:/usr/bin:/bin")
    return folder
