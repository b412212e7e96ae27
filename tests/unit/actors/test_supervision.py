"""Failures and what strategies do about them, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import wraps
from typing import Any

import pytest

from remusnet.actors import (
    Actor,
    AskFailed,
    Backoff,
    Cell,
    Change,
    DeadLetter,
    Directive,
    Escalated,
    Event,
    OnChildren,
    OnMessage,
    Scope,
    Spec,
    State,
    Strategy,
    System,
    Watched,
    Window,
)
from remusnet.actors.virtual import run
from remusnet.errors import InvalidInput

KEEP = OnChildren.KEEP


def virtual(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in a virtual loop."""

    @wraps(test)
    def in_virtual_time(*args: object, **kwargs: object) -> None:
        run(test(*args, **kwargs))

    return in_virtual_time


@dataclass(frozen=True, slots=True)
class Fail:
    """Told to an actor, it raises."""

    why: str = "asked to"


class Recorder(Actor):
    """Keeps what it was told; ``log`` is shared by all instances of all."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.seen: list[object] = []

    def _note(self, what: str) -> None:
        self.log.append(f"{self.context.path} {what}")

    def started(self) -> None:
        self._note("started")

    def receive(self, message: object) -> None:
        self.seen.append(message)
        if isinstance(message, Fail):
            raise RuntimeError(message.why)
        if message == "seen?":
            self.context.reply(self.seen[:-1])
        elif isinstance(message, Watched):
            self._note(f"sees {message.ref.path} {message.change.value}")
        else:
            self._note(f"takes {message}")

    def restarting(self, error: Exception | None) -> None:
        self._note(f"restarting ({error})")

    def stopped(self) -> None:
        self._note("stopped")


class Bench:
    """A system whose events and dead letters are kept."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.events: list[Event] = []
        self.dead: list[DeadLetter] = []
        self.system = System(on_event=self.events.append, on_dead_letter=self.dead.append)

    def spec(self, name: str, *children: Spec, **fields: Any) -> Spec:
        return Spec(name, lambda: Recorder(self.log), children=children, **fields)

    def told(self, *changes: Change) -> list[str]:
        """Events of these kinds (all but starts and stops if none is named)."""
        wanted = changes or (Change.FAILED, Change.RESTARTED, Change.RESUMED, Change.ESCALATED)
        return [f"{e.actor} {e.change.value} {e.id}" for e in self.events if e.change in wanted]


async def settle() -> None:
    """Let all that is ready happen."""
    await asyncio.sleep(0.0001)


@virtual
async def test_a_restart_keeps_reference_and_mailbox_and_drops_the_failing_message() -> None:
    bench = Bench()
    actor = bench.system.spawn(bench.spec("a"))
    for message in ("one", Fail(), "two"):
        actor.tell(message)
    await settle()
    assert bench.log == [
        "a started",
        "a takes one",
        "a restarting (asked to)",
        "a started",
        "a takes two",
    ]
    assert bench.told() == ["a failed 1", "a restarted 1"]
    assert [(letter.message, letter.reason) for letter in bench.dead] == [
        (Fail(), "its processing failed")
    ]
    assert (actor.restarts, actor.state) == (1, State.RUNNING)


@virtual
async def test_resume_keeps_the_instance_and_its_state() -> None:
    bench = Bench()
    actor = bench.system.spawn(bench.spec("a", strategy=Strategy(Directive.RESUME)))
    for message in ("one", Fail(), "two"):
        actor.tell(message)
    assert await actor.ask("seen?", timeout=1) == ["one", Fail(), "two"]
    assert bench.told() == ["a failed 1", "a resumed 1"]
    assert actor.restarts == 0


@virtual
async def test_stop_ends_the_actor_and_what_waits_is_dead() -> None:
    bench = Bench()
    actor = bench.system.spawn(bench.spec("a", strategy=Strategy(Directive.STOP)))
    for message in (Fail(), "one", "two"):
        actor.tell(message)
    await settle()
    assert not actor.alive
    assert not actor.tell("three")
    assert [letter.message for letter in bench.dead] == [Fail(), "one", "two", "three"]
    assert bench.told(Change.STOPPED) == ["a stopped None"]


