"""The tracer tells of each frame what became of it, and says so where it can't."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from random import Random

import pytest

from remusnet.classify.columns import columns
from remusnet.classify.headers import dissect
from remusnet.classify.reference import judge
from remusnet.frames import Frames
from remusnet.kernel.trace import tracer as module
from remusnet.kernel.trace.tap import Tapped
from remusnet.kernel.trace.tracer import SLACK_NS, Tracer, flow_of
from remusnet.metrics import flows
from remusnet.policy import PRESETS
from remusnet.policy.verdict import Verdict
from remusnet.results.tracing import Fate, Trace, TracedFrame
from tests.kernel.lab.packets import stamped
from tests.kernel.lab.protection import ARP_FRAME, TCP_FRAME
from tests.lib.common_frames import common_frames
from tests.lib.framegen import generate
from tests.lib.long import count

MS = 1_000_000
FAR = 2 * SLACK_NS


def held(number: int) -> bytes:
    return stamped(TCP_FRAME, number)


def at(time_ns: int, frame: bytes) -> Tapped:
    return Tapped(frame, time_ns)


def the_trace(tracer: Tracer) -> Trace:
    return tracer.trace("vif1.0", "ifb-1.0", 0, 0, "")


def fates(frames: Sequence[TracedFrame]) -> list[tuple[int, Fate]]:
    return [(each.number, each.fate) for each in frames]


def tcp_only(listed: int = 1000) -> Tracer:
    return Tracer(PRESETS["tcp-only"], listed)


def test_a_frame_that_leaves_was_held_for_the_time_between() -> None:
    tracer = tcp_only()
    assert list(tracer.take([at(5 * MS, held(1)), at(6 * MS, ARP_FRAME)], [])) != []
    (told,) = tracer.take([], [at(88 * MS, held(1))])
    assert (told.fate, told.held_ns, told.rule) == (Fate.RELEASED, 83 * MS, "tcp")
    assert told.flow == "tcp 10.9.0.2:40000 > 10.9.0.3:80"
    assert (told.data, told.length) == (held(1), len(held(1)))
    assert the_trace(tracer).held_ns == (83 * MS,) * 3


def test_frames_of_equal_bytes_leave_in_their_order() -> None:
    tracer = tcp_only()
    list(tracer.take([at(each * FAR, TCP_FRAME) for each in (1, 2, 3)], []))
    told = list(tracer.take([], [at(10 * FAR, TCP_FRAME), at(10 * FAR, TCP_FRAME)]))
    assert fates(told) == [(1, Fate.RELEASED), (2, Fate.RELEASED)]


def test_what_later_frames_have_overtaken_was_dropped() -> None:
    tracer = tcp_only()
    list(tracer.take([at(each * FAR, held(each)) for each in range(1, 6)], []))
    told = list(tracer.take([], [at(9 * FAR, held(1)), at(9 * FAR, held(4))]))
    assert fates(told) == [
        (1, Fate.RELEASED),
        (2, Fate.DROPPED),
        (3, Fate.DROPPED),
        (4, Fate.RELEASED),
    ]
    assert fates(list(tracer.finish(1, 0))) == [(5, Fate.WAITING)]


def test_nothing_is_called_dropped_once_frames_have_left_unseen() -> None:
    tracer = tcp_only()
    list(tracer.take([at(each * FAR, held(each)) for each in (1, 2)], []))
    told = list(tracer.take([], [at(9 * FAR, held(2))], missed_leaving=True))
    assert fates(told) == [(1, Fate.UNKNOWN), (2, Fate.RELEASED)]


@pytest.mark.parametrize(
    ("waiting", "fate"),
    [
        (3, Fate.WAITING),
        (9, Fate.WAITING),
        (0, Fate.DROPPED),
        (2, Fate.UNKNOWN),
        (None, Fate.UNKNOWN),
    ],
)
def test_the_rest_waits_or_was_dropped_where_the_plug_says_so(
    waiting: int | None, fate: Fate
) -> None:
    tracer = tcp_only()
    list(tracer.take([at(each * FAR, held(each)) for each in (1, 2, 3)], []))
    assert {each.fate for each in tracer.finish(waiting, 99 * FAR)} == {fate}
    assert the_trace(tracer).count(fate) == 3


def test_what_came_after_the_plug_was_asked_may_wait_in_it() -> None:
    tracer = tcp_only()
    list(tracer.take([at(FAR, held(1)), at(9 * FAR, held(2))], []))
    assert {each.fate for each in tracer.finish(1, 8 * FAR)} == {Fate.WAITING}


def test_what_is_held_beyond_the_policy_is_counted_as_released() -> None:
    tracer = tcp_only()
    told = list(tracer.take([at(MS, ARP_FRAME)], [at(4 * MS, ARP_FRAME)]))
    assert [each.fate for each in told] == [Fate.BYPASSED]
    found = the_trace(tracer)
    assert (found.beyond, found.count(Fate.RELEASED), found.count(Fate.BYPASSED)) == (1, 1, 0)
    assert found.held_ns == (3 * MS,) * 3


def test_what_had_come_before_the_trace_is_no_frame_of_it() -> None:
    tracer = tcp_only()
    assert list(tracer.take([], [at(MS, held(1))])) == []
    assert (the_trace(tracer).before, the_trace(tracer).frames) == (1, 0)


def test_only_the_first_frames_are_told_and_all_are_counted() -> None:
    tracer = tcp_only(listed=2)
    told = list(tracer.take([at(MS, stamped(ARP_FRAME, each)) for each in range(5)], []))
    assert [each.number for each in told] == [1, 2]
    found = the_trace(tracer)
    assert (found.frames, found.listed, found.count(Fate.BYPASSED)) == (5, 2, 5)


def test_frames_that_never_leave_cost_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_HELD", 10)
    monkeypatch.setattr(module, "_MOST_PASSED", 10)
    tracer = tcp_only()
    told = list(tracer.take([at(MS, held(each)) for each in range(25)], []))
    assert fates(told) == [(number, Fate.UNKNOWN) for number in range(1, 16)]
    list(tracer.take([at(MS, stamped(ARP_FRAME, each)) for each in range(25)], []))
    list(tracer.take([at(MS, ARP_FRAME)] * 25, []))
    assert len(tracer._held) == len(tracer._by_key) == len(tracer._passed) == 10
    assert max(map(len, tracer._passed.values())) == 10


def test_any_frame_has_the_flow_and_the_verdict_that_classify_gives_it() -> None:
    frames = [each.frame for each in generate(count(sample=500, long=20_000), 4, shortest=14)]
    frames += [each.frame for each in common_frames(500, 4, shortest=14)]
    many = columns(Frames.of(frames))
    policy = PRESETS["real-time"]
    for index, frame in enumerate(frames):
        headers = dissect(frame)
        assert flow_of(headers) == flows.flow_of(many, index), frame.hex()
        (told,) = [*(tracer := Tracer(policy, 1)).take([at(0, frame)], []), *tracer.finish(1, 0)]
        decision = judge(policy, headers)
        assert (told.verdict, told.rule, told.reason) == (
            decision.verdict,
            decision.rule,
            decision.reason,
        )


def test_a_plug_that_is_played_at_random_is_told_frame_by_frame() -> None:
    seed = Random().randrange(1 << 32)
    print("seed", seed)
    random = Random(seed)
    tracer = tcp_only(listed=1 << 30)
    plug: deque[int] = deque()
    truth: dict[int, Fate] = {}
    told: list[TracedFrame] = []
    now = 0
    came: list[Tapped] = []
    left: list[Tapped] = []
    for number in range(1, count(sample=3000, long=100_000)):
        now += FAR
        came.append(at(now, held(number)))
        if len(plug) < 20:
            plug.append(number)
        else:
            truth[number] = Fate.DROPPED
        if random.random() < 0.02:  # a purge
            truth |= dict.fromkeys(plug, Fate.DROPPED)
            plug.clear()
        for _ in range(random.choice((0, 0, 0, len(plug)))):
            truth[plug[0]] = Fate.RELEASED
            left.append(at(now, held(plug.popleft())))
        if random.random() < 0.3:
            told += tracer.take(came, left)
            came, left = [], []
    told += tracer.take(came, left)
    rest = {each.number: each.fate for each in told}
    assert {number: fate for number, fate in truth.items() if number in rest} == rest
    # Of those that are not told yet, none has left, and nothing behind them either.
    open_ones = set(range(1, number + 1)) - set(rest)
    last = max((each.number for each in told if each.fate is Fate.RELEASED), default=0)
    assert min(open_ones, default=last + 1) > last
    assert all(truth.get(each) is not Fate.RELEASED for each in open_ones)
    assert Verdict.BYPASS not in {each.verdict for each in told}
