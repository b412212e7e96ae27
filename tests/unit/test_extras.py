"""What a missing extra says: the command that helps this remusnet, and no other."""

from __future__ import annotations

import configparser
import shlex
import sys
from pathlib import Path

import pytest

from remusnet.errors import MissingDependency
from remusnet.extras import how_to_install, how_to_install_library, lacking

ROOT = Path(__file__).parents[2]
DEBIANS = Path("/usr/lib/python3/dist-packages/remusnet")
FOR_WORK_ON_IT = {"dev", "docs"}


def extras() -> list[str]:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return [each for each in parser["options.extras_require"] if each not in FOR_WORK_ON_IT]


@pytest.mark.parametrize(
    ("extra", "command"),
    [
        ("availability", "apt install python3-scipy"),
        ("dask", "apt install python3-distributed"),
        ("libvirt", "apt install python3-libvirt"),
        ("monitoring", "apt install python3-prometheus-client"),
        ("report", "apt install python3-matplotlib"),
    ],
)
def test_who_has_the_debian_package_gets_debian_packages(extra: str, command: str) -> None:
    assert how_to_install(extra, DEBIANS) == command


def test_what_debian_has_not_is_said_with_both_ways_out() -> None:
    said = how_to_install("sip", DEBIANS)
    assert said.startswith("Debian has no packages for it")
    assert "pipx install '.[sip]'" in said
    assert "pip install '.[sip]' in a virtual environment" in said


def test_in_an_environment_of_pipx_pip_is_pipxs(tmp_path: Path) -> None:
    (tmp_path / "pyvenv.cfg").touch()
    (tmp_path / "pipx_metadata.json").touch()
    said = how_to_install("report", tmp_path / "remusnet", str(tmp_path))
    assert said == f"pipx runpip {tmp_path.name} install 'remusnet[report]'"


def test_in_a_virtual_environment_pip_is_its_own(tmp_path: Path) -> None:
    place = tmp_path / "with space"
    place.mkdir()
    (place / "pyvenv.cfg").touch()
    said = how_to_install("report", place / "remusnet", str(place))
    assert said == f"'{place}/bin/python' -m pip install 'remusnet[report]'"


def test_elsewhere_it_is_the_pip_of_the_python_that_runs(tmp_path: Path) -> None:
    said = how_to_install("report", tmp_path / "remusnet", str(tmp_path))
    assert said == f"{sys.executable} -m pip install 'remusnet[report]'"


def test_every_extra_is_known_in_debian_or_said_not_to_be() -> None:
    for extra in extras():
        said = how_to_install(extra, DEBIANS)
        assert said.startswith("apt install python3-") or extra == "sip"


def test_the_command_runs_pip_in_the_environment_that_is_used() -> None:
    """As a shell would read it, the tests' own environment's Python knows the pip."""
    python, *words = shlex.split(how_to_install("report"))
    # Who runs it may call the same file python3.
    assert Path(python).parent == Path(sys.executable).parent
    assert Path(python).resolve() == Path(sys.executable).resolve()
    assert words == ["-m", "pip", "install", "remusnet[report]"]
    assert isinstance(lacking("figures need matplotlib", "report"), MissingDependency)


def test_a_library_that_is_lost_comes_back_the_same_way(tmp_path: Path) -> None:
    assert how_to_install_library("jinja2", DEBIANS) == "apt install python3-jinja2"
    said = how_to_install_library("jinja2", tmp_path / "remusnet", str(tmp_path))
    assert said == f"{sys.executable} -m pip install jinja2"