@virtual
async def test_a_message_is_processed_once_more_where_the_strategy_says_so() -> None:
    bench = Bench()
    failures = iter([True, False])

    class Twice(Recorder):
        def receive(self, message: object) -> None:
            if message == "shaky" and next(failures):
                raise RuntimeError("once")
            super().receive(message)

    strategy = Strategy(message=OnMessage.RETRY)
    actor = bench.system.spawn(Spec("a", lambda: Twice(bench.log), strategy=strategy))
    for message in ("one", "shaky", "two"):
        actor.tell(message)
    assert await actor.ask("seen?", timeout=1) == ["shaky", "two"]
    assert bench.dead == []


@virtual
async def test_a_message_that_fails_twice_is_dead_and_whoever_asked_is_told() -> None:
    bench = Bench()
    actor = bench.system.spawn(bench.spec("a", strategy=Strategy(message=OnMessage.RETRY)))
    with pytest.raises(AskFailed, match="failed twice"):
        await actor.ask(Fail(), timeout=60)
    assert bench.told() == ["a failed 1", "a restarted 1", "a failed 2", "a restarted 2"]
    assert await actor.ask("seen?", timeout=1) == []


@pytest.mark.parametrize(("apart", "escalates"), [(5.9, True), (6.0, False), (6.1, False)])
@virtual
async def test_the_window_slides(apart: float, escalates: bool) -> None:
    """Six failures: the sixth comes 5 intervals after the first; at 30 s that one has left."""
    bench = Bench()
    top = bench.system.spawn(bench.spec("top", bench.spec("a"), strategy=Strategy(children=KEEP)))
    actor = top.child("a")
    assert actor is not None
    for _ in range(6):
        actor.tell(Fail())
        await asyncio.sleep(apart)
    assert (bench.told(Change.ESCALATED) != []) == escalates


@virtual
async def test_five_failures_in_the_window_do_not_escalate_and_the_sixth_does() -> None:
    bench = Bench()
    top = bench.system.spawn(bench.spec("top", bench.spec("a"), strategy=Strategy(children=KEEP)))
    actor = top.child("a")
    assert actor is not None
    for _ in range(5):
        actor.tell(Fail())
    await settle()
    assert bench.told(Change.ESCALATED) == []
    actor.tell(Fail())
    actor.tell("after")
    await settle()
    assert bench.told()[-5:] == [
        "top/a failed 6",
        "top/a escalated 6",
        "top failed 7",
        "top/a restarted 6",
        "top restarted 7",
    ]
    assert "top/a takes after" in bench.log, "the reference and the mailbox outlive an escalation"
    assert actor.in_window() == 0, "its window begins anew"


@virtual
async def test_escalation_beyond_the_top_ends_the_system_in_reverse_order() -> None:
    bench = Bench()
    strategy = Strategy(Directive.ESCALATE)
    bench.system.spawn(bench.spec("a"))
    actor = bench.system.spawn(bench.spec("b", strategy=strategy))
    actor.tell(Fail("the end"))
    with pytest.raises(Escalated, match="b: RuntimeError: the end"):
        await bench.system.ended()
    assert bench.log[-2:] == ["b stopped", "a stopped"]
    assert bench.events[-1].change is Change.SERVER_STOPPED
    assert bench.events[-1].error is not None


@virtual
async def test_the_system_itself_can_answer_what_escalates_beyond_the_top() -> None:
    bench = Bench()
    strategy = Strategy(children=KEEP, window=Window(1, 30))
    bench.system = System(on_event=bench.events.append, strategy=strategy)
    actor = bench.system.spawn(bench.spec("a", strategy=Strategy(Directive.ESCALATE)))
    actor.tell(Fail())
    actor.tell("after")
    await settle()
    assert bench.log[-1] == "a takes after"
    assert bench.told() == [
        "a failed 1",
        "a escalated 1",
        "/ failed 2",
        "a restarted 1",
        "/ restarted 2",
    ]
    actor.tell(Fail("again"))
    with pytest.raises(Escalated, match="a: RuntimeError: again"):
        await bench.system.ended()


