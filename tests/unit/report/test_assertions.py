from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.metrics.closed_forms import held_mean
from remusnet.metrics.holding import OutputCommit
from remusnet.metrics.voice import Voice
from remusnet.report.assertion_syntax import parse
from remusnet.report.assertions import Checked, evaluate
from remusnet.report.measures import Measurements, Reading, folded, readings
from remusnet.report.metric_table import METRICS
from remusnet.results.comparison import Comparison
from remusnet.results.exchanges import Ended
from remusnet.results.scene import Counts, Expectation, FailureMarks
from remusnet.results.stream import Stream
from tests.unit.report.outcomes import MS, measured, replayed_call, staged, transaction, transfer


def check(text: str, of: Measurements | Comparison | None = None) -> Checked:
    if of is None:
        of = measured()
    (checked,) = evaluate([parse(text)], Measurements(of) if isinstance(of, Comparison) else of)
    return checked


def test_an_assertion_that_holds_says_what_was_seen() -> None:
    checked = check("commit.violations == 0")
    assert checked.passed
    assert checked.seen == "0 is the worst of 2 (policy tcp-only)"


def test_an_assertion_ranges_over_every_run_and_stream() -> None:
    """Two policies and a stream each way; only the guest's own stream under hold-all is bad."""
    checked = check("rtp.jitter.mean < 6ms")
    assert not checked.passed
    assert (len(checked.readings), checked.failed) == (4, 1)
    assert checked.worst is not None
    # 455 ms between commits. The estimator starts at zero: 10 s read a few percent low.
    assert checked.worst.value == pytest.approx(held_mean(455), rel=0.06)
    assert checked.seen == (
        f"{checked.worst.value:.6g} ms is the worst of 4, 1 failed (policy hold-all, from guest, "
        "flow udp 10.0.0.1:20000 > 10.0.0.2:30000, ssrc 0x600d0001)"
    )


@pytest.mark.parametrize(
    ("selector", "looked_at", "passes"),
    [
        ("policy=tcp-only", 2, True),
        ("policy=hold-all", 2, False),
        ("policy=hold-all,from=peer", 1, True),
        ("ssrc=0xC11E0002", 2, True),
        ("flow='udp 10.0.0.1:*'", 2, False),
        ("policy=*", 4, False),
    ],
)
def test_a_selector_narrows_it(selector: str, looked_at: int, passes: bool) -> None:
    checked = check(f"rtp[{selector}].jitter.mean < 6ms")
    assert (len(checked.readings), checked.passed) == (looked_at, passes)


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("commit.dropped < 1", True),
        ("commit.dropped < 0", False),
        ("commit.dropped <= 0", True),
        ("commit.dropped > 0", False),
        ("commit.dropped >= 0", True),
        ("commit.dropped == 0", True),
        ("commit.dropped != 0", False),
        ("rtp.packets == 500", True),
        ("rtp.packets != 501", True),
        ("rtp.burst.max[policy=hold-all,from=guest] == 23", True),
    ],
)
def test_each_comparison_means_what_it_says(text: str, passes: bool) -> None:
    assert check(text).passed is passes


@pytest.mark.parametrize(
    ("text", "worst"),
    [
        ("commit.held < 1", 511),
        ("commit.held > 1", 10),
        ("commit.held == 12", 511),
        ("commit.held == 400", 10),
        ("commit.held != 500", 511),
        ("commit.held != 10", 10),
    ],
)
def test_the_worst_is_the_farthest_on_the_wrong_side(text: str, worst: float) -> None:
    """tcp-only holds 10 frames here, hold-all all 510."""
    checked = check(text)
    assert checked.worst is not None
    assert sorted(each.value for each in checked.readings) == [10, 510]
    assert checked.worst.value == min(worst, 510)


def test_an_assertion_that_finds_nothing_has_failed() -> None:
    """A selector with a slip in it would pass for ever."""
    checked = check("rtp[policy=tcp_only].lost == 0")
    assert not checked.passed
    assert checked.seen == (
        "nothing to look at: no rtp.lost has policy tcp_only; there is tcp-only, hold-all"
    )


def test_conditions_that_exclude_each_other_find_nothing() -> None:
    checked = check("rtp[from=peer,ssrc=0x600d0001].lost == 0")
    assert checked.seen == "nothing to look at: no rtp.lost has all that was selected"


def test_what_a_recording_cannot_tell_is_nothing_to_look_at() -> None:
    checked = check("sip.setup.max < 500ms")
    assert not checked.passed
    assert checked.seen == "nothing to look at: no run has sip.setup.max"


def test_a_value_that_was_not_measured_is_left_out() -> None:
    """No TCP was held where there is no hold: the time is unknown, not zero."""
    runs = replayed_call("tcp-only", "hold-all").outcomes
    none = replace(runs[0].tcp, frames=0, median=None, p99=None, max=None)
    comparison = replace(
        replayed_call("tcp-only", "hold-all"), outcomes=(replace(runs[0], tcp=none), runs[1])
    )
    checked = check("tcp.hold.max > 0ms", comparison)
    assert [reading.labels for reading in checked.readings] == [(("policy", "hold-all"),)]


def test_a_violation_of_output_commit_is_seen() -> None:
    comparison = replayed_call("tcp-only")
    broken = replace(comparison.outcomes[0], output_commit=OutputCommit(10, 500, 0, 3))
    checked = check("commit.violations == 0", replace(comparison, outcomes=(broken,)))
    assert checked.seen == "3 (policy tcp-only)"


