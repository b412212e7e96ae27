"""The rhythm of checkpoints, on a clock that a test sets, and the real clock's signals."""

from __future__ import annotations

import signal
import socket
import threading
import time
from dataclasses import dataclass, field

import pytest

from remusnet.errors import KernelRefused
from remusnet.kernel.checkpoint import Checkpointer, Reporter, Timing, blocked_signals
from remusnet.schedule import Schedule, ScheduleKind

XL, XEND = ScheduleKind.XL, ScheduleKind.XEND


@dataclass
class Stage:
    """A plug and a clock: what is told when, and how late each wait ends (by its number)."""

    now: int = 0
    late: dict[int, int] = field(default_factory=dict)
    stop_at_wait: int = -1
    waits: int = 0
    told: list[tuple[int, str]] = field(default_factory=list)

    def start(self) -> None:
        self.told.append((self.now, "start"))

    def buffer(self) -> None:
        self.told.append((self.now, "buffer"))

    def release(self) -> None:
        self.told.append((self.now, "release"))

    def now_ns(self) -> int:
        return self.now

    def wait_until(self, deadline_ns: int) -> bool:
        if self.waits == self.stop_at_wait:
            return False
        self.now = max(self.now, deadline_ns) + self.late.get(self.waits, 0)
        self.waits += 1
        return True


def drive(
    stage: Stage, schedule: Schedule, count: int | None = None, duration: int | None = None
) -> tuple[list[tuple[int, str]], Timing]:
    """What the plug is told after the start, and the timing."""
    checkpointer = Checkpointer(stage, schedule, stage, count=count, duration_ns=duration)
    checkpointer.run()
    assert stage.told[0] == (0, "start")
    return stage.told[1:], checkpointer.timing()


def test_xl_counts_the_interval_from_the_commit() -> None:
    told, timing = drive(Stage(), Schedule(100, 20, 5, XL), count=2)
    assert told == [(100, "buffer"), (125, "release"), (225, "buffer"), (250, "release")]
    assert timing == Timing(2, elapsed_ns=250, late_p50_ns=0, late_max_ns=0, missed=0)


def test_xend_counts_the_interval_from_the_suspend() -> None:
    told, _ = drive(Stage(), Schedule(100, 20, 5, XEND), count=2)
    assert told == [(100, "buffer"), (125, "release"), (200, "buffer"), (225, "release")]


def test_xend_waits_for_a_commit_that_takes_longer_than_the_interval() -> None:
    told, _ = drive(Stage(), Schedule(100, 0, 150, XEND), count=2)
    assert told == [(100, "buffer"), (250, "release"), (250, "buffer"), (400, "release")]


@pytest.mark.parametrize("kind", ScheduleKind)
def test_lateness_does_not_add_up(kind: ScheduleKind) -> None:
    """Each of 400 timers is 3 late; the last checkpoint is as late as the first."""
    stage = Stage(late=dict.fromkeys(range(400), 3))
    schedule = Schedule(100, 20, 5, kind)
    told, timing = drive(stage, schedule, count=200)
    assert told[-2] == (100 + 199 * schedule.period_ns + 3, "buffer")
    assert (timing.late_p50_ns, timing.late_max_ns, timing.missed) == (3, 3, 0)


def test_a_late_buffer_delays_its_commit() -> None:
    """Output commit: 25 after the buffer, whenever that was, and not 25 after it was due."""
    told, timing = drive(Stage(late={0: 90}), Schedule(100, 20, 5, XL), count=2)
    assert told == [(190, "buffer"), (215, "release"), (225, "buffer"), (250, "release")]
    assert (timing.late_max_ns, timing.missed) == (90, 0)


def test_after_a_long_stop_the_rhythm_begins_anew_without_a_burst() -> None:
    told, timing = drive(Stage(late={0: 1000}), Schedule(100, 20, 5, XL), count=3)
    assert told == [
        *[(1100, "buffer"), (1125, "release")],
        *[(1125, "buffer"), (1150, "release")],
        *[(1250, "buffer"), (1275, "release")],
    ]
    assert timing.missed == 1


def test_no_checkpoint_begins_that_could_not_commit_within_the_duration() -> None:
    schedule = Schedule(100, 20, 5, XL)
    assert len(drive(Stage(), schedule, duration=250)[0]) == 4
    assert len(drive(Stage(), schedule, duration=249)[0]) == 2


