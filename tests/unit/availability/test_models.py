from __future__ import annotations

import pytest

from remusnet.availability.distributions import Deterministic, Exponential
from remusnet.availability.measures import Estimate, Measure, MeasureKind, Method
from remusnet.availability.models.designs import DESIGNS, SERVICES, compared
from remusnet.availability.models.library import blueprint
from remusnet.availability.models.parameters import PARAMETERS, Values, parse_time, values
from remusnet.availability.models.parts import layer
from remusnet.availability.models.printed import tables
from remusnet.availability.models.supervision import NEEDED, RESTART_S
from remusnet.availability.models.thesis import (
    ActorTimes,
    idle_actors,
    life,
    server,
    transport_layer,
)
from remusnet.availability.module import HOUR, YEAR, Module
from remusnet.availability.sampling import Sampling
from remusnet.availability.solve import Question, solve
from remusnet.errors import InvalidInput


def by_service(chosen: Values, design: str) -> dict[str, Estimate]:
    return {each.name: each for each in compared(chosen, design)}


def test_every_design_gives_every_service_exactly() -> None:
    assert list(DESIGNS) == ["standard", "active-standby", "actors", "remus", "actors-on-remus"]
    for design in ("standard", "active-standby", "actors", "remus"):
        found = by_service(values(), design)
        assert tuple(found) == SERVICES
        assert {each.method for each in found.values()} == {Method.EXACT}


def test_a_layer_alone_is_an_alternating_renewal() -> None:
    net = Module("alone")
    power, up = net.place("power", 1), net.place("up", 1)
    net.include("layer", layer("layer", 100.0, 5.0, [2000.0, 2000.0]), Below=power, Up=up)
    (seen,) = solve(net, [Measure("up", "up > 0")])
    assert seen.value == pytest.approx(1000 / 1100, rel=1e-12, abs=0)


def test_the_standard_design_is_the_product_of_its_layers_but_for_their_starts() -> None:
    # A layer's own availability given that the one below is up; starts take 100 s a failure.
    chosen = values(["hypervisor.boot=1ms", "guest.boot=1ms", "app.start=1ms"])
    expected = 1.0
    for name in ("host", "hypervisor", "guest"):
        mttf, mttr = chosen[f"{name}.mttf"], chosen[f"{name}.mttr"]
        expected *= mttf / (mttf + mttr)
    section = chosen["section.mttf"] / 6
    expected *= section / (section + chosen["section.mttr"])
    seen = by_service(chosen, "standard")["registration"]
    # What fails in the last milliseconds before a start is all that the product leaves out.
    assert seen.rest == pytest.approx(1 - expected, rel=1e-4, abs=0)


def test_a_host_that_never_fails_leaves_nothing_to_gain_from_remus() -> None:
    chosen = values(["host.mttf=30000y", "hypervisor.mttf=30000y", "host.mttr=1s"])
    alone = by_service(chosen, "standard")["registration"]
    under = by_service(chosen, "remus")["registration"]
    assert under.rest == pytest.approx(alone.rest, rel=1e-3, abs=0)


def test_remus_masks_hosts_and_actors_mask_the_server() -> None:
    found = {
        design: by_service(values(), design)["registration"].rest or 0.0
        for design in ("standard", "actors", "remus")
    }
    assert found["remus"] < found["standard"] / 20
    assert found["actors"] < found["standard"]


