from __future__ import annotations

from dataclasses import replace

import pytest

from remusnet.emulator.run.recordings import simulate
from remusnet.metrics.flows import SeenHazard
from remusnet.metrics.holding import OutputCommit
from remusnet.policy import PRESETS
from remusnet.report.measures import Measurements
from remusnet.report.stream_groups import ALIKE, groups
from remusnet.report.summary import Tone, hazards, sides, summary
from remusnet.results.comparison import Comparison
from remusnet.results.exchanges import Ended
from remusnet.schedule import Schedule
from tests.unit.emulator.recorded import call
from tests.unit.report.outcomes import MS, measured, replayed_call, staged, transaction


def table(found: Measurements | Comparison) -> dict[tuple[str, str], list[str]]:
    """The cells of each row, by its section and its name."""
    measurements = found if isinstance(found, Measurements) else Measurements(found)
    return {
        (section.title, row.name.strip()): [cell.text for cell in row.cells]
        for section in summary(measurements).sections
        for row in section.rows
    }


RTP, SIP, FRAMES = "RTP from the guest (worst stream)", "SIP", "Frames from the guest"
TCP, DATAGRAMS = "Delay of held TCP", "Delay of held SIP over UDP"


def test_a_recording_stands_beside_what_the_policies_make_of_it() -> None:
    found = summary(measured("tcp-only", "hold-all"))
    assert found.heads == ("as recorded", "tcp-only", "hold-all")
    rows = table(measured("tcp-only", "hold-all"))
    recorded, passed, held = map(float, rows[RTP, "jitter, max (ms)"])
    assert recorded == 0 < passed < held
    # A recording has no checkpoints: nothing was held, and nothing could be.
    assert rows[FRAMES, "held until their commit"][0] == "-"


def test_a_scenario_has_no_column_of_a_recording() -> None:
    comparison = replace(staged(), recorded=None)
    assert summary(Measurements(comparison)).heads == ("tcp-only", "hold-all")


def test_how_a_call_sounds_is_the_worst_of_its_streams_and_buffers() -> None:
    """What `mos` and `mos.min` of assertions say is the worst, too."""
    measurements = measured("tcp-only", "hold-all")
    rows = table(measurements)
    outcome = measurements.comparison.outcomes[1]
    (stream,) = [each for each in outcome.streams if each.from_guest]
    heard = measurements.voices(stream)
    assert rows[RTP, "MOS"][2] == f"{min(each.mos for each in heard):.2f}"
    assert rows[RTP, "MOS, worst 10 s"][2] == f"{min(each.mos_min for each in heard):.2f}"
    missing = max(each.missing_percent for each in heard)
    assert rows[RTP, "speech not heard (%)"][::2] == ["0.00", f"{missing:.2f}"]
    longest = max(each.longest_gap_ms for each in heard)
    assert rows[RTP, "longest outage (ms)"][::2] == ["0.00", f"{longest:.2f}"]
    assert longest > 300  # nearly a whole epoch
    assert float(rows[RTP, "MOS"][0]) == pytest.approx(4.41, abs=0.005)
    assert rows[RTP, "packets lost (%)"] == ["0.00"] * 3


def test_a_small_plug_s_losses_are_in_percent() -> None:
    schedule = Schedule(400 * MS, 0, 0)
    policies = [PRESETS["hold-all"]]
    comparison = simulate(call(500), policies, schedule, 3000, capture="x").comparison
    recorded, lost = map(float, table(comparison)[RTP, "packets lost (%)"])
    (stream,) = [each for each in comparison.outcomes[0].streams if each.from_guest]
    assert recorded == 0
    assert 10 < lost == pytest.approx(stream.rtp.sequence.lost_percent, abs=0.005)


def test_sip_has_its_set_up_and_what_was_sent_again() -> None:
    sip = (
        transaction("INVITE", 300, transport="udp", retransmissions=2),
        transaction("INVITE", 500),
        transaction("BYE", 900),
        transaction("OPTIONS", None, ended=Ended.TIMEOUT),
    )
    rows = table(staged(sip=sip))
    assert rows[SIP, "call set-up, median (ms)"] == ["-", "400.00", "400.00"]
    assert rows[SIP, "call set-up, max (ms)"] == ["-", "500.00", "500.00"]
    assert rows[SIP, "sent again"] == ["-", "2", "2"]
    assert rows[SIP, "given up"] == ["-", "1", "1"]


def test_a_call_that_never_came_about_took_for_ever() -> None:
    rows = table(staged(sip=(transaction("INVITE", None, ended=Ended.TIMEOUT),)))
    assert rows[SIP, "call set-up, max (ms)"][1:] == ["never", "never"]


