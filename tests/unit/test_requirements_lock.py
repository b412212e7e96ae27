"""The lock that root's environments are made from names all that they need, by hashes only."""

from __future__ import annotations

import configparser
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
ENTRIES = re.findall(
    r"^([a-z0-9-]+)==(\S+)(?: ;[^\\\n]*)? \\\n((?: {4}--hash=\S+(?: \\)?\n)+)", LOCK, re.M
)
PAGES = {
    "docs/how-to/xl-remus.md": "remusnet/requirements.lock",
    "docs/tutorial/protect-a-voip-server.md": "requirements.lock",
    "vagrant/provision/remusnet.sh": "requirements.lock",
}


def wanted() -> set[str]:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = parser["options"]["install_requires"].split("\n")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lines += project["build-system"]["requires"]
    return {re.split(r"[<>=~!; ]", line)[0] for line in lines if line}


def test_it_names_what_is_needed_and_what_builds_it() -> None:
    assert wanted() <= {name for name, _, _ in ENTRIES}
    assert {"setuptools", "numpy"} <= wanted()


def test_every_version_is_fixed_and_has_hashes_and_nothing_else_is_in_it() -> None:
    assert len(ENTRIES) >= 10
    rest = LOCK
    for name, version, hashes in ENTRIES:
        assert re.fullmatch(r"[0-9.]+", version)
        assert re.findall(r"--hash=(\S+)", hashes) == re.findall(r"sha256:[0-9a-f]{64}", hashes)
        rest = re.sub(
            rf"(?m)^{name}=={re.escape(version)}[^\n]*\n( {{4}}--hash=[^\n]*\n)+", "", rest
        )
    left = [line for line in rest.splitlines() if line and not line.startswith("#")]
    assert left == ["--only-binary :all:"], "a setup.py of anybody would run as root"


def test_it_names_no_registry() -> None:
    assert not re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host", LOCK)


@pytest.mark.parametrize("page", PAGES)
def test_root_installs_from_the_lock_and_then_the_folder_without_fetching(page: str) -> None:
    lines = [
        line
        for line in (ROOT / page).read_text(encoding="utf-8").splitlines()
        if "/bin/pip install" in line
    ]
    assert len(lines) == 2
    assert f"--require-hashes -r {PAGES[page]}" in lines[0]
    assert {"--no-deps", "--no-build-isolation"} <= set(lines[1].split())