@virtual
async def test_children_stop_with_a_restart_and_declared_ones_start_anew() -> None:
    bench = Bench()
    top = bench.system.spawn(bench.spec("top", bench.spec("declared")))
    dynamic = top.spawn(bench.spec("dynamic"))
    declared = top.child("declared")
    top.tell(Fail())
    await settle()
    assert not dynamic.alive
    assert declared is not None
    assert not declared.alive
    assert [child.name for child in top.children] == ["declared"]
    assert bench.log[3:] == [
        "top/dynamic stopped",
        "top/declared stopped",
        "top restarting (asked to)",
        "top/declared started",
        "top started",
    ]


@virtual
async def test_children_are_kept_where_the_strategy_says_so() -> None:
    bench = Bench()
    strategy = Strategy(children=KEEP)
    top = bench.system.spawn(bench.spec("top", bench.spec("declared"), strategy=strategy))
    dynamic = top.spawn(bench.spec("dynamic"))
    dynamic.tell("kept")
    top.tell(Fail())
    await settle()
    assert await dynamic.ask("seen?", timeout=1) == ["kept"]
    assert [child.name for child in top.children] == ["declared", "dynamic"]


@virtual
async def test_children_are_restarted_in_place_where_the_strategy_says_so() -> None:
    bench = Bench()
    strategy = Strategy(children=OnChildren.RESTART)
    below = bench.spec("below", bench.spec("deep"), strategy=strategy)
    top = bench.system.spawn(bench.spec("top", below, strategy=strategy))
    del bench.log[:]
    top.tell(Fail("x"))
    await settle()
    assert bench.log == [
        "top/below/deep restarting (x)",
        "top/below restarting (x)",
        "top restarting (x)",
        "top started",
        "top/below started",
        "top/below/deep started",
    ]
    assert bench.told() == [
        "top failed 1",
        "top restarted 1",
        "top/below restarted 1",
        "top/below/deep restarted 1",
    ]


@virtual
async def test_rest_for_one_restarts_those_that_were_started_after_it() -> None:
    bench = Bench()
    strategy = Strategy(scope=Scope.REST_FOR_ONE)
    specs = [bench.spec(name, strategy=strategy) for name in ("a", "b", "c")]
    top = bench.system.spawn(bench.spec("top", *specs))
    del bench.log[:]
    b = top.child("b")
    c = top.child("c")
    assert b is not None
    assert c is not None
    c.tell("early")
    b.tell(Fail("x"))
    c.tell("late")
    await settle()
    assert bench.log == [
        "top/c takes early",
        "top/c restarting (x)",
        "top/b restarting (x)",
        "top/b started",
        "top/c started",
        "top/c takes late",
    ]


@virtual
async def test_backoff_doubles_up_to_its_most_and_the_mailbox_waits() -> None:
    bench = Bench()
    backoff = Backoff(first=1, most=4, jitter=0)
    strategy = Strategy(window=Window(10, 100), backoff=backoff, message=OnMessage.DROP)
    actor = bench.system.spawn(bench.spec("a", strategy=strategy))
    loop = asyncio.get_running_loop()
    times = []
    for _ in range(4):
        begun = loop.time()
        actor.tell(Fail())
        await actor.ask("seen?", timeout=60)
        times.append(round(loop.time() - begun, 6))
    assert times == [1, 2, 4, 4]


