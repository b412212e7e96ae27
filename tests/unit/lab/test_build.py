"""The kernel with virtual time: what is said where there is none, or none can be built."""

from __future__ import annotations

from pathlib import Path

import pytest

from remusnet.lab import build as building
from remusnet.lab.build import CONFIG, build, virtual_kernel
from remusnet.lab.errors import LabUnavailable


def test_where_none_was_built_the_command_that_does_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabUnavailable, match="'remusnet lab setup --virtual-time' does, once"):
        virtual_kernel(tmp_path)


def test_without_a_compiler_what_to_install_is_said_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabUnavailable, match=r"gcc, make.* aren't on this machine: apt install"):
        build(print, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_without_room_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "_ROOM", 1 << 60)
    with pytest.raises(LabUnavailable, match="MiB for a while, "):
        build(print, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["build.lock"]


def test_a_source_without_the_package_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt = tmp_path / "apt-cache"
    apt.write_text("#!/bin/sh\nexit 100\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin")
    with pytest.raises(LabUnavailable, match="apt knows no package linux-source"):
        build(lambda _: None, tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["build.lock"]


def test_an_option_that_the_source_passes_over_is_noticed(tmp_path: Path) -> None:
    wanted = [line for line in CONFIG.read_text().splitlines() if line.startswith("CONFIG_")]
    configured = tmp_path / ".config"
    configured.write_text("\n".join(line for line in wanted if line != "CONFIG_NET_SCH_PLUG=y"))
    with pytest.raises(LabUnavailable, match="can't be built with CONFIG_NET_SCH_PLUG=y$"):
        building._require_options(configured)
    configured.write_text("\n".join(wanted))
    building._require_options(configured)