def test_more_restarts_that_stick_cost_more() -> None:
    few, many = (
        by_service(values([f"actor.sticky={share}"]), "actors")["new-calls"].rest or 0.0
        for share in ("0", "50%")
    )
    assert few < many


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("host.mttr", "expected PARAMETER=VALUE"),
        ("host.mtrr=4h", r"unknown parameter 'host.mtrr' \(did you mean 'host.mttr'\?\)"),
        ("host.mttr=4", "host.mttr: invalid time: '4'"),
        ("host.mttr=-4h", "host.mttr: invalid time"),
        ("host.mttr=0s", "host.mttr: '0s'; expected more than 0"),
        ("actor.sticky=1", "actor.sticky: invalid share: '1'"),
        ("actor.sticky=100%", "actor.sticky: invalid share"),
    ],
)
def test_a_setting_that_does_not_fit_is_named(setting: str, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        values([setting])


def test_every_parameter_has_a_source() -> None:
    assert all(each.source and each.meaning for each in PARAMETERS.values())
    assert parse_time("1.5y") == 1.5 * YEAR


def test_the_tables_follow_from_the_parameters() -> None:
    rows = tables(1.0)
    assert [round(each.mu, 2) for each in rows] == [15.81, 15.12, 14.42]
    assert [round(each.standard_age, 7) for each in rows] == [0.9998755, 0.999751, 0.9995021]
    assert [round(each.standard_resample, 7) for each in rows] == [
        0.9999639,
        0.9999277,
        0.9998555,
    ]
    first = rows[0]
    assert first.actors_computed == pytest.approx(1 - 1 / (2208 * HOUR), rel=1e-9, abs=0)
    assert first.hypotheses["A"] == pytest.approx(1 - 100 * (1 - first.standard_age))
    assert first.hypotheses["D"] == pytest.approx(1 - 6 * 18000 / (2208 * HOUR + 6 * 18000))


def test_the_transport_layers_actors_are_idle_as_long_as_renewal_theory_says() -> None:
    # A life so short that five actors' simulated failures are many: 10 h, a restart of 10 s.
    times = ActorTimes(life(10), Deterministic(10.0))
    measure = Measure("idle", idle_actors("transport"), MeasureKind.MEAN)
    sampling = Sampling(relative_error=2e-5, seed=3, most_events=400_000)
    (seen,) = solve(transport_layer(times), [measure], Question(sampling))
    assert seen.low is not None
    assert seen.high is not None
    # Twice the interval's half, and a second order: a child waits while its supervisor is down.
    # Of the top: a top that fails waits for its recovery (165 s) besides.
    children, top = 36000 / 36010, 36000 / (36000 + 175)
    half = seen.high - seen.low
    assert abs(seen.value - (4 * children + top)) < half + 4 * 2e-5


def test_escalation_takes_faults_that_stick() -> None:
    plain = ActorTimes(life(10), Deterministic(1.0))
    sticky = ActorTimes(life(10), Deterministic(1.0), sticky=0.5)
    path = "transport.T3 receiver"
    measure = Measure("escalations", path, MeasureKind.RATE)
    failures = Measure("failures", "transport.receiver.T1", MeasureKind.RATE)
    question = Question(Sampling(relative_error=0.03, seed=3, most_events=3_000_000))
    never, _ = solve(server(plain), [measure, failures], question)
    often, fails = solve(server(sticky), [measure, failures], question)
    assert never.value == 0
    assert not never.reached
    # The fourth failure within the window: three restarts have failed at once, each by 1/2, but
    # T7 may have forgotten one meanwhile: it rings within 3 of its 30 s.
    assert 0.9 * 0.125 * 0.85 < often.value / fails.value < 0.125 * 1.15


def test_exponential_times_may_be_given_to_the_thesiss_actor() -> None:
    with pytest.raises(InvalidInput, match="invalid sticky: 1"):
        ActorTimes(Exponential(1.0), Exponential(1.0), sticky=1)


@pytest.mark.parametrize("name", ["supervision", "supervision-thesis"])
def test_the_servers_tree_can_be_had_by_name_with_its_measured_restarts(name: str) -> None:
    model = blueprint(name, ["actor.sticky=0", "call.mean=1s"]).made()
    assert [each.name for each in model.services] == list(SERVICES)
    sampling = Sampling(0.05)
    seen = dict(zip(SERVICES, solve(model.net, model.services, Question(sampling)), strict=True))
    preset = {"supervision": "resilient"}.get(name, "thesis")
    for service in ("registration", "new-calls"):
        restarts = sum(RESTART_S[preset][actor] for actor in NEEDED[service])
        rest = seen[service].rest
        assert rest is not None
        # Under thesis the transport supervisor's restart waits for none below it.
        assert rest == pytest.approx(restarts / (2208 * HOUR), rel=0.1)


def test_without_supervision_every_failure_takes_somebodys_repair() -> None:
    model = blueprint("supervision-none", ["actor.mttf=80h", "section.mttr=6min"]).made()
    registration, new_calls, _ = solve(model.net, model.services)
    assert registration.value == pytest.approx(10 / 10.1, rel=1e-12, abs=0)
    assert new_calls.value == registration.value


def test_only_the_servers_tree_has_a_restart_time_for_each_actor() -> None:
    with pytest.raises(InvalidInput, match=r"unknown parameter 'restart\.proxy'"):
        blueprint("actors", ["restart.proxy=1s"])
    given = blueprint("supervision", ["restart.proxy=1s"]).given
    assert given["restart.proxy"].value == 1
    assert "measured under resilient" in given["restart.coder"].parameter.source


@pytest.mark.slow
@pytest.mark.parametrize("design", ["remus", "actors-on-remus"])
def test_a_failover_loses_an_epoch_of_what_is_being_set_up_and_no_call_that_was_up(
    design: str,
) -> None:
    model = blueprint(design, ["remus.epoch=250ms", "remus.failover=1s"]).made()
    measures = (
        Measure("failover", "hosts.Failover > 0"),
        Measure("epoch", "hosts.LostEpoch > 0"),
        *(Measure(each.name, f"hosts.LostEpoch > 0 and ({each.text})") for each in model.services),
    )
    failover, epoch, *served = (each.value for each in solve(model.net, measures))
    # One after the other: their shares of time are as their means.
    assert epoch / failover == pytest.approx(0.25, rel=1e-9, abs=0)
    registration, new_calls, established = served
    assert (registration, new_calls) == (0, 0)
    # But for what is down anyway then.
    assert established == pytest.approx(epoch, rel=0.02)
