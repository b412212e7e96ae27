"""Builds and installs remusnet, once a session each, without touching the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*args: str | Path, cwd: Path) -> str:
    """The output of a program that must succeed, with no PYTHONPATH to help it."""
    done = subprocess.run(
        args,
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@dataclass(frozen=True, slots=True)
class Installed:
    """remusnet in an environment of its own; ``home`` is where it must be imported from."""

    environment: Path
    elsewhere: Path
    home: Path

    def program(self, *args: str) -> str:
        """The output of ``remusnet``, run from a directory that is not the checkout."""
        return run(self.environment / "bin" / "remusnet", *args, cwd=self.elsewhere)

    def python(self, *args: str) -> str:
        """The output of the environment's Python, run from that directory."""
        return run(self.environment / "bin" / "python", *args, cwd=self.elsewhere)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a build reads: what an earlier build left in the checkout must not help."""
    copy = tmp_path_factory.mktemp("checkout") / "remusnet"
    copy.mkdir()
    for file in [*ROOT.glob("*.cfg"), *ROOT.glob("*.toml"), *ROOT.glob("*.md")]:
        shutil.copy(file, copy)
    for name in ("LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, copy)
    for name in ("remusnet", "tc_templates"):
        # symlinks: remusnet/tc_templates stays the link that git has.
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=ignore)
    return copy


@pytest.fixture(scope="session")
def sdist(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution."""
    out = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-m", "build", "--sdist", "--outdir", out, checkout, cwd=out)
    return next(out.glob("remusnet-*.tar.gz"))


@pytest.fixture(scope="session")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout (what pip makes of the sdist has a test of its own)."""
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", out, checkout, cwd=out)
    return next(out.glob("remusnet-*.whl"))


@pytest.fixture(scope="session", params=["wheel", "sdist", "editable"])
def installed(
    request: pytest.FixtureRequest, checkout: Path, tmp_path_factory: pytest.TempPathFactory
) -> Installed:
    """remusnet as pip installs it from each of the three."""
    elsewhere = tmp_path_factory.mktemp(f"elsewhere-{request.param}")
    environment = elsewhere / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=elsewhere)
    pip = (sys.executable, "-m", "pip", "--python", environment / "bin" / "python")
    quietly = ("install", "--quiet", "--disable-pip-version-check")
    packages = next(environment.glob("lib/python*/site-packages"))
    if request.param == "wheel":
        # As root does: with what the lock names and nothing else, which is all that is asked for.
        run(*pip, *quietly, "--require-hashes", "-r", ROOT / "requirements.lock", cwd=elsewhere)
        run(*pip, *quietly, "--no-deps", request.getfixturevalue("wheel"), cwd=elsewhere)
        run(*pip, "check", cwd=elsewhere)
        return Installed(environment, elsewhere, packages)
    # The dependencies of these two are the same: they are borrowed, which saves half a minute. The
    # remusnet of this environment is not: it is an editable one, and its .pth is not read here.
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    if request.param == "editable":
        run(*pip, *quietly, "--no-deps", "--editable", checkout, cwd=elsewhere)
        return Installed(environment, elsewhere, checkout)
    run(*pip, *quietly, "--no-deps", request.getfixturevalue("sdist"), cwd=elsewhere)
    return Installed(environment, elsewhere, packages)


@pytest.fixture(scope="session")
def built_package(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The Debian package, and what building it has said."""
    out = tmp_path_factory.mktemp("deb")
    done = subprocess.run(
        [ROOT / "scripts" / "build-deb", "--out", out],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout
    (package,) = out.iterdir()
    return package, done.stdout
