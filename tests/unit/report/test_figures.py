from __future__ import annotations

import re
import sys
from dataclasses import replace
from functools import cache
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from remusnet.emulator.run.recordings import simulate
from remusnet.emulator.run.scenario_run import run_scenario
from remusnet.errors import MissingDependency
from remusnet.policy import PRESETS
from remusnet.report.drawing import broken, colours, inline, style, to_png, to_svg
from remusnet.report.figures import (
    _MOST_POINTS,
    _envelope,
    delays,
    jitter,
    passages_of,
    report_figures,
    timeline,
)
from remusnet.results.comparison import Comparison
from remusnet.results.scene import FailureMarks
from remusnet.results.stream import NEVER
from remusnet.scenario.library import shipped
from remusnet.schedule import Schedule
from tests.unit.emulator.recorded import call
from tests.unit.report.outcomes import MS, replayed_call, staged


def svgs(comparison: Comparison) -> dict[str, str]:
    with style():
        return {each.name: to_svg(figure) for each, figure in report_figures(comparison)}


@cache
def drawn() -> dict[str, str]:
    return svgs(replayed_call())


def texts(svg: str) -> list[str]:
    return [
        "".join(element.itertext()).strip()
        for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    ]


def without_packets(comparison: Comparison) -> Comparison:
    """As of a run that is too large to keep its packets."""
    outcomes = tuple(
        replace(
            outcome,
            passages=None,
            streams=tuple(replace(stream, series=None) for stream in outcome.streams),
        )
        for outcome in comparison.outcomes
    )
    return replace(comparison, outcomes=outcomes)


def test_a_replay_has_all_three_figures() -> None:
    assert list(drawn()) == ["timeline", "jitter", "delay"]


def test_axes_say_what_they_show_and_in_which_unit() -> None:
    found = drawn()
    assert "time (ms), from" in " ".join(texts(found["timeline"]))
    assert {"time (s)", "jitter (ms)"} <= set(texts(found["jitter"]))
    assert {"delay until arrival, pauses included (ms)", "share of packets (%)"} <= set(
        texts(found["delay"])
    )


def test_every_policy_is_named_in_every_figure() -> None:
    assert drawn()
    for svg in drawn().values():
        found = " ".join(texts(svg))
        assert "tcp-only" in found
        assert "hold-all" in found


@pytest.mark.slow
def test_the_same_result_has_the_same_bytes() -> None:
    comparison = replayed_call()
    assert svgs(comparison) == drawn()
    with style():
        one, other = timeline(comparison), timeline(comparison)
        assert one is not None
        assert other is not None
        assert to_png(one) == to_png(other)


def test_figures_carry_no_date_and_no_version() -> None:
    """Another day, or another matplotlib, is no other result."""
    import matplotlib

    for svg in drawn().values():
        assert "<metadata" not in svg
        assert matplotlib.__version__ not in svg
        assert not re.search(r"20\d\d-\d\d-\d\d", svg)
    with style():
        figure = jitter(replayed_call())
        assert figure is not None
        assert b"tEXt" not in to_png(figure)


@pytest.mark.slow
def test_the_users_own_style_changes_nothing() -> None:
    import matplotlib

    expected = drawn()
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        assert svgs(replayed_call()) == expected
        assert matplotlib.rcParams["font.size"] == 30


def test_without_matplotlib_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependency, match=r"pip install 'remusnet\[report\]'"), style():
        pass


def test_what_was_not_kept_is_not_drawn() -> None:
    assert svgs(without_packets(replayed_call())) == {}


def test_held_frames_are_told_from_bypassing_ones_by_their_series_alone() -> None:
    """Where only RTP packets were kept, those that left at a commit were held."""
    for outcome in replayed_call().outcomes:
        passages = passages_of(replace(outcome, passages=None))
        assert passages is not None
        assert len(passages.sent_ns) == 500
        assert passages.held.all() == (outcome.policy == "hold-all")
        assert passages.held.any() == (outcome.policy == "hold-all")


def test_packets_that_never_left_are_lost_in_the_timeline() -> None:
    outcome = replayed_call("tcp-only").outcomes[0]
    stream = outcome.streams[0]
    assert stream.series is not None
    left = stream.series.left_ns.copy()
    left[10:15] = NEVER
    broken = replace(stream, series=replace(stream.series, left_ns=left))
    passages = passages_of(replace(outcome, passages=None, streams=(broken,)))
    assert passages is not None
    assert np.flatnonzero(passages.dropped).tolist() == list(range(10, 15))


def test_a_failure_is_marked_and_is_what_the_timeline_shows() -> None:
    begin = int(replayed_call().outcomes[0].streams[0].rtp.first_ns or 0)
    marks = FailureMarks(begin + 4000 * MS, 0, 0, begin + 5000 * MS, None)
    found = svgs(staged(failure=marks))
    assert "the primary has failed" in texts(found["timeline"])
    assert any(
        re.search(r"from [0-9.]+ s after the start", text) for text in texts(found["timeline"])
    )


