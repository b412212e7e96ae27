"""The page of a trace, whole at 60 columns, and its JSON."""

from __future__ import annotations

import io
import json
from dataclasses import replace

from rich.console import Console

from remusnet.policy.verdict import Verdict
from remusnet.report.tracing import frame_comment, frame_line, print_trace, trace_json
from remusnet.results.tracing import Fate, RuleCount, Trace, TracedFrame

HELD, LET = Verdict.HOLD, Verdict.BYPASS


def counts(**known: int) -> dict[Fate, int]:
    return {fate: known.get(fate.value, 0) for fate in Fate}


TRACE = Trace(
    vif="vif1.0",
    buffer="ifb-1.0",
    policy="real-time",
    duration_ns=10_000_000_000,
    rules=(
        RuleCount(LET, "rtp", 30_000, 6_420_000, counts(bypassed=30_000)),
        RuleCount(HELD, "default", 812, 90_000, counts(released=780, dropped=2, waiting=30)),
    ),
    held_ns=(1_200_000, 102_000_000, 231_000_000),
    listed=1000,
    beyond=1,
    before=12,
    unseen=3,
    problem="",
)


def page(trace: Trace, width: int) -> list[str]:
    text = io.StringIO()
    print_trace(Console(file=text, width=width, highlight=False), trace)
    return text.getvalue().splitlines()


def frame(fate: Fate, held_ns: int | None = None) -> TracedFrame:
    flow = "tcp 10.0.0.1:5060 > 10.0.0.2:40000"
    return TracedFrame(12, 0, 60, flow, HELD, "tcp", "matches", fate, held_ns, b"")


def test_the_page_of_a_wide_terminal_is_a_table() -> None:
    assert page(TRACE, 100) == [
        "vif1.0: 30812 frames in 10.0 s, policy real-time",
        "VERDICT  RULE     FRAMES   BYTES  BYPASSED  RELEASED  DROPPED  WAITING",
        "bypass   rtp       30000  6.4 MB     30000         0        0        0",
        "hold     default     812   90 kB         0       780        2       30",
        "held for 1.2 ms to 231.0 ms, median 102.0 ms",
        "1 frame that the policy lets pass: held all the same",
        "12 frames left that had come before, or from another vif",
        "3 frames came too fast to be seen: the sums are of the others",
    ]


def test_the_page_fits_60_columns_with_every_number() -> None:
    lines = page(TRACE, 60)
    assert max(map(len, lines)) <= 60
    text = " ".join(lines)
    for each in ("30000", "812", "780", "dropped 2", "waiting 30", "231.0 ms"):
        assert each in text


def test_what_nobody_can_tell_has_a_column_where_there_is_some() -> None:
    rules = (RuleCount(HELD, "tcp", 4, 240, counts(unknown=4)),)
    lines = page(replace(TRACE, rules=rules), 100)
    assert lines[1].endswith("WAITING  UNKNOWN")


def test_a_vif_without_frames_has_a_page() -> None:
    empty = Trace("vif1.0", "ifb-1.0", "tcp-only", 0, (), None, 0, 0, 0, 0, "")
    assert page(empty, 60) == ["vif1.0: 0 frames in 0.0 s, policy tcp-only"]


def test_a_frame_is_a_line_and_a_comment() -> None:
    assert frame_line(frame(Fate.RELEASED, 83_100_000)) == (
        "12  hold  tcp  released after 83.1 ms  60 B  tcp 10.0.0.1:5060 > 10.0.0.2:40000"
    )
    assert frame_comment(frame(Fate.WAITING)) == "hold by tcp (matches); still held"
    assert frame_comment(frame(Fate.UNKNOWN)) == "hold by tcp (matches); held or dropped"
    assert frame_comment(frame(Fate.DROPPED)) == "hold by tcp (matches); dropped"


def test_the_sums_are_one_line_of_json() -> None:
    found = json.loads(trace_json(TRACE))["summary"]
    assert found["fates"] == {
        "bypassed": 30_000,
        "released": 780,
        "dropped": 2,
        "waiting": 30,
        "unknown": 0,
    }
    assert found["held_ns"]["median"] == 102_000_000
    assert found["problem"] is None