@virtual
async def test_children_are_suspended_while_their_parent_backs_off() -> None:
    bench = Bench()
    strategy = Strategy(children=KEEP, backoff=Backoff(first=1, jitter=0))
    top = bench.system.spawn(bench.spec("top", bench.spec("a"), strategy=strategy))
    actor = top.child("a")
    assert actor is not None
    top.tell(Fail())
    await settle()
    actor.tell("meanwhile")
    await asyncio.sleep(0.5)
    assert actor.state is State.SUSPENDED
    assert "top/a takes meanwhile" not in bench.log
    await asyncio.sleep(0.6)
    assert "top/a takes meanwhile" in bench.log


@virtual
async def test_a_start_that_fails_counts_and_escalates() -> None:
    bench = Bench()
    made = 0

    def broken() -> Actor:
        nonlocal made
        made += 1
        raise OSError("address in use")

    bench.system.spawn(Spec("a", broken))
    with pytest.raises(Escalated, match="address in use"):
        await bench.system.ended()
    assert made == 6


@virtual
async def test_a_start_that_fails_at_first_is_mended_by_a_restart() -> None:
    bench = Bench()
    outcomes = iter([OSError("not yet"), None])

    def shaky() -> Actor:
        if (error := next(outcomes)) is not None:
            raise error
        return Recorder(bench.log)

    actor = bench.system.spawn(Spec("a", shaky))
    assert await actor.ask("seen?", timeout=1) == []
    assert bench.told() == ["a failed 1", "a restarted 1"]


@virtual
async def test_rejuvenation_restarts_without_a_failure() -> None:
    bench = Bench()
    actor = bench.system.spawn(bench.spec("a"))
    for _ in range(10):
        actor.restart()
    actor.tell("after")
    await settle()
    assert bench.told() == ["a restarted None"] * 10
    assert actor.in_window() == 0
    assert bench.log[-1] == "a takes after"


@virtual
async def test_a_crash_on_purpose_is_a_failure_like_any_other() -> None:
    bench = Bench()
    actor = bench.system.spawn(bench.spec("a"))
    actor.crash(ValueError("a fault"))
    await settle()
    assert bench.told() == ["a failed 1", "a restarted 1"]
    assert bench.dead == []
    failed = next(event for event in bench.events if event.change is Change.FAILED)
    assert failed.error == "ValueError: a fault"


@virtual
async def test_a_watcher_is_told_of_restarts_and_of_the_end_even_if_that_was_before() -> None:
    bench = Bench()
    watcher = bench.system.spawn(bench.spec("watcher"))
    actor = bench.system.spawn(bench.spec("a"))
    watcher.watch(actor)
    actor.tell(Fail())
    await settle()
    actor.stop()
    await settle()
    watcher.watch(actor)
    await settle()
    assert [line for line in bench.log if "sees" in line] == [
        "watcher sees a restarted",
        "watcher sees a stopped",
        "watcher sees a stopped",
    ]


@virtual
async def test_a_timer_of_an_earlier_instance_is_never_delivered() -> None:
    bench = Bench()

    class Timed(Recorder):
        def receive(self, message: object) -> None:
            if message == "set":
                self.context.after(1, "ring")
                self.context.after(0, "at once")
            super().receive(message)

    actor = bench.system.spawn(Spec("a", lambda: Timed(bench.log)))
    actor.tell("set")
    actor.tell(Fail())
    await asyncio.sleep(2)
    assert "a takes ring" not in bench.log
    assert "a takes at once" not in bench.log


@virtual
async def test_a_cancelled_timer_that_has_fired_is_not_delivered() -> None:
    bench = Bench()
    actor = bench.system.spawn(bench.spec("a"))
    timer = actor.after(1, "ring")
    actor.after(5, "first", key="k")
    actor.after(2, "second", key="k")

    def cancel_late() -> None:
        timer.cancel()  # it stands in the mailbox by now

    asyncio.get_running_loop().call_at(1, cancel_late)
    await asyncio.sleep(10)
    assert [line for line in bench.log if "takes" in line] == ["a takes second"]


