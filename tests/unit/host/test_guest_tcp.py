"""What doctor says of TCP in guests, on machines made of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from remusnet.host.guest_tcp import check_guest_tcp
from remusnet.results.checks import CheckState
from tests.unit.host.test_doctor import put

RESTART = "proc/sys/net/ipv4/tcp_slow_start_after_idle"
HYSTART = "sys/module/tcp_cubic/parameters/hystart"


@pytest.mark.parametrize(
    ("restart", "hystart", "states"),
    [
        ("1\n", "1\n", [CheckState.MISSING, CheckState.MISSING]),
        ("0\n", "1\n", [CheckState.OK, CheckState.MISSING]),
        ("0\n", "0\n", [CheckState.OK, CheckState.OK]),
    ],
)
def test_a_machine_says_how_it_is_set(
    restart: str, hystart: str, states: list[CheckState], tmp_path: Path
) -> None:
    put(tmp_path, RESTART, restart)
    put(tmp_path, HYSTART, hystart)
    found = check_guest_tcp(tmp_path)
    assert [each.state for each in found] == states
    assert [bool(each.mend) for each in found] == [s is not CheckState.OK for s in states]
    assert not any(each.needed for each in found)


def test_what_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    for each in check_guest_tcp(tmp_path):
        assert each.state is CheckState.UNKNOWN
        assert "No such file" in each.found


def test_a_dom0_names_what_to_set_in_its_guests_whatever_its_own_settings(tmp_path: Path) -> None:
    put(tmp_path, "proc/xen/capabilities", "control_d\n")
    put(tmp_path, RESTART, "0\n")
    put(tmp_path, HYSTART, "0\n")
    found = check_guest_tcp(tmp_path)
    assert {each.state for each in found} == {CheckState.UNKNOWN}
    assert [each.mend.partition(" (")[0] for each in found] == [
        "in each guest: sysctl -w net.ipv4.tcp_slow_start_after_idle=0",
        "in each guest: echo 0 > /sys/module/tcp_cubic/parameters/hystart",
    ]
