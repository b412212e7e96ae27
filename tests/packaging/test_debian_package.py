"""The Debian package: what is in it. Its life in a bare Debian is test_debian_life.py's."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from remusnet import __version__
from remusnet.host.install import ran_by

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.packaging,
    pytest.mark.slow,
    pytest.mark.needs("dpkg-buildpackage", "lintian"),
    pytest.mark.xdist_group("debian package"),
]


@pytest.fixture(scope="module")
def unpacked(built_package: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked") / "root"
    subprocess.run(["dpkg-deb", "--raw-extract", built_package[0], folder], check=True, timeout=60)
    return folder


def test_lintian_has_nothing_to_say(built_package: tuple[Path, str]) -> None:
    package, said = built_package
    assert package.name == f"remusnet_{__version__}-1_all.deb"
    assert said == f"{package}\n"


def test_it_asks_for_what_setup_cfg_asks_for(unpacked: Path) -> None:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    wanted = dict(line.split(">=") for line in parser["options"]["install_requires"].split())
    control = (unpacked / "DEBIAN" / "control").read_text(encoding="utf-8")
    (depends,) = re.findall(r"^Depends: (.*)$", control, re.MULTILINE)
    found = dict(re.findall(r"python3-(\w+) \(>= (?:1:)?([0-9.]+)\)", depends))
    assert found == wanted


def test_every_command_has_its_man_page(unpacked: Path, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, ROOT / "scripts" / "lib" / "man_pages.py", tmp_path],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        timeout=60,
    )
    installed = {file.name for file in (unpacked / "usr/share/man/man1").iterdir()}
    assert installed == {f"{file.name}.gz" for file in tmp_path.iterdir()}
    assert (unpacked / "usr/share/man/man8/remusnet-netbuf.8.gz").exists()


@pytest.mark.parametrize(
    ("shell", "place"),
    [
        ("bash", "usr/share/bash-completion/completions/remusnet"),
        ("zsh", "usr/share/zsh/vendor-completions/_remusnet"),
        ("fish", "usr/share/fish/vendor_completions.d/remusnet.fish"),
    ],
)
def test_shells_find_their_completion(unpacked: Path, shell: str, place: str) -> None:
    own = subprocess.run(
        [sys.executable, "-m", "remusnet", "completion", shell],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert (unpacked / place).read_text(encoding="utf-8") == own.stdout


def test_the_netbuf_script_runs_the_package_and_nothing_else(unpacked: Path) -> None:
    script = unpacked / "usr/sbin/remusnet-netbuf"
    assert script.stat().st_mode & 0o777 == 0o755
    text = script.read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/python3 -IS\n")
    assert ran_by(text) == ("/usr/bin/python3", "/usr/lib/python3/dist-packages/remusnet")
    assert (unpacked / "usr/lib/python3/dist-packages/remusnet/host/netbuf/script.py").exists()


def test_the_host_s_file_is_a_conffile_without_mistakes(unpacked: Path) -> None:
    names = (unpacked / "DEBIAN" / "conffiles").read_text(encoding="utf-8").split()
    assert names == ["/etc/remusnet/remusnet.toml"]
    subprocess.run(
        [sys.executable, "-m", "remusnet", "policy", "check", unpacked / names[0][1:]],
        check=True,
        timeout=60,
    )


def test_documents_lead_to_each_other_as_in_the_checkout(unpacked: Path) -> None:
    folder = unpacked / "usr/share/doc/remusnet"
    assert (folder / "docs/README.md").read_bytes() == (ROOT / "docs/README.md").read_bytes()
    assert not list(folder.rglob("*.md.gz"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--nonsense"], "unknown argument: --nonsense"),
        (["--out"], "--out: expected a value"),
        (["--version", "one"], "'one' is no version of a Debian package"),
        (["--version", "1/../../2"], "'1/../../2' is no version of a Debian package"),
    ],
)
def test_what_it_is_asked_wrongly_is_one_line(words: list[str], said: str) -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "build-deb", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"scripts/build-deb: {said} (see --help)\n"
