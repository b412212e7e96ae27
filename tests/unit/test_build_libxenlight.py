"""scripts/build-libxenlight replaces a library: killed at any step, there is one, and it goes on.

Nothing is built here. What replaces and brings back (scripts/lib/libxenlight.sh) runs with dpkg's
own dpkg-divert on a database of the test's; a wrapper around each program counts, kills or fails.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lib.long import count

TOP = Path(__file__).parents[2]
NAME = "libxenlight.so.4.17.0"
DEBIANS, OURS = "Debian's\n", "ours, with libnl\n"
PROGRAMS = (
    "cp", "mv", "ln", "rm", "rmdir", "mkdir", "chmod", "sync", "dpkg-divert", "ldconfig", "find",
)  # fmt: skip
REPLACE = 'replace_library "$BUILT" 4.17.5-1 4.17.5-2'
BRING_BACK = "bring_library_back"

_WRAPPER = """#!/bin/sh
n=$(($(cat "$COUNT") + 1))
echo $n >"$COUNT"
[ "$n" != "${KILL_BEFORE-}" ] || kill -9 0
[ "$n" != "${FAIL-}" ] || exit 1
PATH=$REAL_PATH NAME "$@"
code=$?
[ "$n" != "${KILL_AFTER-}" ] || kill -9 0
exit $code
"""

pytestmark = pytest.mark.needs("dpkg-divert")


@dataclass(frozen=True, slots=True)
class Host:
    """A folder of libraries, Debian's in it, and dpkg's database."""

    root: Path

    @property
    def library(self) -> Path:
        return self.root / "lib" / NAME

    @property
    def kept(self) -> Path:
        return self.root / "kept" / f"{NAME}.debian"

    def run(self, what: str, **limits: int) -> tuple[int, int, str]:
        """Exit code, how many programs were started, standard error."""
        count = self.root / "count"
        count.write_text("0", encoding="ascii")
        script = f"""
            set -euo pipefail
            fail() {{ echo "$2" >&2; exit "$1"; }}
            . {TOP}/scripts/lib/libxenlight.sh
            LIBRARY=$(find_library "$ROOT/lib" "$ROOT/kept")
            KEPT_LIBRARY=$ROOT/kept/$(basename "$LIBRARY").debian
            KEPT_VERSION=$ROOT/kept/libxenlight.version
            {what}
        """
        done = subprocess.run(
            ["bash", "-c", script],
            env={
                "PATH": f"{self.root}/bin:{os.environ['PATH']}:/usr/sbin:/sbin",
                "REAL_PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
                "ROOT": str(self.root),
                "BUILT": str(self.root / "built"),
                "COUNT": str(count),
                "DPKG_ADMINDIR": str(self.root / "dpkg"),
                "LC_ALL": "C",
                **{name.upper(): str(number) for name, number in limits.items()},
            },
            start_new_session=True,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, int(count.read_text(encoding="ascii")), done.stderr

    def diverted(self) -> bool:
        return str(self.kept) in (self.root / "dpkg/diversions").read_text(encoding="ascii")

    def look(self) -> tuple[str, bool]:
        """The library's text, and whether it is diverted. A library there has to be, and whole."""
        text = self.library.read_text(encoding="ascii")
        assert text in (DEBIANS, OURS)
        if text == OURS:
            assert self.diverted(), "the next upgrade would overwrite it"
            assert self.kept.read_text(encoding="ascii") == DEBIANS
        return text, self.diverted()

    def is_replaced(self) -> bool:
        version = (self.root / "kept/libxenlight.version").read_text(encoding="ascii")
        assert version == "4.17.5-1\n4.17.5-2\n", "what it was built from, and for"
        return self.look() == (OURS, True) and self.leftovers() == []

    def is_back(self) -> bool:
        return self.look() == (DEBIANS, False) and not (self.root / "kept").exists()

    def leftovers(self) -> list[str]:
        return [path.name for path in self.root.rglob(".*")]