@virtual
async def test_a_full_mailbox_refuses_and_says_so() -> None:
    bench = Bench()
    actor = bench.system.spawn(bench.spec("a", mailbox=2))
    assert [actor.tell(number) for number in range(4)] == [True, True, False, False]
    with pytest.raises(AskFailed, match="full"):
        await actor.ask("seen?", timeout=1)
    await settle()
    assert actor.tell("again")
    assert [letter.reason for letter in bench.dead[:2]] == ["its mailbox is full"] * 2


@virtual
async def test_an_ask_that_nobody_answers_times_out() -> None:
    bench = Bench()
    actor = bench.system.spawn(bench.spec("a"))
    with pytest.raises(TimeoutError):
        await actor.ask("no reply to this", timeout=3)
    assert asyncio.get_running_loop().time() == pytest.approx(3)


class Slow(Recorder):
    """A handler that is a coroutine: each message takes a second."""

    async def work(self, message: object) -> None:
        await asyncio.sleep(1)
        Recorder.receive(self, message)

    def receive(self, message: object) -> Any:
        return self.work(message)


@virtual
async def test_messages_wait_for_a_handler_that_is_a_coroutine() -> None:
    bench = Bench()
    actor = bench.system.spawn(Spec("a", lambda: Slow(bench.log)))
    actor.tell("one")
    actor.tell("two")
    await asyncio.sleep(0.5)
    assert actor.state is State.BUSY
    await asyncio.sleep(2)
    assert bench.log == ["a started", "a takes one", "a takes two"]


@virtual
async def test_a_failing_coroutine_is_a_failure() -> None:
    bench = Bench()
    strategy = Strategy(message=OnMessage.RETRY)
    actor = bench.system.spawn(Spec("a", lambda: Slow(bench.log), strategy=strategy))
    actor.tell(Fail())
    actor.tell("after")
    await asyncio.sleep(5)
    assert bench.told() == ["a failed 1", "a restarted 1", "a failed 2", "a restarted 2"]
    assert bench.log[-1] == "a takes after"


@pytest.mark.parametrize(("within", "taken"), [(5.0, True), (0.25, False)])
@virtual
async def test_a_handler_under_way_has_its_deadline_when_the_actor_stops(
    within: float, taken: bool
) -> None:
    bench = Bench()
    actor = bench.system.spawn(Spec("a", lambda: Slow(bench.log), stop_within=within))
    actor.tell("one")
    await settle()
    await bench.system.stop()
    assert asyncio.get_running_loop().time() == pytest.approx(min(within, 1), abs=0.01)
    assert ("a takes one" in bench.log) == taken
    assert bench.log[-1] == "a stopped"
    assert [letter.message for letter in bench.dead] == ([] if taken else ["one"])


@virtual
async def test_an_asynchronous_start_is_waited_for_before_the_next_child_starts() -> None:
    bench = Bench()

    class Opens(Recorder):
        async def open(self) -> None:
            await asyncio.sleep(1)
            self._note("started")

        def started(self) -> Any:
            return self.open()

    specs = (Spec("a", lambda: Opens(bench.log)), bench.spec("b"))
    top = bench.system.spawn(bench.spec("top", *specs))
    top.tell("hello")
    await asyncio.sleep(2)
    assert bench.log == ["top/a started", "top/b started", "top started", "top takes hello"]


@virtual
async def test_a_parent_that_resumes_restarts_the_child_whose_failure_escalated() -> None:
    bench = Bench()
    child = bench.spec("a", strategy=Strategy(Directive.ESCALATE))
    top = bench.system.spawn(bench.spec("top", child, strategy=Strategy(Directive.RESUME)))
    actor = top.child("a")
    assert actor is not None
    actor.tell(Fail())
    actor.tell("after")
    await settle()
    assert bench.log[-1] == "top/a takes after"
    assert bench.told()[-2:] == ["top resumed 2", "top/a restarted 1"]


