"""Closed forms and published numbers that the models have to meet."""

from __future__ import annotations

import pytest

from remusnet.availability.distributions import (
    Deterministic,
    Distribution,
    Exponential,
    Lognormal,
    Uniform,
)
from remusnet.availability.measures import Measure, MeasureKind, Method
from remusnet.availability.models import supervision
from remusnet.availability.models.parameters import values
from remusnet.availability.models.printed import HYPOTHESES, tables
from remusnet.availability.models.supervision import ACTORS, TreeTimes, server, services
from remusnet.availability.models.thesis import ActorTimes, actor
from remusnet.availability.module import DAY, HOUR, MINUTE, YEAR, Module
from remusnet.availability.net import Memory
from remusnet.availability.sampling import Sampling
from remusnet.availability.solve import Question, solve
from remusnet.sip import presets, tree
from tests.lib.long import count
from tests.unit.availability import nets


@pytest.mark.parametrize("error", [0.01, 0.001])
@pytest.mark.parametrize("net", ["alternating", "age", "resample"])
def test_a_closed_form_is_inside_the_interval_at_1_percent_and_at_a_tenth(
    net: str, error: float
) -> None:
    mean, repair = 2208 * HOUR, 165.0
    if net == "alternating":
        model = nets.alternating(Lognormal(mean, 0.1), Uniform(155.0, 175.0))
        truth = repair / (mean + repair)
    elif net == "age":
        model, truth = nets.sections(6, Memory.AGE), 6 * repair / (mean + 6 * repair)
    else:
        model = nets.sections(6, Memory.RESAMPLE)
        (exact,) = solve(model, [nets.UP])
        assert exact.method == Method.CLOSED_FORM
        assert exact.rest is not None
        truth = exact.rest
    if net != "alternating":
        # A tenth of a percent of what varies as the thesis's does takes 100 times as long.
        error *= count(sample=2, long=1) if error == 0.01 else count(sample=20, long=1)
    sampling = Sampling(relative_error=error, seed=3, most_events=10**8)
    (seen,) = solve(model, [nets.UP], Question(sampling, Method.SIMULATION))
    assert seen.reached
    assert seen.low is not None
    assert seen.high is not None
    assert seen.low <= 1 - truth <= seen.high


def test_the_rate_of_escalation_by_faults_that_stick_has_a_closed_form() -> None:
    # T3 fires when three restarts in a row have failed at once, each by the chance p. The restart
    # that its supervisor's brings fails by p too, and goes up again while three are remembered:
    # p^3 (1 + p + p^2 + ...) escalations a failure. T7 comes once in 30 s, all that takes 2 s.
    p = 0.3
    times = ActorTimes(Exponential(1e6), Deterministic(0.5), sticky=p)
    net = Module("escalation")
    failed, again = net.place("Failed"), net.place("Again")
    net.immediate("T2").takes(failed).puts(again)
    net.include("supervisor", actor(times, ("child",)), Fail=failed, Again=again)
    measures = [
        Measure("escalations", "supervisor.T3 child", MeasureKind.RATE),
        Measure("failures", "supervisor.child.T1", MeasureKind.RATE),
    ]
    sampling = Sampling(relative_error=count(sample=100, long=10) / 1000, seed=4)
    escalations, failures = solve(net, measures, Question(sampling))
    assert escalations.low is not None
    assert escalations.high is not None
    half = (escalations.high - escalations.low) / 2 / failures.value
    assert abs(escalations.value / failures.value - p**3 / (1 - p)) < 1.6 * half


def test_without_faults_that_stick_nothing_escalates() -> None:
    times = ActorTimes(Exponential(1e6), Deterministic(0.5))
    net = Module("escalation")
    failed, again = net.place("Failed"), net.place("Again")
    net.immediate("T2").takes(failed).puts(again)
    net.include("supervisor", actor(times, ("child",)), Fail=failed, Again=again)
    measure = Measure("escalations", "supervisor.T3 child", MeasureKind.RATE)
    (seen,) = solve(net, [measure], Question(Sampling(0.1, 4, 100_000)))
    assert seen.value == 0


def test_the_defaults_are_those_of_nguyen_kim_and_park() -> None:
    # TSWJ 165316 (2014), table 3.
    chosen = values()
    assert (chosen["host.mttf"], chosen["host.mttr"]) == (YEAR, 3 * DAY)
    assert (chosen["hypervisor.mttf"], chosen["hypervisor.mttr"]) == (2654 * HOUR, 100 * MINUTE)
    assert (chosen["guest.mttf"], chosen["guest.mttr"]) == (2893 * HOUR, 30 * MINUTE)
    assert (chosen["hypervisor.boot"], chosen["guest.boot"]) == (MINUTE, 30.0)