def new_host(root: Path) -> Host:
    for folder in ("lib", "bin", "dpkg"):
        (root / folder).mkdir(parents=True)
    (root / "built").write_text(OURS, encoding="ascii")
    (root / "dpkg/diversions").touch()
    for name in PROGRAMS:
        path = root / "bin" / name
        # The system's own cache of libraries is none of the test's business.
        path.write_text(
            _WRAPPER.replace("NAME", "true" if name == "ldconfig" else name), encoding="ascii"
        )
        path.chmod(0o755)
    made = Host(root)
    made.library.write_text(DEBIANS, encoding="ascii")
    return made


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return new_host(tmp_path / "host")


def test_it_is_replaced_and_brought_back(host: Host) -> None:
    assert host.run(REPLACE)[0] == 0
    assert host.is_replaced()
    assert host.run(REPLACE)[0] == 0, "after an upgrade: once more"
    assert host.is_replaced()
    assert host.run(BRING_BACK)[0] == 0
    assert host.is_back()
    assert host.run(BRING_BACK)[0] == 0
    assert host.is_back()


def copies(host: Host, where: Path) -> Host:
    shutil.rmtree(where, ignore_errors=True)
    shutil.copytree(host.root, where, symlinks=True)
    # Paths are in the database.
    database = where / "dpkg/diversions"
    text = database.read_text(encoding="ascii").replace(str(host.root), str(where))
    database.write_text(text, encoding="ascii")
    return Host(where)


@pytest.mark.slow
@pytest.mark.parametrize("when", ["kill_before", "kill_after", "fail"])
@pytest.mark.parametrize("what", [REPLACE, BRING_BACK], ids=["replace", "bring back"])
def test_ended_at_any_step_there_is_a_library_and_both_ways_go_on(
    what: str, when: str, tmp_path: Path
) -> None:
    """``fail``: as on a full disk."""
    host = new_host(tmp_path / "whole")
    programs = host.run(REPLACE)[1]
    if what == BRING_BACK:
        programs = host.run(BRING_BACK)[1]
    assert programs > 5
    seed = random.randrange(2**32)
    print("seed", seed)
    chosen = random.Random(seed).sample(
        range(1, programs + 1), min(programs, count(sample=5, long=programs))
    )
    for step in chosen:
        host = new_host(tmp_path / f"host{step}")
        if what == BRING_BACK:
            assert host.run(REPLACE)[0] == 0
        code, _, _ = host.run(what, **{when: step})
        if when != "fail":
            assert code == -signal.SIGKILL
        host.look()
        if what == REPLACE and when == "fail" and code:
            assert not any(path.name == ".remusnet-new" for path in host.root.rglob(".*"))
        other = copies(host, tmp_path / "other")
        assert host.run(REPLACE)[0] == 0
        assert host.is_replaced()
        assert other.run(BRING_BACK)[0] == 0
        assert other.is_back()
        shutil.rmtree(host.root)


def test_what_an_older_script_has_left_without_a_library_is_brought_back(host: Host) -> None:
    """It moved Debian's aside first, and was killed then."""
    host.kept.parent.mkdir()
    host.library.rename(host.kept)
    divert = ["dpkg-divert", "--quiet", "--local", "--no-rename", "--divert", str(host.kept)]
    environment = {**os.environ, "DPKG_ADMINDIR": str(host.root / "dpkg")}
    subprocess.run([*divert, "--add", str(host.library)], env=environment, check=True)
    other = copies(host, host.root.parent / "other")
    assert host.run(BRING_BACK)[0] == 0
    assert host.is_back()
    assert other.run(REPLACE)[0] == 0
    assert other.is_replaced()


def test_without_the_kept_one_nothing_is_taken_away(host: Host) -> None:
    host.run(REPLACE)
    host.kept.unlink()
    for what in (BRING_BACK, REPLACE):
        code, _, said = host.run(what)
        assert code == 1
        assert "apt install --reinstall" in said
        assert host.library.read_text(encoding="ascii") == OURS


def test_the_script_has_both_ways_from_there() -> None:
    """What is tested above is what the script calls, and it moves nothing by itself."""
    text = (TOP / "scripts/build-libxenlight").read_text(encoding="utf-8")
    assert 'replace_library libxenlight.built "$version"' in text
    assert "\n    bring_library_back\n" in text
    assert "dpkg-divert --" not in text
    assert "--rename" not in text