def test_mos_is_asked_of_each_buffer() -> None:
    checked = check("mos[policy=hold-all,from=guest] >= 4")
    assert [reading.label("buffer") for reading in checked.readings] == ["fixed", "adaptive"]
    assert not checked.passed
    assert check("mos[policy=tcp-only,buffer=adaptive] >= 4").passed


def test_voices_are_worked_out_once_and_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Stream] = []

    def counted(stream: Stream) -> tuple[Voice, ...]:
        calls.append(stream)
        return ()

    monkeypatch.setattr("remusnet.report.measures.voices", counted)
    measurements = measured()
    check("rtp.lost == 0", measurements)
    assert len(calls) == 0
    check("mos >= 1", measurements)
    check("mos.min >= 1", measurements)
    # The peer's stream is the same under both policies.
    assert len(calls) == 3


def test_call_set_up_is_from_invite_to_its_final_response() -> None:
    sip = (transaction("INVITE", 300), transaction("INVITE", 480), transaction("BYE", 2000))
    checked = check("sip.setup.max < 500ms", staged(sip=sip))
    assert checked.passed
    assert checked.worst is not None
    assert (checked.worst.value, checked.worst.label("method")) == (480, "INVITE")
    assert check("sip.response.max < 500ms", staged(sip=sip)).passed is False


def test_percentiles_are_taken_of_what_the_selector_leaves() -> None:
    sip = tuple(transaction("INVITE", ms, transport="udp") for ms in (100, 200, 300))
    comparison = staged(sip=(*sip, transaction("INVITE", 9000)))
    checked = check("sip[transport=udp].setup.median == 200ms", comparison)
    assert checked.passed
    assert len(checked.readings) == 2  # one for each run


def test_a_call_that_was_never_answered_took_for_ever() -> None:
    sip = (transaction(), transaction(duration_ms=None, ended=Ended.TIMEOUT))
    for metric in ("sip.setup.max", "sip.setup.p99"):
        checked = check(f"{metric} < 1000s", staged(sip=sip))
        assert not checked.passed
        assert checked.seen.startswith("never is the worst of 2, 2 failed")
        assert checked.to_json()["worst"] is None
    gave_up = check("sip.timeouts == 0", staged(sip=sip))
    assert gave_up.worst is not None
    assert gave_up.worst.value == 1


def test_what_the_end_of_the_scenario_cut_off_is_left_out() -> None:
    sip = (transaction(), transaction(duration_ms=None, ended=Ended.UNFINISHED))
    assert check("sip.setup.max == 300ms", staged(sip=sip)).passed


def test_transfers_are_told_apart_by_kind() -> None:
    transfers = (transfer("bulk", 900), transfer("dns", 30), transfer("icmp", 7))
    comparison = staged(transfers=transfers)
    assert check("tcp.completion.max == 900ms", comparison).passed
    assert check("dns.response.max == 30ms", comparison).passed
    assert check("icmp.response.max == 7ms", comparison).passed
    assert check("tcp.retransmissions == 3", comparison).passed


def test_a_failure_is_measured() -> None:
    marks = FailureMarks(4000 * MS, 3900 * MS, 4900 * MS, 5000 * MS, None)
    counts = Counts(9000, lost_failure=50, duplicates=15, index_reuse=15, ring_stalls=2)
    comparison = staged(failure=marks, counts=counts)
    for text in (
        "failover.outage == 1s",
        "failover.lost == 50",
        "failover.duplicates == 15",
        "failover.reuse == 15",
        "ring.stalls == 2",
        "rtp[call=2].reuse == 1",
    ):
        assert check(text, comparison).passed, text


def test_closed_forms_that_are_missed_are_counted() -> None:
    kept = Expectation("jitter", "40(1 - 20/I)", 38.0, 38.1, 37.2, 38.8, "2 %")
    comparison = staged(expectations=(kept, replace(kept, seen=50.0)))
    assert check("expected.missed == 1", comparison).passed


@given(st.lists(st.floats(0, 1e9) | st.just(math.inf), min_size=1, max_size=20))
def test_a_percentile_is_a_number_or_never(values: list[float]) -> None:
    for path in ("sip.setup.median", "sip.setup.p99", "sip.setup.max"):
        (one,) = folded(METRICS[path], [Reading(value, ()) for value in values])
        assert min(values) <= one.value <= max(values)


def test_each_answer_counts_and_the_one_that_never_came_is_for_ever() -> None:
    done = replace(transfer("request-response"), responses_ns=(10 * MS, 30 * MS))
    given_up = replace(done, ended=Ended.TIMEOUT)
    assert check("tcp.response.median == 20ms", staged(transfers=(done,))).passed
    assert check("tcp.response.max == 30ms", staged(transfers=(done,))).passed
    assert not check("tcp.response.max < 9s", staged(transfers=(given_up,))).passed


def test_the_json_of_an_assertion_is_json() -> None:
    document = check("rtp.jitter.mean < 6ms").to_json()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["passed"] is False
    assert document["unit"] == "ms"


def test_every_metric_can_be_read() -> None:
    marks = FailureMarks(4000 * MS, 3900 * MS, 4900 * MS, 5000 * MS, None)
    kept = Expectation("jitter", "40(1 - 20/I)", 38.0, 38.1, 37.2, 38.8, "2 %")
    kinds = ("bulk", "dns", "icmp")
    comparison = staged(
        sip=(replace(transaction(), ringing_ns=90 * MS),),
        transfers=tuple(replace(transfer(kind), responses_ns=(80 * MS,)) for kind in kinds),
        failure=marks,
        expectations=(kept,),
    )
    measurements = Measurements(comparison)
    for path, metric in METRICS.items():
        found = readings(metric, measurements)
        assert found, path
        for reading in found:
            assert {key for key, _ in reading.labels} <= set(metric.keys), path
