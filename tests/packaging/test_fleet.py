"""The Ansible role, on two hosts: looked at, done for real, and once more without a change.

A host is a Debian 12 in a root directory, with a network namespace of its own. The running kernel
may have no sch_plug, so what is to be applied is only looked at; tests/kernel applies it.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT, run

HOSTS = ("a", "b")

pytestmark = [
    pytest.mark.packaging,
    pytest.mark.long,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a root directory"),
    pytest.mark.needs("ansible-playbook", "mmdebstrap", "bwrap", "dpkg-buildpackage"),
    pytest.mark.xdist_group("debian package"),
]


@dataclass(frozen=True, slots=True)
class Fleet:
    """Hosts as directories below ``work``, and namespaces that begin with ``name``."""

    work: Path
    name: str

    def play(self, *options: str, **variables: object) -> dict[str, dict[str, int]]:
        """Run the role; counts of tasks by host, as in ``{"a": {"ok": 9, "changed": 0, ...}}``."""
        done = subprocess.run(
            [
                *("ansible-playbook", "-i", self.work / "hosts", ROOT / "ansible" / "site.yml"),
                *("-e", json.dumps(variables), *options),
            ],
            cwd=self.work,
            env={
                **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
                "ANSIBLE_CONNECTION_PLUGINS": str(Path(__file__).parent / "fleet"),
                "ANSIBLE_STDOUT_CALLBACK": "default",
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_LOCAL_TEMP": str(self.work / "tmp"),
                "FLEET_NETNS": self.name,
                "LC_ALL": "C.UTF-8",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=1800,
        )
        assert done.returncode == 0, done.stdout[-8000:]
        (self.work / "said").write_text(done.stdout)
        recap = done.stdout.partition("PLAY RECAP")[2]
        return {
            host: {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", counts)}
            for host, counts in re.findall(r"(?m)^(\w+) +: (.*)$", recap)
        }

    @property
    def said(self) -> str:
        """What the last play has printed."""
        return (self.work / "said").read_text()

    def link(self, host: str, *words: str) -> None:
        """``ip link`` in a host's namespace."""
        run("ip", "-n", f"{self.name}-{host}", "link", *words, cwd=self.work)


@pytest.fixture(scope="module")
def fleet(
    built_package: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    work = tmp_path_factory.mktemp("fleet")
    found = Fleet(work, f"fleet{secrets.token_hex(3)}")
    run(
        *("unshare", "--mount", "--propagation", "private"),
        *("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase"),
        "--include=python3,python3-apt,ca-certificates,iproute2",
        *("bookworm", work / HOSTS[0]),
        cwd=work,
    )
    run("cp", "-a", work / HOSTS[0], work / HOSTS[1], cwd=work)
    hosts = {
        host: {"ansible_host": str(work / host), "ansible_python_interpreter": "/usr/bin/python3"}
        for host in HOSTS
    }
    group = {"hosts": hosts, "vars": {"ansible_connection": "rooted", "ansible_become": False}}
    (work / "hosts").mkdir()
    # JSON is YAML, too.
    (work / "hosts" / "xen.yml").write_text(json.dumps({"xen": group}))
    made = []
    try:
        for host in HOSTS:
            run("ip", "netns", "add", f"{found.name}-{host}", cwd=work)
            made.append(f"{found.name}-{host}")
        yield found
    finally:
        for name in made:
            run("ip", "netns", "delete", name, cwd=work)
        shutil.rmtree(work)


def counts(found: dict[str, dict[str, int]], what: str) -> dict[str, int]:
    return {host: each[what] for host, each in found.items()}


def test_checked_then_done_then_done_already(fleet: Fleet, built_package: tuple[Path, str]) -> None:
    variables: dict[str, object] = {
        "remusnet_package": str(built_package[0]),
        "remusnet_domains": [{"name": "pbx", "policy": "phones"}],
        "remusnet_vifs": [{"pattern": "vif*", "policy": "phones", "memory": "64MB"}],
        "remusnet_policies": {"phones": (ROOT / "docs/examples/phones.toml").read_text()},
    }
    nothing = dict.fromkeys(HOSTS, 0)

    looked = fleet.play("--check", "--diff", **variables)
    assert all(number > 0 for number in counts(looked, "changed").values())
    assert '+policy = "/etc/remusnet/policies/phones.toml"' in fleet.said
    for host in HOSTS:
        assert not (fleet.work / host / "etc/remusnet").exists(), "check mode has changed something"
        assert not (fleet.work / host / "usr/bin/remusnet").exists()

    done = fleet.play(**variables)
    assert all(number > 0 for number in counts(done, "changed").values())
    assert counts(done, "failed") == nothing
    for host in HOSTS:
        assert (fleet.work / host / "usr/bin/remusnet").exists()
        text = (fleet.work / host / "etc/remusnet/remusnet.toml").read_text()
        assert 'name = "pbx"\npolicy = "/etc/remusnet/policies/phones.toml"' in text

    assert counts(fleet.play(**variables), "changed") == nothing
    assert counts(fleet.play("--check", "--diff", **variables), "changed") == nothing

    # A guest comes to one of them: check mode says so of that one, and touches nothing.
    fleet.link("b", "add", "vif7.0", "type", "veth", "peer", "name", "guest")
    assert counts(fleet.play("--check", "--diff", **variables), "changed")["a"] == 0
    assert "vif7.0" in fleet.said
    # Compared, and not applied in check mode: one change for each.
    assert counts(fleet.play("--check", **variables), "changed")["b"] >= 1
    assert not list((fleet.work / "b" / "run").glob("remusnet/*.json"))
    assert counts(fleet.play(remusnet_apply=False, **variables), "changed") == {"a": 0, "b": 1}
    fleet.link("b", "delete", "vif7.0")

    # Another policy's name in the variables: the difference is in the file, line by line.
    variables["remusnet_domains"] = [{"name": "pbx", "policy": "hold-all"}]
    assert counts(fleet.play("--check", "--diff", **variables), "changed") == dict.fromkeys(
        HOSTS, 1
    )
    assert '-policy = "/etc/remusnet/policies/phones.toml"\n+policy = "hold-all"' in fleet.said


def test_a_mistake_in_the_variables_stops_before_the_file_is_written(
    fleet: Fleet, built_package: tuple[Path, str]
) -> None:
    before = [(fleet.work / host / "etc/remusnet/remusnet.toml").read_bytes() for host in HOSTS]
    with pytest.raises(AssertionError, match="polcy"):
        fleet.play(
            remusnet_package=str(built_package[0]), remusnet_domains=[{"name": "x", "polcy": "y"}]
        )
    after = [(fleet.work / host / "etc/remusnet/remusnet.toml").read_bytes() for host in HOSTS]
    assert after == before
