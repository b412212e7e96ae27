from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from remusnet.errors import InvalidInput
from remusnet.scenario import epochs
from remusnet.scenario.guest import GuestModel, load
from remusnet.sweep.fit import Fit, fit
from remusnet.sweep.fit_words import guest_file, text, to_json
from tests.lib.guest_traces import trace
from tests.lib.long import count, seed

MS = 1_000_000
EPOCHS = 20_000
"""At each interval: chance then moves the smallest part by 0.7 % (a standard deviation) at most."""
PBX = GuestModel(
    "our PBX",
    working_set=48 << 20,
    write_rate=1_200_000_000,
    pause_ns=3 * MS,
    copy_rate=8_000_000_000,
    commit_ns=4 * MS,
    send_rate=2_000_000_000,
)
KEYS = {
    "memory.working-set": "working_set",
    "memory.write-rate": "write_rate",
    "pause.base": "pause_ns",
    "pause.through": "copy_rate",
    "commit.base": "commit_ns",
    "commit.through": "send_rate",
}


def errors(found: Fit, guest: GuestModel) -> dict[str, float]:
    """How far each number is from the guest's, as a share of it."""
    return {
        each.key: abs(each.value / getattr(guest, KEYS[each.key]) - 1) for each in found.parameters
    }


def a_guest(chance: random.Random) -> tuple[GuestModel, list[int]]:
    """One whose curve bends within intervals that lie around its working set's time.

    What it takes to pause and to commit an epoch in which nothing was dirtied is at least a tenth
    of what its working set takes: of less, five percent of noise leave less to be told.
    """
    tau_ms = chance.uniform(60, 600)
    size = chance.randint(8 << 20, 512 << 20)
    dirty_bits = 8 * size
    copying, sending = chance.uniform(0.005, 0.06), chance.uniform(0.01, 0.08)
    guest = GuestModel(
        "random",
        working_set=size,
        write_rate=round(dirty_bits / tau_ms * 1000),
        pause_ns=round(chance.uniform(0.1, 2) * copying * 1e9),
        copy_rate=round(dirty_bits / copying),
        commit_ns=round(chance.uniform(0.1, 2) * sending * 1e9),
        send_rate=round(dirty_bits / sending),
    )
    return guest, [round(tau_ms * share) * MS for share in (0.1, 0.4, 1.2, 3.5)]


@pytest.mark.slow
def test_known_parameters_are_found_within_3_percent_in_random_guests() -> None:
    chance = random.Random(seed())
    for number in range(count(sample=4, long=300)):
        guest, intervals = a_guest(chance)
        traces = [trace(guest, each, EPOCHS, number, sizes=True) for each in intervals]
        found = errors(fit(traces, resamples=2), guest)
        assert max(found.values()) < 0.03, (guest, found)


def test_without_sizes_all_that_a_checkpoint_takes_is_found_and_the_link_gives_the_scale() -> None:
    traces = [trace(PBX, each * MS, 3000, 5) for each in (25, 100, 400, 1600)]
    found = fit(traces, link=PBX.send_rate)
    assert max(errors(found, PBX).values()) < 0.03
    assert "scaled by a link of 2gbit (by --link)" in " ".join(found.notes)
    # Another scale changes nothing that can be measured.
    other = fit(traces).guest
    ran = np.array([50 * MS, 300 * MS], np.int64)
    for seen, true in ((other.pause, PBX.pause), (other.commit, PBX.commit)):
        share = seen.draw(None, ran) / true.draw(None, ran)  # type: ignore[arg-type]
        assert share == pytest.approx(1, abs=0.03)


def test_single_disturbed_checkpoints_do_not_move_it() -> None:
    traces = [
        trace(PBX, each * MS, 3000, 7, outliers=0.05, sizes=True) for each in (25, 100, 400, 1600)
    ]
    found = errors(fit(traces), PBX)
    assert max(found.values()) < 0.1, found


def test_three_intervals_tell_what_a_fourth_takes() -> None:
    traces = [trace(PBX, each * MS, 600, 9) for each in (100, 200, 800)]
    (seen,) = fit(traces, checks=[trace(PBX, 400 * MS, 600, 10)]).checked
    assert abs(seen.pause_error) < 0.03
    assert abs(seen.lag_error) < 0.03


@pytest.mark.slow
def test_intervals_contain_the_truth_about_as_often_as_they_say() -> None:
    inside = total = 0
    for number in range(4):
        traces = [trace(PBX, each * MS, 300, number, sizes=True) for each in (25, 100, 400, 1600)]
        for each in fit(traces, seed=number).parameters:
            total += 1
            inside += each.low <= getattr(PBX, KEYS[each.key]) <= each.high
    # 95 % of 24; by chance fewer than 19 in one of a thousand, were they independent.
    assert inside >= 19, (inside, total)