@virtual
async def test_an_actor_that_stops_itself_takes_nothing_more() -> None:
    bench = Bench()

    class Leaves(Recorder):
        def receive(self, message: object) -> None:
            super().receive(message)
            self.context.stop()

    actor = bench.system.spawn(Spec("a", lambda: Leaves(bench.log)))
    actor.tell("one")
    actor.tell("two")
    await settle()
    assert bench.log == ["a started", "a takes one", "a stopped"]
    assert [letter.message for letter in bench.dead] == ["two"]


@virtual
async def test_events_pair_a_failure_with_its_restart_and_are_json_lines() -> None:
    bench = Bench()
    actor = bench.system.spawn(bench.spec("a", kind="recorder"))
    actor.tell(Fail("line\nfeed \x1b[2J"))
    await settle()
    lines = [event.line() for event in bench.events]
    assert '"event": "server-started"' in lines[0]
    assert '"wall": "' in lines[0]
    assert lines[2] == (
        '{"time_ns": 0, "actor": "a", "kind": "recorder", "id": 1, "event": "failed", '
        '"error": "RuntimeError: line\\\\nfeed \\\\x1b[2J"}'
    )
    assert all("\n" not in line for line in lines)


@virtual
async def test_status_tells_the_tree_top_down() -> None:
    bench = Bench()
    top = bench.system.spawn(bench.spec("top", bench.spec("a"), bench.spec("b")))
    bench.system.spawn(bench.spec("next"))
    top.tell(Fail())
    await asyncio.sleep(7)
    rows = [(row.path, row.state, row.restarts) for row in bench.system.status()]
    assert rows == [
        ("top", "running", 1),
        ("top/a", "running", 0),
        ("top/b", "running", 0),
        ("next", "running", 0),
    ]
    assert {round(row.age_s, 6) for row in bench.system.status()} == {7}
    assert [row.restarts_in_window for row in bench.system.status()] == [1, 0, 0, 0]
    assert bench.system.find("top/a").name == "a"
    with pytest.raises(InvalidInput, match="no actor 'top/c'"):
        bench.system.find("top/c")


@virtual
async def test_what_a_hook_raises_while_its_actor_ends_stops_nothing() -> None:
    complaints: list[tuple[str, str]] = []

    class Clumsy(Actor):
        def receive(self, message: object) -> None:
            raise RuntimeError("x")

        def restarting(self, error: Exception | None) -> None:
            raise ValueError("in restarting")

        def stopped(self) -> None:
            raise ValueError("in stopped")

    def note(cell: Cell, error: Exception) -> None:
        complaints.append((cell.path, str(error)))

    system = System(on_complaint=note)
    system.spawn(Spec("a", Clumsy)).tell(1)
    await settle()
    await system.stop()
    assert complaints == [("a", "in restarting"), ("a", "in stopped")]


def test_specs_and_strategies_that_can_not_be_are_refused() -> None:
    with pytest.raises(InvalidInput, match="need a back-off"):
        Strategy(window=None)
    with pytest.raises(InvalidInput, match="invalid window"):
        Window(5, 0)
    with pytest.raises(InvalidInput, match="invalid back-off"):
        Backoff(first=2, most=1)
    with pytest.raises(InvalidInput, match="invalid actor name"):
        Spec("a/b", Actor)
    with pytest.raises(InvalidInput, match="are named 'a'"):
        Spec("top", Actor, children=(Spec("a", Actor), Spec("a", Actor)))


@virtual
async def test_a_top_that_is_restarted_has_the_actors_that_were_declared_and_no_others() -> None:
    bench = Bench()
    bench.system = System(on_event=bench.events.append, strategy=Strategy())
    first = bench.system.declare(bench.spec("first", bench.spec("inner")))
    second = bench.system.declare(
        bench.spec("second", strategy=Strategy(directive=Directive.ESCALATE))
    )
    bench.system.spawn(bench.spec("passing"))
    second.tell(Fail())
    await settle()
    assert [cell.path for cell in bench.system.walk()] == ["first", "first/inner", "second"]
    assert first.state is State.STOPPED
    assert bench.system.find("first") is not first