def test_the_timeline_begins_in_the_media_and_not_at_the_first_frame_of_all() -> None:
    """A capture begins with neighbour discovery, or registrations: seconds without a packet."""
    schedule = Schedule(400 * MS, 50 * MS, 5 * MS)
    frames = call(500, first_ns=9000 * MS)
    comparison = simulate(frames, [PRESETS["tcp-only"]], schedule, 10**8, capture="x").comparison
    begun = re.findall(
        r"from ([0-9.]+) s after the start", " ".join(texts(timeline_of(comparison)))
    )
    assert 9 <= float(begun[0]) <= 10


def timeline_of(comparison: Comparison) -> str:
    with style():
        made = timeline(comparison)
        assert made is not None
        return to_svg(made)


def test_delays_have_the_pause_in_them_in_scenarios_as_in_recordings() -> None:
    """A sixth of fig11's packets is due in a pause of 50 ms; the network adds 1 ms."""
    comparison = run_scenario(shipped("fig11"), [PRESETS["tcp-only"]]).comparison
    with style():
        made = delays(comparison)
    assert made is not None
    (line,) = made.axes[0].lines
    took_ms = np.asarray(line.get_xdata(), np.float64)
    # Noise of 0.09 ms beside either end.
    assert took_ms.max() == pytest.approx(51, abs=1)
    # Of 401 quantiles; packets come every 20 ms, so a period has 15 and a pause 2 or 3 of them.
    assert np.mean(took_ms > 2) == pytest.approx(50 / 300, abs=0.02)


def test_no_line_leads_through_an_outage() -> None:
    time_s, value = np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])
    x, y = broken(time_s, value, 2.5)
    assert x.tolist() == [1, 2, 2.5, 3]
    assert y.tolist()[:2] == [4, 5]
    assert np.isnan(y[2])
    assert y[3] == 6


def test_delays_are_drawn_as_fine_as_they_are() -> None:
    """Rounding them to tell policies apart made steps of 0.1 ms where the network jitters."""
    comparison = run_scenario(shipped("fig8"), [PRESETS["tcp-only"]]).comparison
    with style():
        made = delays(comparison)
    assert made is not None
    (line,) = made.axes[0].lines
    assert len(set(np.asarray(line.get_xdata()).tolist())) > 300


def test_curves_that_lie_on_each_other_share_a_name() -> None:
    comparison = replayed_call("tcp-only", "real-time", "hold-all")
    assert "tcp-only, real-time" in texts(svgs(comparison)["delay"])


def test_a_long_series_keeps_its_peaks() -> None:
    time_s = np.arange(100_000) / 50
    value = np.zeros(100_000)
    value[54_321] = 7.0
    x, y = _envelope(time_s, value)
    assert len(x) == len(y) <= _MOST_POINTS + 2
    assert y.max() == 7.0
    assert abs(x[y.argmax()] - time_s[54_321]) <= 2 * 100_000 / _MOST_POINTS / 50


def test_a_short_series_is_drawn_as_it_is() -> None:
    time_s, value = np.arange(10.0), np.arange(10.0)
    assert _envelope(time_s, value) == (time_s, value)


def test_the_size_of_a_figure_does_not_grow_with_the_call() -> None:
    """Every figure is read at a glance, so none needs more than some thousand points."""
    for svg in drawn().values():
        assert len(svg) < 400_000


def test_figures_stand_in_a_page_without_clashing() -> None:
    svg = drawn()["timeline"]
    one, other = inline(svg, "one", "Title"), inline(svg, "other", "Title")
    identifiers = [set(re.findall(r'\bid="([^"]+)"', each)) for each in (one, other)]
    assert identifiers[0]
    assert not identifiers[0] & identifiers[1]
    for name, each in (("one", one), ("other", other)):
        used = re.findall(r'(?:href="|url\()#([^")]+)', each)
        assert used
        assert all(target.startswith(f"{name}-") for target in used)
        assert set(used) <= identifiers[0] | identifiers[1]
        assert each.startswith('<svg role="img" aria-label="Title"')
        assert ET.fromstring(each) is not None


def test_shipped_policies_have_a_colour_each_that_never_changes() -> None:
    assert len(set(colours(list(PRESETS)).values())) == len(PRESETS)
    assert colours(["hold-all"])["hold-all"] == colours(["mine", "hold-all"])["hold-all"]
    others = [f"mine-{number}" for number in range(20)]
    assert list(colours(others)) == others


def test_a_policy_cannot_bring_markup_into_a_figure() -> None:
    comparison = replayed_call("tcp-only")
    odd = replace(comparison.outcomes[0], policy="<b>&$x_1$")
    for svg in svgs(replace(comparison, outcomes=(odd,))).values():
        assert "<b>" not in svg
        assert "<b>&$x_1$" in " ".join(texts(svg))


def test_runs_without_a_packet_are_drawn_as_nothing() -> None:
    comparison = replayed_call("tcp-only")
    empty = replace(comparison, outcomes=())
    assert timeline(empty) is jitter(empty) is delays(empty) is None