@pytest.mark.parametrize(
    ("intervals", "words"),
    [
        ((200,), "one interval gives one pause and one lag"),
        ((200, 205, 200), "traces are of 1 interval "),
        ((100, 400), "two intervals give straight lines: whether what is dirtied levels off"),
    ],
)
def test_too_few_intervals_are_refused_with_what_they_cannot_tell(
    intervals: tuple[int, ...], words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        fit([trace(PBX, each * MS, 100, 1) for each in intervals])


def test_with_sizes_two_intervals_are_enough() -> None:
    found = fit([trace(PBX, each * MS, 3000, 3, sizes=True) for each in (50, 500)])
    assert max(errors(found, PBX).values()) < 0.05


def test_a_guest_that_never_levels_off_is_told_so() -> None:
    guest = replace(PBX, working_set=64 << 30)
    found = fit([trace(guest, each * MS, 500, 2) for each in (50, 100, 200)])
    assert "the working set is larger than these intervals show" in " ".join(found.notes)
    assert not next(each for each in found.parameters if each.key == "memory.working-set").known
    assert all(abs(each.pause_error) < 0.03 for each in found.fitted)


def test_a_guest_whose_working_set_is_dirty_at_once_is_told_so() -> None:
    guest = replace(PBX, working_set=1 << 20)
    found = fit([trace(guest, each * MS, 500, 2) for each in (100, 200, 400)])
    assert "measure shorter intervals" in " ".join(found.notes)
    assert all(abs(each.pause_error) < 0.03 for each in found.fitted)


def test_what_never_grows_is_fitted_too() -> None:
    guest = replace(PBX, copy_rate=1 << 50, send_rate=1 << 50)
    found = fit([trace(guest, each * MS, 100, 2) for each in (100, 200, 400)])
    assert "take as long at all of these intervals" in " ".join(found.notes)
    assert found.guest.pause.mean_ns == pytest.approx(3 * MS, rel=1e-3)
    assert all(abs(each.pause_error) < 0.01 for each in found.fitted)
    assert load(guest_file(found), "guest.toml") == found.guest


def test_a_trace_of_few_checkpoints_is_refused() -> None:
    traces = [trace(PBX, each * MS, 8, 1) for each in (100, 200, 400)]
    with pytest.raises(InvalidInput, match=r"epochs-100ms.csv: 7 checkpoints .* a fit needs 10"):
        fit(traces)


def test_the_guest_file_reads_as_the_guest_and_says_where_it_is_from() -> None:
    found = fit([trace(PBX, each * MS, 200, 1) for each in (50, 100, 400)], name='our "PBX"')
    written = guest_file(found)
    assert load(written, "guest.toml") == found.guest
    assert written.startswith("# Fitted by remusnet xen fit to epochs-50ms.csv, epochs-100ms.csv")
    assert found.guest.name == 'our "PBX"'


def test_its_text_fits_into_60_columns_and_its_json_has_all() -> None:
    found = fit(
        [trace(PBX, each * MS, 200, 1) for each in (50, 100, 400)],
        checks=[trace(PBX, 200 * MS, 200, 1)],
    )
    table = [line for line in text(found).splitlines() if not line.startswith("note: ")]
    assert max(map(len, table)) <= 70
    document = to_json(found)
    assert set(document) == {"name", "parameters", "late_ms", "fitted", "checked", "notes"}


def test_a_trace_that_is_written_reads_as_it_was() -> None:
    before = trace(PBX, 200 * MS, 50, 1, sizes=True)
    after = epochs.read(epochs.write(before), before.name)
    assert after.interval_ns == before.interval_ns
    for seen, true in zip(
        (after.period_ns, after.pause_ns, after.lag_ns, after.dirty),
        (before.period_ns, before.pause_ns, before.lag_ns, before.dirty),
        strict=True,
    ):
        assert seen == pytest.approx(true, abs=1000, nan_ok=True)


def test_a_replicator_may_write_times_of_suspends_instead_of_periods() -> None:
    found = epochs.read("at_ms,pause_ms,lag_ms\n# ours\n0,10,5\n\n215,11,\n430,,6\n", "a.csv")
    assert found.interval_ns is None
    assert found.period_ns == pytest.approx([np.nan, 215e6, 215e6], nan_ok=True)
    assert found.ran_ns == pytest.approx([np.nan, 205e6, 204e6], nan_ok=True)
    assert np.isnan(found.lag_ns).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "a.csv: no line in it; expected the heads interval_ms,at_ms"),
        ("pause_ms,lag_ms\n1,2\n", r"a.csv:1: no column period_ms \(or at_ms\)"),
        ("at_ms,pause_ms\n1,2\n", "a.csv:1: no column lag_ms"),
        ("at_ms,pause_ms,lag\n1,2,3\n", "unknown column 'lag' .did you mean 'lag_ms'"),
        ("at_ms,at_ms,pause_ms,lag_ms\n1,1,2,3\n", "column at_ms is there twice"),
        ("at_ms,pause_ms,lag_ms\n", "no checkpoint in it"),
        ("at_ms,pause_ms,lag_ms\n1,2\n", "a.csv:2: 2 fields; expected 3"),
        ("at_ms,pause_ms,lag_ms\n1,2,x\n", "a.csv:2: lag_ms: 'x'; expected 0 to 3.6e"),
        ("at_ms,pause_ms,lag_ms\n1,2,-3\n", "a.csv:2: lag_ms: '-3'"),
        ("at_ms,pause_ms,lag_ms\n1,2,inf\n", "a.csv:2: lag_ms: 'inf'"),
        ("at_ms,pause_ms,lag_ms\n5,2,3\n1,2,3\n", "at_ms falls"),
        (
            "interval_ms,at_ms,pause_ms,lag_ms\n100,1,2,3\n200,2,2,3\n",
            "interval_ms is 100 and 200: one file an interval",
        ),
    ],
)
def test_a_file_that_is_no_trace_is_named_with_its_line(content: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        epochs.read(content, "a.csv")