@pytest.mark.parametrize(("stop_at_wait", "told"), [(0, 0), (1, 1), (2, 2)])
def test_told_to_stop_it_stops_where_it_is(stop_at_wait: int, told: int) -> None:
    assert len(drive(Stage(stop_at_wait=stop_at_wait), Schedule(100, 20, 5))[0]) == told


def test_what_the_plug_raises_ends_it_with_what_was_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage()
    checkpointer = Checkpointer(stage, Schedule(100, 20, 5), stage)
    releases = stage.release

    def release() -> None:
        releases()
        if stage.now > 300:
            raise KernelRefused("no memory")

    monkeypatch.setattr(stage, "release", release)
    with pytest.raises(KernelRefused, match="no memory"):
        checkpointer.run()
    assert checkpointer.timing().checkpoints == 2


def test_the_median_is_of_both_timers_of_a_checkpoint() -> None:
    stage = Stage(late={0: 1, 1: 2, 2: 30, 3: 4})
    assert drive(stage, Schedule(1000, 0, 50), count=2)[1].late_p50_ns == 2


# The real clock


def _signal_here(number: signal.Signals) -> None:
    """To this thread only: another one, which has not blocked it, would be ended by it."""
    signal.pthread_kill(threading.get_ident(), number)


def test_the_clock_waits_until_its_deadline_and_not_less() -> None:
    with blocked_signals() as clock:
        deadline = clock.now_ns() + 5_000_000
        assert clock.wait_until(deadline)
        assert time.monotonic_ns() >= deadline
        assert clock.wait_until(deadline - 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_wait_and_all_waits_after_it(number: signal.Signals) -> None:
    with blocked_signals() as clock:
        main = threading.get_ident()
        threading.Timer(0.05, signal.pthread_kill, (main, number)).start()
        assert not clock.wait_until(clock.now_ns() + 60_000_000_000)
        assert not clock.wait_until(clock.now_ns())
        assert clock.number == number


def test_a_signal_that_came_between_two_waits_is_not_lost() -> None:
    with blocked_signals() as clock:
        _signal_here(signal.SIGTERM)
        assert not clock.wait_until(clock.now_ns() + 60_000_000_000)


def test_a_signal_that_was_ignored_still_is() -> None:
    """As nohup makes it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with blocked_signals() as clock:
            _signal_here(signal.SIGHUP)
            assert clock.wait_until(clock.now_ns() + 1_000_000)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_signals_are_as_before_afterwards() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with blocked_signals():
        assert signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, ())
        _signal_here(signal.SIGIO)  # would end the process if it were left
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_news_of_the_plug_are_looked_at_while_the_clock_waits_and_it_goes_on_waiting() -> None:
    one, other = socket.socketpair()
    checked: list[bytes] = []

    class News:
        def fileno(self) -> int:
            return one.fileno()

        def check(self) -> None:
            checked.append(one.recv(10))

    with one, other, blocked_signals() as clock:
        clock.hear(News())
        threading.Timer(0.05, other.send, [b"news"]).start()
        deadline = clock.now_ns() + 200_000_000
        assert clock.wait_until(deadline)
        assert checked == [b"news"]
        assert clock.now_ns() >= deadline


# Who watches


def test_a_terminal_that_takes_no_more_text_does_not_stop_the_checkpoints() -> None:
    stage = Stage()
    checkpointer = Checkpointer(stage, Schedule(100, 20, 5), stage, count=10)
    shown = threading.Event()
    blocked = threading.Event()

    def show(_timing: Timing) -> None:
        shown.set()
        blocked.wait(10)

    with Reporter(checkpointer, show, seconds=0.01):
        assert shown.wait(10)
        checkpointer.run()
    assert checkpointer.timing().checkpoints == 10
    blocked.set()


def test_the_reporter_shows_the_timing_again_and_again() -> None:
    stage = Stage()
    checkpointer = Checkpointer(stage, Schedule(100, 20, 5), stage, count=3)
    checkpointer.run()
    seen: list[Timing] = []
    enough = threading.Event()

    def show(timing: Timing) -> None:
        seen.append(timing)
        if len(seen) > 1:
            enough.set()

    with Reporter(checkpointer, show, seconds=0.01):
        assert enough.wait(10)
    assert {timing.checkpoints for timing in seen} == {3}
