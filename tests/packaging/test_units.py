"""The systemd units of the package, looked at without a systemd that runs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "systemd"
SERVICES = sorted(FOLDER.glob("*.service"))
LEAST_SECURE = 4.0
"""Exposure of "systemd-analyze security" from which on a unit is not OK any more."""

pytestmark = [pytest.mark.packaging, pytest.mark.needs("systemd-analyze")]

each_service = pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)


def analyzed(*words: str | Path) -> str:
    done = subprocess.run(
        ["systemd-analyze", *words], capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout + done.stderr


def members(group: str) -> set[str]:
    """The system calls of a group, groups in it resolved."""
    if not group.startswith("@"):
        return {group}
    lines = analyzed("syscall-filter", group).splitlines()[1:]
    words = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    return {call for word in words for call in members(word)}


def allowed(text: str) -> set[str]:
    """What a unit's SystemCallFilter lines come to: each adds or takes away, in their order."""
    calls: set[str] = set()
    for value in re.findall(r"(?m)^SystemCallFilter=(.*)$", text):
        named = {call for word in value.removeprefix("~").split() for call in members(word)}
        calls = calls - named if value.startswith("~") else calls | named
    return calls


def test_there_are_services() -> None:
    assert SERVICES


@each_service
def test_a_service_is_hardened(unit: Path) -> None:
    said = analyzed("security", "--offline=yes", unit)
    found = re.search(r"exposure level for \S+: ([0-9.]+)", said)
    assert found is not None, said
    assert float(found[1]) < LEAST_SECURE, said


@each_service
def test_a_service_may_ask_for_programs_and_is_not_killed_for_what_it_may_not(unit: Path) -> None:
    """From Linux 6.6 on bpf(2) says which programs see frames first; @privileged has it, too."""
    text = unit.read_text(encoding="utf-8")
    calls = allowed(text)
    assert "bpf" in calls
    assert {"socket", "sendto", "recvmsg", "openat", "rename"} <= calls
    assert not {"mount", "init_module", "reboot"} & calls
    assert "SystemCallErrorNumber=EPERM" in text
