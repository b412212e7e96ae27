"""What a monitor of Nagios's kin reads: states, performance data, one line first."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.report.nagios import State, nagios, unknown
from remusnet.results.monitoring import Reading
from remusnet.results.protection import Difference, Protected
from tests.lib.readings import (
    INGRESS_GONE,
    PLUG_GONE,
    QUEUE,
    TERMS,
    UNPROTECTED,
    VIF_GONE,
    reading,
    status,
)

_VALUE = r"-?\d+(?:\.\d+)?(?:B|c|s|ms|us|%)?"
_BOUND = r"(?:-?\d+(?:\.\d+)?)?"
PERFORMANCE = re.compile(rf"'(?:[^'=]|'')+'={_VALUE}(?:;{_BOUND}){{0,4}}")
"""One value, as the guidelines have it."""


def test_what_agrees_is_ok_with_values() -> None:
    state, text = nagios([reading()])
    assert (state, int(state)) == (State.OK, 0)
    assert text == (
        "REMUSNET OK - 1 vif protected as applied | "
        "'ifb-1.0_backlog'=3000B;800000;1000000;0;1000000 'ifb-1.0_held'=12c "
        "'ifb-1.0_bypassed'=30c 'ifb-1.0_overflowed'=0c 'ifb-1.0_refused'=0c\n"
    )


def test_nothing_protected_is_ok_where_no_vif_was_asked_for() -> None:
    assert nagios([]) == (State.OK, "REMUSNET OK - nothing is protected\n")


def test_a_vif_that_was_asked_for_and_is_open_is_critical() -> None:
    state, text = nagios([UNPROTECTED])
    assert (state, int(state)) == (State.CRITICAL, 2)
    assert text == (
        "REMUSNET CRITICAL - vif9.0: protection: desired a protection, "
        "current none: every frame bypasses\n"
    )


def test_differences_are_critical_and_the_rest_follows_line_by_line() -> None:
    warned = ('not as it was applied: see "remusnet verify"', "ifb-1.0 is 91 % full: it drops")
    state, text = nagios([reading(INGRESS_GONE, PLUG_GONE, warnings=warned)])
    first, *more = text.splitlines()
    assert state is State.CRITICAL
    assert first.startswith(
        "REMUSNET CRITICAL - vif1.0: ingress qdisc: desired there, current gone"
    )
    assert "(and 2 more) | 'ifb-1.0_backlog'=" in first
    assert more == [
        f"vif1.0: ifb-1.0: root qdisc: desired plug, current {PLUG_GONE.current}",
        "vif1.0: ifb-1.0 is 91 % full: it drops",
    ]


def test_what_status_warns_of_is_a_warning() -> None:
    state, text = nagios([reading(warnings=("ifb-1.0 is 91 % full: it drops",))])
    assert (state, int(state)) == (State.WARNING, 1)
    assert text.startswith("REMUSNET WARNING - vif1.0: ifb-1.0 is 91 % full: it drops | ")


def test_notes_are_details_and_no_state() -> None:
    state, text = nagios([reading()], ["only root may ask"])
    assert state is State.OK
    assert text.splitlines()[1:] == ["only root may ask"]


def test_what_could_not_be_read_is_unknown_on_one_line() -> None:
    state, text = unknown("the kernel\nrefused | it")
    assert (state, int(state)) == (State.UNKNOWN, 3)
    assert text == "REMUSNET UNKNOWN - the kernel refused / it\n"


def test_what_the_kernel_does_not_count_is_left_out() -> None:
    _, text = nagios([reading(bypassed=None, held=None)])
    assert "held" not in text.partition("|")[2]
    assert "bypassed" not in text.partition("|")[2]


@given(
    buffer=st.text(st.characters(exclude_characters="\0/", codec="utf-8"), min_size=1, max_size=15),
    backlog=st.integers(0, 1 << 40),
)
def test_performance_data_can_be_parsed_whatever_a_device_is_called(
    buffer: str, backlog: int
) -> None:
    found = status(protected=Protected(buffer, ("vif1.0",), TERMS), backlog=backlog)
    _, text = nagios([Reading(found.protected, found, ())])
    assert text.count("\n") == 1 or "\n" in buffer or "\r" in buffer
    values = text.rstrip("\n").partition(" | ")[2]
    assert PERFORMANCE.sub("", values).strip() == "", values


@pytest.mark.parametrize(
    ("difference", "opens"),
    [(INGRESS_GONE, True), (PLUG_GONE, True), (VIF_GONE, False), (QUEUE, False)],
)
def test_a_vif_is_open_where_frames_may_leave(difference: Difference, opens: bool) -> None:
    assert reading(difference).is_open is opens
