"""From events to distributions: parameters that are known, found again."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from remusnet.availability.distributions import (
    Distribution,
    Erlang,
    Exponential,
    Lognormal,
    Uniform,
    Weibull,
)
from remusnet.availability.file.model_file import load
from remusnet.availability.fitting.events import read_events
from remusnet.availability.fitting.history import Times, history_of
from remusnet.availability.fitting.likelihood import fitted
from remusnet.availability.fitting.report import report_of
from remusnet.availability.fitting.written import as_json, model_file, time_of
from remusnet.availability.sampling import Sampling
from remusnet.availability.solve import Question, solve
from remusnet.cli.availability.fit import command
from remusnet.errors import InvalidInput
from tests.lib.long import count


def line(
    time_s: float,
    event: str,
    actor: str = "transport/sender",
    number: int | None = None,
    **more: object,
) -> str:
    kind = "" if actor == "/" else actor.rpartition("/")[2]
    fields = {
        "time_ns": round(time_s * 1e9),
        "actor": actor,
        "kind": kind,
        "id": number,
        "event": event,
        "error": None,
        **more,
    }
    return json.dumps(fields) + "\n"


def sampled(life: Distribution, number: int, seed: int, *, cut: float = math.inf) -> Times:
    """``number`` lives; each watched no longer than a time that is uniform up to ``cut``."""
    rng = np.random.default_rng(seed)
    lives = life.draw(rng, number)
    watched = rng.uniform(0, cut, number) if math.isfinite(cut) else np.full(number, math.inf)
    seen = lives <= watched
    return Times([float(x) for x in lives[seen]], [float(x) for x in watched[~seen]])


@settings(max_examples=count(sample=5, long=150), deadline=None)
@given(
    st.sampled_from(
        [
            Exponential(1.0),
            Lognormal(1.0, 0.5),
            Weibull(1.0, 2.0),
            Weibull(1.0, 0.6),
            Erlang(1.0, 5),
        ]
    ),
    st.floats(-4, 7),
    st.floats(1.0, 4.0),
    st.integers(0, 2**32 - 1),
)
def test_parameters_are_recovered_from_lives_of_which_half_are_cut_off(
    shape: Distribution, magnitude: float, cut: float, seed: int
) -> None:
    scale = 10**magnitude
    times = sampled(shape, 1500, seed, cut=cut)
    scaled = Times([x * scale for x in times.ended], [x * scale for x in times.censored])
    choice = fitted(scaled)
    same = next(
        each for each in choice.fits if isinstance(each.distribution, type(shape))
    ).distribution
    # 1,500 lives, a fifth to two thirds of them seen to end: 4 standard deviations of what is
    # estimated worst, the mean of a Weibull of shape 0.6 whose tail is cut off, come to 45 %.
    assert same.mean == pytest.approx(shape.mean * scale, rel=0.45)
    assert float(same.survival(np.array([scale * shape.mean]))[0]) == pytest.approx(
        float(shape.survival(np.array([shape.mean]))[0]), abs=0.08
    )
    if isinstance(shape, Erlang):
        assert isinstance(same, Erlang)
        assert 3 <= same.shape <= 8


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        (Exponential(300.0), "exponential"),
        (Lognormal(300.0, 0.7), "lognormal"),
        (Weibull(300.0, 3.0), "weibull"),
        (Erlang(300.0, 3), "erlang"),
    ],
)
def test_the_distribution_that_it_was_is_the_best_of_many_lives(
    shape: Distribution, name: str
) -> None:
    choice = fitted(sampled(shape, 3000, 5, cut=900.0))
    assert choice.best.name == name
    assert choice.best.fits


def test_what_no_family_fits_is_given_as_it_was_measured() -> None:
    two = [0.1 + n / 1e4 for n in range(50)] + [30.0 + n / 100 for n in range(50)]
    choice = fitted(Times(two))
    assert choice.best.name == "empirical"
    assert choice.best.distribution.mean == pytest.approx(np.mean(two))
    assert [each.fits for each in choice.fits[1:]] == [False] * 4


def test_leaving_out_what_was_cut_off_would_make_lives_too_short() -> None:
    times = sampled(Exponential(100.0), 4000, 3, cut=100.0)
    assert fitted(Times(times.ended)).mean.value < 45
    interval = fitted(times).mean
    assert interval.low < 100 < interval.high


@pytest.mark.parametrize("shape", [Exponential(10.0), Lognormal(10.0, 0.6), Weibull(10.0, 1.8)])
def test_the_intervals_cover_the_truth_about_as_often_as_they_say(shape: Distribution) -> None:
    runs = count(sample=30, long=1000)
    covered = 0
    for seed in range(runs):
        choice = fitted(sampled(shape, 150, seed, cut=25.0))
        same = next(e for e in choice.fits if isinstance(e.distribution, type(shape)))
        name = "scale" if isinstance(shape, Weibull) else "mean"
        truth = 10.0
        covered += same.parameters[name].low <= truth <= same.parameters[name].high
    # 95 %, less three standard deviations of so many runs.
    assert covered / runs >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / runs)


def test_uniform_repairs_of_30_to_300_s_are_not_taken_for_exponential() -> None:
    choice = fitted(sampled(Uniform(30, 300), 400, 2))
    names = {each.name: each for each in choice.fits}
    assert not names["exponential"].fits
    assert choice.best.distribution.mean == pytest.approx(165, rel=0.05)


# Events to times.


def times_of(*lines: str) -> dict[str, Any]:
    return dict(history_of(read_events(lines, "events.jsonl")).kinds)


def test_an_id_pairs_a_failure_with_its_restart_and_the_end_cuts_off() -> None:
    kinds = times_of(
        line(0, "server-started", "/", wall="2026-11-29T00:00:00+00:00"),
        line(1, "started"),
        line(1, "started", "coder"),
        line(11, "failed", number=1, error="Boom: x"),
        line(11.5, "restarted", number=1),
        line(14, "failed", "coder", number=2, error="Boom: y"),
        line(14, "resumed", "coder", number=2),
        line(20, "failed", number=3, error="Boom: x"),
        line(21, "stopped"),
        line(21, "stopped", "coder"),
        line(22, "server-stopped", "/"),
    )
    sender, coder, server = kinds["sender"], kinds["coder"], kinds["server"]
    assert sender.lives == Times([10, 8.5], [])
    assert sender.restarts == Times([0.5], [1])
    assert coder.lives == Times([13], [7])
    assert (coder.resumed, coder.attempts) == (1, 1)
    assert server.lives == Times([], [22])


def test_a_restart_that_fails_at_once_is_one_restart_and_sticks() -> None:
    sender = times_of(
        line(0, "started"),
        line(5, "failed", number=1),
        line(5.25, "failed", number=2),
        line(5.5, "failed", number=3),
        line(6, "restarted", number=3),
        line(7, "stopped"),
    )["sender"]
    assert sender.lives == Times([5], [1])
    assert sender.restarts == Times([1], [])
    assert (sender.attempts, sender.stuck) == (3, 2)


def test_a_failure_that_came_from_below_is_not_the_parents_own() -> None:
    kinds = times_of(
        line(0, "started", "transport"),
        line(0, "started"),
        line(9, "failed", number=6),
        line(9, "escalated", number=6, error="Boom: x"),
        line(9, "failed", "transport", number=7, error="Escalated: transport/sender: Boom: x"),
        line(10, "restarted", number=7),
        line(10, "restarted", "transport", number=7),
        line(12, "stopped"),
        line(12, "stopped", "transport"),
    )
    assert kinds["transport"].lives == Times([], [9, 2])
    assert kinds["transport"].restarts == Times([1], [])
    assert kinds["sender"].lives == Times([9], [2])
    assert kinds["sender"].restarts == Times()
    assert kinds["sender"].escalations == 1


def test_a_process_that_failed_and_was_started_again_is_a_life_and_a_repair() -> None:
    server = times_of(
        line(100, "server-started", "/", wall="2026-11-29T00:00:00+00:00"),
        line(140, "server-stopped", "/", error="Escalated: x"),
        line(145, "server-started", "/", wall="2026-11-29T00:00:45+00:00"),
        line(165, "server-stopped", "/", error="Escalated: x"),
        # The machine was started anew: its clock has begun again, the world's has gone on.
        line(10, "server-started", "/", wall="2026-11-29T00:03:05+00:00"),
        line(40, "server-stopped", "/", error=None),
    )["server"]
    assert server.lives == Times([40, 20], [30])
    assert server.restarts == Times([5, 120], [])


def test_a_file_that_ends_while_the_server_runs_cuts_lives_off() -> None:
    kinds = times_of(
        line(0, "server-started", "/"), line(1, "started"), line(4, "started", "coder")
    )
    assert kinds["sender"].lives == Times([], [3])
    assert kinds["server"].lives == Times([], [4])


# Files.


BAD = {
    "{": "no JSON",
    "[]": "no JSON object of an event",
    '{"time_ns": 1}': "no actor in it",
    line(1, "faild", number=1): r"unknown event 'faild' \(did you mean 'failed'\?\)",
    line(1, "failed"): "invalid id: 'None'; expected a failure's number",
    line(1, "failed", number=-1): "invalid id: '-1'",
    line(-1, "started"): "invalid time_ns: '-1000000000'",
    line(1, "started", "/", wall="yesterday"): "invalid wall: 'yesterday'; expected a date",
    "x" * 5000: "no JSON",
}


@pytest.mark.parametrize(("bad", "problem"), BAD.items(), ids=range(len(BAD)))
def test_a_wrong_line_is_named_with_its_number(bad: str, problem: str) -> None:
    lines = [line(0, "started"), bad.rstrip("\n") + "\n", line(2, "stopped")]
    with pytest.raises(InvalidInput, match=f"^events.jsonl:2: {problem}"):
        read_events(lines, "events.jsonl")


def test_all_wrong_lines_are_named_and_of_very_many_the_first_twenty() -> None:
    with pytest.raises(InvalidInput) as caught:
        read_events(["{\n"] * 25, "e")
    named = str(caught.value).splitlines()
    assert named[0] == "e:1: no JSON"
    assert len(named) == 21
    assert named[-1] == "e: 5 more lines are wrong"


def test_a_line_that_is_being_written_is_no_mistake() -> None:
    assert len(read_events([line(0, "started"), '{"time_ns": 12'], "e")) == 1
    with pytest.raises(InvalidInput, match="no events in it"):
        read_events(["\n"], "e")


def failing(lives: Sequence[float], restart_s: float = 0.01) -> list[str]:
    now, lines = 0.0, [line(0, "server-started", "/"), line(0, "started")]
    for number, life in enumerate(lives, 1):
        now += life
        lines.append(line(now, "failed", number=number, error="Boom: x"))
        now += restart_s
        lines.append(line(now, "restarted", number=number))
    return [*lines, line(now + 1, "server-stopped", "/")]


def test_nothing_failed_is_said_with_what_it_means_all_the_same() -> None:
    lines = [line(0, "started"), line(3600, "stopped")]
    # -ln(0.025) = 3.689: a mean of 976 s lets 3600 s pass without a failure once in forty times.
    with pytest.raises(InvalidInput, match="nothing failed in 3600 s.* 975.9 s at least"):
        report_of(lines, "events.jsonl")


def test_few_failures_are_exponential_and_said_to_be_few() -> None:
    report = report_of(failing([10, 20, 30]), "e.jsonl")
    (sender,) = report.failed
    assert sender.few
    assert sender.life is not None
    assert [each.name for each in sender.life.fits] == ["exponential"]
    assert "too few to tell one distribution from another" in model_file(report, "e.jsonl")


def test_the_settings_are_those_of_the_designs() -> None:
    lives = sampled(Exponential(50.0), 40, 1).ended
    report = report_of(failing(lives, restart_s=0.25), "e.jsonl")
    found = {each.name: each.value for each in report.settings}
    assert set(found) == {"actor.mttf", "actor.restart", "actor.sticky"}
    assert found["actor.restart"].value == pytest.approx(0.25)
    assert found["actor.mttf"].value == pytest.approx((sum(lives) + 1) / 40)
    assert found["actor.sticky"].value == 0
    # Clopper and Pearson: 1 - 0.025^(1/40).
    assert found["actor.sticky"].high == pytest.approx(1 - 0.025 ** (1 / 40))
    shown = json.loads(json.dumps(as_json(report)))
    assert shown["settings"][0]["name"] == "actor.mttf"
    (sender,) = [each for each in shown["kinds"] if each["kind"] == "sender"]
    assert sender["life"]["ended"] == 40
    assert sender["restart"]["best"] in {"empirical", "lognormal"}


@pytest.mark.parametrize("lives", [Exponential(50.0), Lognormal(50.0, 0.3), Erlang(50.0, 9)])
def test_what_is_written_is_a_model_that_can_be_run(lives: Distribution) -> None:
    report = report_of(failing(sampled(lives, 60, 4).ended, restart_s=0.5), "e.jsonl")
    model = load(model_file(report, "e.jsonl"), "measured.toml").made()
    assert [each.name for each in model.services] == ["all", "sender"]
    question = Question(Sampling(relative_error=0.1, most_events=100_000))
    for each in solve(model.net, model.services, question):
        assert each.value == pytest.approx(50 / 50.5, rel=0.01)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(4.66e-5, "0.0466ms"), (0.25, "250ms"), (59.999, "60s"), (150, "2.5min"), (1e10, "115741d")],
)
def test_times_are_written_as_model_files_read_them(seconds: float, shown: str) -> None:
    assert time_of(seconds) == shown


def run(*words: str, data: str | None = None) -> tuple[int, str]:
    try:
        result = CliRunner().invoke(
            command, [*words], input=data, standalone_mode=False, catch_exceptions=False
        )
    except InvalidInput as error:
        return error.exit_code, str(error)
    return result.exit_code, result.output


def test_the_command_prints_a_model_and_writes_one(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text("".join(failing(sampled(Exponential(50.0), 20, 1).ended)))
    code, shown = run(str(events))
    assert code == 0
    assert 'time = { distribution = "exponential", mean = "' in shown
    assert "--set actor.mttf=" in shown
    target = tmp_path / "measured.toml"
    code, told = run(str(events), "-o", str(target))
    assert code == 0
    assert target.read_text() == shown
    assert told.splitlines()[0].split() == [
        "kind", "failures", "mean", "life", "distribution", "restart", "distribution",
    ]  # fmt: skip
    code, text = run("-", "--json", data=events.read_text())
    assert json.loads(text)["runs"] == 1


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["nowhere.jsonl"], "events 'nowhere.jsonl': No such file or directory"),
        (["."], "events '.': Is a directory"),
    ],
)
def test_a_file_that_is_none_is_one_line(words: list[str], problem: str) -> None:
    assert run(*words) == (2, problem)