def test_hypotheses_come_near_to_what_is_printed_and_the_stated_parameters_do_not() -> None:
    for row in tables(1.0):
        rest = 1 - row.standard_printed
        assert set(row.distances) == set(HYPOTHESES)
        for name, distance in row.distances.items():
            assert distance == pytest.approx(row.hypotheses[name] - row.standard_printed)
            # The noise of the tool's simulation: a tenth; A in the third row, and B, are further.
            assert abs(distance) < 0.2 * rest
        assert row.standard_age - row.standard_printed > 0.9 * rest


# The supervision tree as the server has it.


def tree_times(
    restart: Distribution,
    *,
    life: float = 40.0,
    sticky: float = 0.0,
    under_way: float = 0.0,
    window: bool = False,
) -> TreeTimes:
    return TreeTimes(
        life=Exponential(life),
        restart=dict.fromkeys(ACTORS, restart),
        repair=Uniform(3.0, 5.0),
        call_mean=5.0,
        window=window,
        sticky=sticky,
        under_way=under_way,
    )


def test_the_models_tree_is_the_servers() -> None:
    assert set(supervision.PRESETS) == set(presets.PRESETS)
    for name in ("resilient", "thesis"):
        preset = presets.PRESETS[name]
        assert preset.leaves.window == presets.WINDOW
        assert preset.top.window is not None
        assert preset.top.window.most == supervision._TOP_FAILURES[name]
    assert (presets.WINDOW.most, presets.WINDOW.seconds) == (
        supervision.MOST_FAILURES,
        supervision.WINDOW_S,
    )
    assert tree.__doc__ is not None
    assert all(f"      {name}" in tree.__doc__ for name in ACTORS)


def test_under_none_any_failure_takes_the_process_and_all_its_calls() -> None:
    times = tree_times(Exponential(1.0))
    found = {e.name: e for e in solve(server("none", times), services("none", times))}
    # Eight actors: alive 5 s, repaired 4 s. A lost call ends by chance before the next failure.
    assert found["registration"].method == Method.CLOSED_FORM
    assert found["registration"].value == pytest.approx(5 / 9)
    assert found["established-calls"].value == pytest.approx(5 / 9 * 0.5)


def test_under_resilient_restarts_are_all_that_a_service_misses() -> None:
    times = tree_times(Exponential(0.01))
    found = solve(server("resilient", times), services("resilient", times))
    for each in found:
        needed = len(supervision.NEEDED[each.name])
        # But for the moments in which two restart at once.
        assert each.rest == pytest.approx(needed * 0.01 / 40, rel=0.002)


def test_under_thesis_a_failed_session_router_costs_its_calls_and_a_table_what_is_under_way() -> (
    None
):
    times = tree_times(Exponential(0.001), under_way=0.02)
    found = {e.name: e.rest for e in solve(server("thesis", times), services("thesis", times))}
    assert found["established-calls"] == pytest.approx(5 / 45, rel=0.02)
    # Two tables' restarts are over while what they cut is still missed: five others count beside.
    assert found["registration"] == pytest.approx((2 * 0.02 + 5 * 0.001) / 40, rel=0.01)
    # Whoever waits for a restart loses what was in a table, and nothing else.
    waiting = services("thesis", times, waiting=True)
    found = {e.name: e.rest for e in solve(server("thesis", times), waiting)}
    assert found["registration"] == pytest.approx(2 * 0.02 / 40, rel=0.01)
    assert found["new-calls"] == pytest.approx(3 * 0.02 / 40, rel=0.01)


def test_five_failures_in_the_window_are_restarted_and_the_sixth_escalates() -> None:
    # Of restarts that always fail again but for 1 in 10, half and more come to six failures.
    p = 0.9
    times = tree_times(Exponential(0.01), life=1e4, sticky=p, window=True)
    measures = [
        Measure("escalations", "registrar.escalates", MeasureKind.RATE),
        Measure("failures", "registrar.fails", MeasureKind.RATE),
    ]
    sampling = Sampling(relative_error=0.1, seed=1, most_events=1_000_000)
    escalations, failures = solve(server("resilient", times), measures, Question(sampling))
    # Five restarts in a row fail at once: p^5. What returns with the top begins anew, and lives.
    assert escalations.value / failures.value == pytest.approx(p**5, rel=0.12)
