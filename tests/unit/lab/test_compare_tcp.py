"""What of a scenario a real kernel's TCP is asked, and how it is told."""

from __future__ import annotations

import pytest

from remusnet.emulator.run.scenario_run import run_scenario
from remusnet.errors import InvalidInput
from remusnet.lab import compare_tcp
from remusnet.lab.compare_tcp import only_tcp
from remusnet.lab.tcp_script import Connection, Terms, read_seen, written_seen
from remusnet.policy import PRESETS
from remusnet.scenario.scenario import Scenario
from remusnet.scenario.scenario_file import load

CHECKPOINTS = '[checkpoint]\ninterval = "200ms"\npause = "20ms"\n'
TCP = "[[tcp]]\ncount = 3\nexchanges = 2\n"


def scenario(text: str) -> Scenario:
    return load(f'name = "test"\nduration = "2500ms"\n{text}', "test.toml")


def terms(text: str, policy: str = "tcp-only") -> Terms:
    return compare_tcp._terms(only_tcp(scenario(text)), PRESETS[policy], "u32")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CHECKPOINTS + "[[calls]]\n", "no [[tcp]]"),
        (TCP, "no checkpoints"),
        (CHECKPOINTS + "[[tcp]]\ncount = 2001\n", "2,001 connections"),
        (CHECKPOINTS + TCP + '[[tcp]]\nrto-min = "1s"\n', "several rto-min"),
        (CHECKPOINTS + TCP + "[guest-tcp]\nhystart = false\n", "hystart on one side only"),
    ],
)
def test_what_a_kernel_cannot_have_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match="test") as refused:
        only_tcp(scenario(text))
    assert said in str(refused.value)


def test_all_else_is_left_out_and_said() -> None:
    full = scenario(
        CHECKPOINTS + TCP + '[network]\njitter = "1ms"\n[vif]\nring = 256\n[[calls]]\n[[sip]]\n'
    )
    alone = only_tcp(full)
    assert list(compare_tcp._left_out(full)) == ["calls", "sip", "the ring", "the network's jitter"]
    assert list(compare_tcp._left_out(alone)) == []
    (outcome,) = run_scenario(alone, [PRESETS["tcp-only"]]).comparison.outcomes
    assert outcome.scene is not None
    assert {each.kind for each in outcome.scene.transfers} == {"request-response"}


def test_terms_come_back_as_they_were() -> None:
    sent = terms(CHECKPOINTS + TCP)
    back = Terms.read(sent.text())
    assert back.text() == sent.text()
    assert back.groups == sent.groups
    # A connection that would begin after the end doesn't.
    assert sent.groups[0].starts_ns == [0, 10**9, 2 * 10**9]
    assert [tuple(each) for each in back.checkpoints[:2]] == [
        (200_000_000, 220_000_000, 225_000_000),
        (425_000_000, 445_000_000, 450_000_000),
    ]


def test_what_was_seen_comes_back_as_it_was() -> None:
    seen = [Connection(0, 1, [5, 6], 11, 2), Connection(1, 0, [], None, 0)]
    assert read_seen(written_seen(seen, [1, 2])) == (seen, [1, 2])


def test_each_switch_of_the_scenario_is_one_of_the_kernel() -> None:
    plain = terms(CHECKPOINTS + TCP)
    assert plain.guest.sysctls["tcp_early_retrans"] == "3"
    assert (plain.guest.route, plain.guest.nodelay) == ("initcwnd 10 rto_min 200ms", False)
    off = "".join(
        f"{word} = false\n"
        for word in (
            "hystart",
            "slow-start-after-idle",
            "timestamps",
            "sack",
            "frto",
            "tail-loss-probe",
            "nagle",
            "autocorking",
            "delayed-ack",
        )
    )
    both = f'[guest-tcp]\ncongestion = "reno"\n{off}[peer-tcp]\nhystart = false\n'
    other = terms(CHECKPOINTS + TCP + both)
    assert set(other.guest.sysctls.values()) == {"reno", "0"}
    assert other.guest.route.endswith(" quickack 1")
    assert (other.guest.nodelay, other.hystart) == (True, False)
    assert other.peer == plain.peer


def test_losses_in_a_row_are_netems_model_of_gilbert() -> None:
    wire = terms(CHECKPOINTS + TCP + "[network]\nloss = 1\nloss-burst = 4\n").wire
    assert wire.loss == "loss gemodel 0.252525% 25% 100% 0%"
    assert terms(CHECKPOINTS + TCP + "[network]\nloss = 0.5\n").wire.loss == "loss 0.5%"


@pytest.mark.parametrize(("policy", "copied"), [("tcp-only", True), ("stock-remus", False)])
def test_the_kernel_copies_what_it_holds_where_the_emulator_does(policy: str, copied: bool) -> None:
    assert terms(CHECKPOINTS + TCP, policy).decouple is copied