def test_held_sip_over_udp_has_rows_beside_those_of_tcp() -> None:
    rows = table(staged())
    assert rows[DATAGRAMS, "median (ms)"] == ["-", "200.00", "200.00"]
    assert rows[DATAGRAMS, "max (ms)"] == ["-", "300.00", "300.00"]
    assert (TCP, "median (ms)") in rows


def test_a_row_without_a_value_is_left_out_and_so_is_its_section() -> None:
    titles = {section for section, _ in table(measured("tcp-only"))}
    assert titles == {RTP, TCP, FRAMES}
    assert all(set(cells) != {"-"} for cells in table(staged()).values())


def test_what_was_sent_unprotected_is_not_what_a_policy_let_pass() -> None:
    comparison = replayed_call("tcp-only", "hold-all")
    counts = (OutputCommit(10, 500, 0, 0, 200), OutputCommit(310, 200, 0, 0, 200))
    outcomes = tuple(
        replace(each, output_commit=count)
        for each, count in zip(comparison.outcomes, counts, strict=True)
    )
    rows = table(replace(comparison, outcomes=outcomes))
    assert rows[FRAMES, "let pass before their commit"] == ["-", "300", "0"]
    assert rows[FRAMES, "sent unprotected"] == ["-", "200", "200"]
    assert (FRAMES, "sent unprotected") not in table(comparison)


def test_violations_are_told_by_their_tone() -> None:
    comparison = replayed_call("tcp-only", "hold-all")
    bad = replace(comparison.outcomes[1], output_commit=OutputCommit(5, 0, 0, 3))
    found = summary(Measurements(replace(comparison, outcomes=(comparison.outcomes[0], bad))))
    row = found.sections[-1].rows[-1]
    assert row.name == "violations of output commit"
    assert [cell.tone for cell in row.cells] == [Tone.PLAIN, Tone.GOOD, Tone.BAD]


def test_a_hazard_under_several_policies_is_told_once() -> None:
    one, other = (SeenHazard(name, "text", 3, "flow") for name in ("tcp", "quic"))
    runs = replayed_call("tcp-only", "real-time", "hold-all").outcomes
    found = hazards(
        [
            replace(runs[0], hazards=(one, other)),
            replace(runs[1], hazards=(one,)),
            replace(runs[2], hazards=(replace(one, frames=4),)),
        ]
    )
    assert [(policies, hazard.name, hazard.frames) for policies, hazard in found] == [
        (["tcp-only", "real-time"], "tcp", 3),
        (["tcp-only"], "quic", 3),
        (["hold-all"], "tcp", 4),
    ]


def test_runs_that_made_the_same_of_a_stream_share_a_row() -> None:
    columns = sides(measured("tcp-only", "real-time", "hold-all"))
    ours, theirs = groups(columns, lambda stream: (f"{stream.rtp.jitter_ms.max:.2f}",))
    assert [runs for runs, _ in ours.rows] == [
        ("as recorded",),
        ("tcp-only", "real-time"),
        ("hold-all",),
    ]
    assert [runs for runs, _ in theirs.rows] == [(ALIKE,)]
    assert ours.title.endswith("0x600d0001, from the guest")


def test_one_run_alone_is_named() -> None:
    columns = [sides(measured("tcp-only"))[1]]
    assert [runs for runs, _ in groups(columns, lambda _: ())[0].rows] == [("tcp-only",)]


def test_a_stream_that_some_runs_lost_names_the_others() -> None:
    comparison = replayed_call("tcp-only", "hold-all")
    empty = replace(comparison.outcomes[1], streams=())
    columns = sides(Measurements(replace(comparison, outcomes=(comparison.outcomes[0], empty))))
    _, theirs = groups(columns, lambda _: ())
    assert [runs for runs, _ in theirs.rows] == [("as recorded", "tcp-only")]


def test_a_recording_has_its_set_up_as_recorded_and_under_each_policy() -> None:
    """No request of a recording is given up: a capture doesn't show why an answer is missing."""
    compared = staged()
    asked = replace(transaction("INVITE", 300, retransmissions=1), group=None, call="c@x")
    late = replace(asked, end_ns=1_500 * MS)
    outcomes = tuple(replace(each, scene=None, sip=(late,)) for each in compared.outcomes)
    rows = table(replace(compared, outcomes=outcomes, recorded_sip=(asked,)))
    assert rows[SIP, "call set-up, max (ms)"] == ["300.00", "500.00", "500.00"]
    assert rows[SIP, "sent again"] == ["1", "1", "1"]
    assert (SIP, "given up") not in rows
