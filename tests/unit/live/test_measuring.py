"""What is measured of a live run: by taps and driver, never by the plug's own word."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.frames import Frames
from remusnet.live.epochs import EpochLog, Epochs
from remusnet.live.guard import Ready, Recorded
from remusnet.live.keeper import Counts
from remusnet.live.matching import NEVER, matched
from remusnet.live.measuring import measure
from remusnet.live.orders import RunOrder
from remusnet.live.taps import Tapped
from remusnet.policy import PRESETS
from remusnet.results.live_run import LiveResult, together
from remusnet.schedule import Schedule

_MS = 1_000_000
_MACS = bytes.fromhex("020000000002 00163e4d0002")


def _ip(protocol: int, transport: bytes) -> bytes:
    addresses = bytes([10, 77, 0, 2, 10, 77, 0, 1])
    length = 24 + len(transport)  # four bytes of data come behind it
    head = struct.pack(">BBHHHBBH", 0x45, 0, length, 0, 0, 64, protocol, 0)
    return _MACS + b"\x08\x00" + head + addresses + transport


TCP_FRAME = _ip(6, struct.pack(">HHIIBBHHH", 80, 50000, 1, 1, 5 << 4, 0x10, 1000, 0, 0))
UDP_FRAME = _ip(17, struct.pack(">HHHH", 9000, 50000, 12, 0))
_READY = Ready("10.77.0.2", "10.77.0.1", "10.77.0.0/24", "userspace", "cgroup v2", "", "rn0", 1)


def _tapped(frames: list[bytes], at_ms: list[int], *, outgoing: bool = False) -> Tapped:
    times = np.array(at_ms, np.int64) * _MS
    return Tapped(Frames.of(frames, times), np.full(len(frames), outgoing))


def _frame(template: bytes, number: int) -> bytes:
    return template + number.to_bytes(4, "big")


def _measured(
    sent_ms: list[int],
    left_ms: list[int | None],
    *,
    template: bytes = TCP_FRAME,
    failed_ms: int | None = None,
    policy: str | None = "tcp-only",
    begun_ms: int = 0,
) -> LiveResult:
    """Epochs end at 100, 200, 300 ms and commit 30 ms later."""
    frames = [_frame(template, each) for each in range(len(sent_ms))]
    came = [(at, frame) for at, frame in zip(left_ms, frames, strict=True) if at is not None]
    ends = np.array([100, 200, 300], np.int64) * _MS
    recorded = Recorded(
        ready=_READY,
        inner=_tapped(frames, sent_ms),
        outer=_tapped([each for _, each in came], [at for at, _ in came], outgoing=True),
        epochs=Epochs(ends, ends, ends, ends + 25 * _MS, ends + 30 * _MS),
        keeper=Counts(held=len(frames), cpu_ns=5_000),
        begun_ns=begun_ms * _MS,
        code=0,
        signal=0,
        dropped=0,
        failed_ns=None if failed_ms is None else failed_ms * _MS,
        back_ns=None,
        lost=0,
        unseen=0,
        by_itself=True,
        notes=(),
    )
    schedule = Schedule(70 * _MS, 25 * _MS, 5 * _MS)
    chosen = None if policy is None else PRESETS[policy]
    return measure(RunOrder(("server",), schedule, chosen, 1_000_000), recorded)


def test_a_held_frame_that_left_at_its_commit_is_no_violation() -> None:
    commit = _measured([50, 150], [130, 230]).outcome.output_commit
    assert (commit.held, commit.violations, commit.dropped) == (2, 0, 0)


@pytest.mark.parametrize("left_ms", [50, 129])
def test_a_held_frame_that_left_before_its_commit_is_found_whoever_let_it_go(left_ms: int) -> None:
    assert _measured([50, 150], [left_ms, 230]).outcome.output_commit.violations == 1


def test_a_frame_sent_after_the_mark_needs_the_next_commit() -> None:
    assert _measured([101], [130]).outcome.output_commit.violations == 1


def test_what_the_kernel_sent_before_the_plug_held_is_not_the_programs() -> None:
    """A neighbour solicitation for the address of a device that has just come up."""
    commit = _measured([1, 2, 50], [1, None, 130], begun_ms=10).outcome.output_commit
    assert (commit.held, commit.violations, commit.dropped) == (1, 0, 0)


def test_a_bypassing_frame_may_leave_at_once() -> None:
    commit = _measured([50], [50], template=UDP_FRAME).outcome.output_commit
    assert (commit.held, commit.bypassed, commit.violations) == (0, 1, 0)


def test_a_held_frame_that_never_left_was_dropped() -> None:
    assert _measured([50, 60], [130, None]).outcome.output_commit.dropped == 1


def test_what_was_sent_after_the_last_commit_is_not_measured() -> None:
    commit = _measured([50, 350], [130, 351]).outcome.output_commit
    assert (commit.held, commit.violations) == (1, 0)


def test_after_a_failure_nothing_is_protected() -> None:
    commit = _measured([50, 350], [130, 351], failed_ms=310).outcome.output_commit
    assert (commit.held, commit.bypassed, commit.violations) == (1, 1, 0)


def test_without_a_policy_nothing_is_held() -> None:
    result = _measured([50, 150], [50, 150], policy=None)
    assert (result.outcome.output_commit.held, result.outcome.policy) == (0, "none")


def test_how_long_tcp_was_held_is_told() -> None:
    assert _measured([50, 150], [130, 230]).outcome.tcp.median == 80.0


def test_equal_frames_leave_in_the_order_in_which_they_were_sent() -> None:
    one, other = b"a" * 60, b"b" * 60
    sent = Frames.of([one, other, one], [1, 2, 3])
    left = Frames.of([one, one, b"c" * 60], [10, 30, 40])
    found = matched(sent, left)
    assert found.left_ns.tolist() == [10, NEVER, 30]
    assert found.unknown == 1


def test_what_a_failure_took_is_not_what_was_sent_again_after_it() -> None:
    sent, left = Frames.of([b"a" * 60] * 2, [1, 30]), Frames.of([b"a" * 60], [31])
    assert matched(sent, left, failed_ns=20).left_ns.tolist() == [NEVER, 31]


def test_what_leaves_after_a_failure_though_it_was_lost_is_found() -> None:
    sent, left = Frames.of([b"a" * 60], [1]), Frames.of([b"a" * 60], [31])
    assert matched(sent, left, failed_ns=20).left_ns.tolist() == [31]


def _one_by_one(
    sent: list[tuple[int, int]], left: list[tuple[int, int]], failed_ns: int | None
) -> tuple[list[int], int]:
    """`matched` as its docstring says it, of (frame, time): a look through all for each."""
    left_ns, unknown = [NEVER] * len(sent), 0
    for frame, time in left:
        waiting = [row for row, (own, _) in enumerate(sent) if own == frame and left_ns[row] < 0]
        since = [row for row in waiting if failed_ns is not None and sent[row][1] >= failed_ns]
        old = [row for row in waiting if row not in since]
        chosen = since[:1] if since and sent[since[0]][1] <= time else old[:1]
        for row in chosen:
            left_ns[row] = time
        unknown += not chosen
    return left_ns, unknown


_EVENTS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), max_size=12)


@given(_EVENTS, _EVENTS, st.none() | st.integers(0, 40))
def test_frames_are_matched_as_one_would_by_hand(
    sent: list[tuple[int, int]], left: list[tuple[int, int]], failed_ns: int | None
) -> None:
    sent, left = (sorted(each, key=lambda event: event[1]) for each in (sent, left))
    before, behind = (
        Frames.of([bytes([frame]) * 60 for frame, _ in each], [time for _, time in each])
        for each in (sent, left)
    )
    found = matched(before, behind, failed_ns)
    assert (found.left_ns.tolist(), found.unknown) == _one_by_one(sent, left, failed_ns)


def test_frames_that_differ_behind_what_is_compared_but_in_length_are_two() -> None:
    one, other = b"a" * 300, b"a" * 301
    found = matched(Frames.of([one, other], [1, 2]), Frames.of([other, one], [10, 20]))
    assert found.left_ns.tolist() == [20, 10]


def test_the_document_has_what_scripts_rely_on() -> None:
    document = json.loads(json.dumps(_measured([50], [130]).to_json(), allow_nan=False))
    assert {
        "policy",
        "plug",
        "epochs",
        "held",
        "bypassed",
        "dropped",
        "violations",
        "exit_code",
        "streams",
        "tcp",
    } <= set(document)
    assert set(document["tcp"]) >= {"hold_ms", "retransmitted"}
    assert document["tcp"]["hold_ms"] == {"median": 80.0, "p99": 80.0, "max": 80.0}


def test_runs_stand_side_by_side_under_the_rhythm_that_one_of_them_had() -> None:
    both = together([_measured([50], [50], policy=None), _measured([50], [130])])
    assert [each.policy for each in both.comparison.outcomes] == ["none", "tcp-only"]
    assert both.comparison.setting.interval_ns == 70 * _MS


def test_what_the_driver_has_written_is_read_row_by_row() -> None:
    log = EpochLog()
    log.write(1, 2, 3, 4, 5)
    log.write(11, 12, 13, 14, 15)
    found = log.read()
    log.close()
    assert found.mark_ns.tolist() == [3, 13]
    assert found.commit_ns.tolist() == [5, 15]
