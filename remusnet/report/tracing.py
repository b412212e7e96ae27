"""What became of a vif's frames: a line each, and a table of the rules."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from remusnet.policy.verdict import Verdict
from remusnet.report.layout import Column, print_records, print_sentence
from remusnet.results.tracing import Fate, Trace, TracedFrame
from remusnet.units import format_size

_COLOURS = {Verdict.HOLD: "yellow", Verdict.BYPASS: "green"}
_SHOWN = (Fate.BYPASSED, Fate.RELEASED, Fate.DROPPED, Fate.WAITING)


def frame_line(frame: TracedFrame) -> str:
    """``12  hold  tcp  released after 83.1 ms  60 B  tcp 10.0.0.1:5060 > 10.0.0.2:40000``."""
    fields = (
        str(frame.number),
        frame.verdict.value,
        frame.rule,
        _fate(frame),
        f"{frame.length} B",
        frame.flow,
    )
    return "  ".join(fields)


def frame_json(frame: TracedFrame) -> str:
    """One line of JSON."""
    return json.dumps(frame.to_json(), allow_nan=False)


def trace_json(trace: Trace) -> str:
    """One line of JSON: ``{"summary": {...}}``."""
    return json.dumps({"summary": trace.to_json()}, allow_nan=False)


def frame_comment(frame: TracedFrame) -> str:
    """``hold by tcp (matches); released after 83.1 ms``: for Wireshark, beside the frame."""
    return f"{frame.verdict.value} by {frame.rule} ({frame.reason}); {_fate(frame)}"


def print_trace(console: Console, trace: Trace) -> None:
    """The sums."""
    seconds = f"{trace.duration_ns / 1e9:.1f} s"
    title = f"{trace.vif}: {_frames(trace.frames)} in {seconds}, policy {trace.policy}"
    print_sentence(console, title, "bold")
    fates = [*_SHOWN, *([Fate.UNKNOWN] if trace.count(Fate.UNKNOWN) else [])]
    columns = (
        Column("VERDICT"),
        Column("RULE"),
        Column("FRAMES", right=True),
        Column("BYTES", right=True),
        *(Column(each.value.upper(), right=True) for each in fates),
    )
    rows: list[Sequence[str | Text]] = [
        (
            Text(each.verdict.value, _COLOURS[each.verdict]),
            each.rule,
            str(each.frames),
            format_size(each.bytes),
            *(str(each.fates[fate]) for fate in fates),
        )
        for each in trace.rules
    ]
    if rows:
        print_records(console, columns, rows)
    if trace.held_ns is not None:
        shortest, median, longest = (f"{each / 1e6:.1f} ms" for each in trace.held_ns)
        print_sentence(console, f"held for {shortest} to {longest}, median {median}")
    if trace.beyond:
        print_sentence(
            console, f"{_frames(trace.beyond)} that the policy lets pass: held all the same"
        )
    if trace.before:
        print_sentence(
            console, f"{_frames(trace.before)} left that had come before, or from another vif"
        )
    if trace.unseen:
        text = f"{_frames(trace.unseen)} came too fast to be seen: the sums are of the others"
        print_sentence(console, text, "red")


def _frames(number: int) -> str:
    return "1 frame" if number == 1 else f"{number} frames"


def _fate(frame: TracedFrame) -> str:
    match frame.fate:
        case Fate.RELEASED if frame.held_ns is not None:
            return f"released after {frame.held_ns / 1e6:.1f} ms"
        case Fate.WAITING:
            return "still held"
        case Fate.UNKNOWN:
            return "held or dropped"
        case _:
            return frame.fate.value
