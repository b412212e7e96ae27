"""The test bed of two hosts names only what is there, and shares its steps with the Xen lab.

What it can't tell is whether `vagrant up` works: that needs nested virtualisation.
"""

from __future__ import annotations

import ast
import ipaddress
import os
import re
from pathlib import Path

import pytest

from tests.xen.lab.packages import wanted

ROOT = Path(__file__).parents[2]
BED = ROOT / "vagrant"
PROVISION = BED / "provision"
LAB = ROOT / "tests" / "xen" / "lab"
SHARED = (
    "guest/build.sh",
    "provision/bridge.sh",
    "provision/host-packages",
    "provision/libxenlight.sh",
    "provision/peer.sh",
)
SCRIPTS = sorted(BED.glob("*/*.sh"))


def listed(name: str) -> list[list[str]]:
    """The lines of a list of `provision`, by words."""
    lines = (PROVISION / name).read_text("utf-8").splitlines()
    return [line.split() for line in lines if line and not line.startswith("#")]


def text(*files: Path) -> str:
    return "".join(file.read_text("utf-8") for file in files)


def test_the_vagrantfile_runs_scripts_that_are_there() -> None:
    named = re.findall(r"#\{SOURCE\}/([\w./-]+)", text(BED / "Vagrantfile"))
    assert {"vagrant/provision/host.sh", "vagrant/provision/check.sh"} <= set(named)
    assert [name for name in named if not os.access(ROOT / name, os.X_OK)] == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_of_the_test_bed_can_be_run(script: Path) -> None:
    assert os.access(script, os.X_OK)
    assert script.read_text("utf-8").startswith("#!")


def test_a_host_is_made_of_files_that_are_there() -> None:
    """`$HERE/NAME` in host.sh; and what its units and GRUB's part start lies where it puts it."""
    host = text(PROVISION / "host.sh")
    named = re.findall(r'"\$HERE/([\w./-]+)"', host)
    assert len(named) >= 8
    assert [name for name in named if not (PROVISION / name).exists()] == []
    started = re.findall(
        r"^Exec\w+=(\S+)", text(*sorted(PROVISION.glob("*.service"))), re.MULTILINE
    )
    placed = {*re.findall(r"/srv/provision/\S+", host), "/srv/guest/traffic"}
    assert started
    assert set(started) <= placed


def test_the_hosts_have_their_own_addresses_and_one_is_the_peer() -> None:
    hosts = listed("hosts")
    names, addresses, cards, roles = zip(*hosts, strict=True)
    network = ipaddress.ip_network("10.0.0.0/24")
    assert all(ipaddress.ip_address(address) in network for address in addresses)
    # The guest's and its peer's (guest/init, provision/peer.sh).
    assert len({*addresses, "10.0.0.1", "10.0.0.2"}) == len(hosts) + 2
    assert all(re.fullmatch(r"[0-9a-f]{12}", card) for card in cards)
    assert len(set(cards)) == len(cards)
    assert roles.count("peer") == 1
    assert f"\nHost {' '.join(names)}\n" in text(PROVISION / "ssh.conf")


def test_the_packages_of_a_host_are_those_of_the_lab_too() -> None:
    rows = listed("host-packages")
    assert all(len(row) > 1 for row in rows), "each says what it is for"
    names = [row[0] for row in rows]
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", name) for name in names)
    assert names == sorted(set(names))
    assert set(names) <= set(wanted())


@pytest.mark.parametrize("name", SHARED)
def test_hosts_and_the_lab_take_the_same_steps(name: str) -> None:
    """They are run, placed or read there: to be told of is not enough."""
    last = Path(name).name
    assert (BED / name).exists()
    assert any(last in line for line in commands(PROVISION / "host.sh"))
    in_code = [text for file in LAB.glob("*.py") for text in constants(file)]
    assert last in in_code or any(last in line for line in commands(LAB / "dom0-init"))


def commands(script: Path) -> list[str]:
    """A shell script's lines without its comments."""
    return [
        line for line in script.read_text("utf-8").splitlines() if not line.lstrip().startswith("#")
    ]


def constants(module: Path) -> list[str]:
    """A module's strings, which its docstrings are not: they say more than a name."""
    tree = ast.walk(ast.parse(module.read_text("utf-8")))
    return [
        each.value
        for each in tree
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    ]
