from __future__ import annotations

import json
import re
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from remusnet.emulator.run.recordings import simulate
from remusnet.metrics.arrivals import UNKNOWN
from remusnet.metrics.holding import OutputCommit
from remusnet.policy import PRESETS
from remusnet.report.simulation import MOST_STREAMS, print_simulation, simulation_json
from remusnet.results.comparison import Comparison, Outcome
from remusnet.schedule import Schedule
from tests.unit.emulator.recorded import MS, call


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    schedule = Schedule(400 * MS, 50 * MS, 5 * MS)
    return simulate(
        call(200), list(PRESETS.values()), schedule, 10**8, capture="call.pcap"
    ).comparison


def printed(comparison: Comparison, width: int = 80) -> str:
    console = Console(file=StringIO(), width=width, highlight=False)
    print_simulation(console, comparison)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def row(text: str, name: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.strip().startswith(name)]
    return line.strip().removeprefix(name).split()


def with_outcome(comparison: Comparison, outcome: Outcome) -> Comparison:
    return replace(comparison, outcomes=(outcome,), recorded=None)


def test_the_policies_stand_side_by_side(comparison: Comparison) -> None:
    text = printed(comparison, 100)
    assert row(text, "as recorded  tcp-only  real-time") == ["hold-all", "stock-remus"]
    assert row(text, "held until their commit") == ["-", "4", "4", "204", "204"]
    assert row(text, "let pass before their commit") == ["-", "200", "200", "0", "0"]
    assert row(text, "violations of output commit") == ["-", "0", "0", "0", "0"]
    bursts = " ".join(row(text, "packets a burst, median / max"))
    assert bursts == "1 / 1 1 / 3 1 / 3 23 / 23 23 / 23"


def test_it_says_who_the_guest_is_why_and_what_remus_did(comparison: Comparison) -> None:
    text = printed(comparison, width=120)
    assert "00:16:3e:00:00:01 (the only sender with Xen's prefix 00:16:3e), 204 frames" in text
    assert "every 455ms (schedule xl: interval 400ms, pause 50ms, commit delay 5ms)" in text


def test_it_says_that_nobody_reacts(comparison: Comparison) -> None:
    assert "Open loop: these are the recorded frames at other times." in printed(comparison)


@pytest.mark.parametrize("width", [80, 60, 40])
def test_no_line_is_wider_than_the_terminal_and_every_number_is_there(
    comparison: Comparison, width: int
) -> None:
    text = printed(comparison, width)
    assert max(map(len, text.splitlines())) <= width
    assert numbers(text) == numbers(printed(comparison, 1000))


def numbers(text: str) -> list[str]:
    """All that stand by themselves, but for that of the worst 10 s: names of rows come again."""
    found = [word.strip(",") for word in text.split() if re.match("[0-9.]+,?$", word)]
    return sorted(word for word in found if word != "10")


def test_every_stream_has_a_row_for_each_policy(comparison: Comparison) -> None:
    text = printed(comparison)
    assert "RTP udp 10.0.0.1:20000 > 10.0.0.2:30000 0x600d0001, from the guest" in text
    assert "RTP udp 10.0.0.2:30000 > 10.0.0.1:20000 0xc11e0002, not from the guest" in text
    # What several made alike of it is one row.
    for runs in ("as recorded", "tcp-only, real-time", "hold-all, stock-remus", "all alike"):
        assert text.count(f"\n  {runs} ") == 1


def test_streams_beyond_a_screenful_are_counted(comparison: Comparison) -> None:
    outcome = comparison.outcomes[0]
    stream = outcome.streams[0]
    many = tuple(
        replace(stream, rtp=replace(stream.rtp, ssrc=number)) for number in range(MOST_STREAMS + 3)
    )
    text = printed(with_outcome(comparison, replace(outcome, streams=many)))
    assert "and 3 streams more: --json has all" in text


def test_what_no_run_has_is_no_row_and_null_in_json(
    comparison: Comparison,
) -> None:
    call_without_tcp = replace(
        comparison.outcomes[0],
        streams=(),
        tcp=replace(comparison.outcomes[0].tcp, frames=0, median=None, p99=None, max=None),
    )
    changed = with_outcome(comparison, call_without_tcp)
    for name in ("median (ms)", "jitter", "MOS", "Delay of held", "RTP from the guest"):
        assert name not in printed(changed)
    assert row(printed(changed), "held until their commit") == ["4"]
    (run,) = json.loads(simulation_json(changed))["runs"]
    assert run["tcp"]["hold_ms"] == {"median": None, "p99": None, "max": None}


def test_violations_stand_out(comparison: Comparison) -> None:
    outcome = replace(comparison.outcomes[0], output_commit=OutputCommit(5, 0, 0, 3))
    console = Console(file=StringIO(), force_terminal=True, color_system="standard", width=80)
    print_simulation(console, with_outcome(comparison, outcome))
    assert isinstance(console.file, StringIO)
    assert re.search("\x1b\\[1;31m *3\x1b\\[0m", console.file.getvalue())


def test_the_name_of_a_capture_can_not_move_the_cursor(comparison: Comparison) -> None:
    setting = replace(comparison.setting, capture="call\x1b[2J\n[bold].pcap")
    text = printed(replace(comparison, setting=setting))
    assert "capture call\\x1b[2J\\n[bold].pcap\n" in text


def test_notes_of_streams_and_of_the_whole_are_printed(comparison: Comparison) -> None:
    first = comparison.outcomes[0]
    stream = first.streams[0]
    told = replace(stream, rtp=replace(stream.rtp, notes=("its clock jumps\x1b",)))
    setting = replace(comparison.setting, notes=("headers are made up",))
    outcomes = tuple(replace(each, streams=(told,)) for each in comparison.outcomes)
    text = printed(replace(comparison, setting=setting, outcomes=outcomes))
    # Once, though each policy has it; and nothing that a terminal would obey.
    assert text.count("note: its clock jumps\\x1b\n") == 1
    assert "Note: headers are made up" in text


def test_a_jitter_that_is_not_known_is_a_dash(comparison: Comparison) -> None:
    outcomes = []
    for outcome in comparison.outcomes:
        streams = [replace(s, rtp=replace(s.rtp, jitter_ms=UNKNOWN)) for s in outcome.streams]
        outcomes.append(replace(outcome, streams=tuple(streams)))
    text = printed(replace(comparison, outcomes=tuple(outcomes)))
    assert "nan" not in text
    # As recorded it is known still.
    recorded, *replayed = row(text, "jitter, mean (ms)")
    assert recorded == "0.00"
    assert set(replayed) == {"-"}
