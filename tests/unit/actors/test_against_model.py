"""Random trees, strategies and faults: the actors against a plain model of the tree.

The model knows no queues and no generators. It says who lives, in which instance, what that
instance was told, what is dead, and what each window has; after each step both must agree.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from remusnet.actors import (
    Actor,
    Cell,
    DeadLetter,
    Directive,
    OnChildren,
    OnMessage,
    Scope,
    Spec,
    Strategy,
    System,
    Window,
)
from remusnet.actors.virtual import VirtualLoop
from tests.lib.long import count

WINDOW = Window(2, 10.0)
# It answers all that escalates to it, however often.
TOP = Strategy(window=Window(10**9, 1.0), children=OnChildren.KEEP)

strategies = st.builds(
    Strategy,
    directive=st.sampled_from(Directive),
    scope=st.sampled_from(Scope),
    window=st.just(WINDOW),
    children=st.sampled_from(OnChildren),
    message=st.sampled_from(OnMessage),
)


@dataclass(slots=True)
class Shaky:
    """Fails so often, then no more."""

    number: int
    fails: int


class Keeper(Actor):
    """Keeps what it is told, until it is restarted."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def receive(self, message: object) -> None:
        assert isinstance(message, Shaky)
        if message.fails:
            message.fails -= 1
            raise RuntimeError("shaky")
        self.seen.append(message.number)


@dataclass(eq=False, slots=True)
class Node:
    """The model of an actor."""

    name: str
    strategy: Strategy
    parent: Node | None
    declared: tuple[tuple[str, Strategy], ...] = ()
    children: list[Node] = field(default_factory=list)
    restarts: int = 0
    seen: list[int] = field(default_factory=list)
    failures: list[float] = field(default_factory=list)
    escalated: bool = False
    waiting: Shaky | None = None  # to be processed once more

    @property
    def path(self) -> str:
        return self.name if self.parent is None else f"{self.parent.path}/{self.name}"


class Model:
    """What must become of a tree."""

    def __init__(self, declared: tuple[tuple[str, Strategy], ...]) -> None:
        self.now = 0.0
        self.dead: list[int] = []
        self.top = Node("top", TOP, None, declared)
        self.revive(self.top)
        self.top.restarts = 0

    def nodes(self, node: Node | None = None) -> list[Node]:
        node = node or self.top
        return [node, *(below for child in node.children for below in self.nodes(child))]

    def tell(self, node: Node, message: Shaky, *, again: bool = False) -> None:
        if message.fails == 0:
            node.seen.append(message.number)
            return
        message.fails -= 1
        self.fail(node, message, again=again)

    def fail(self, node: Node, message: Shaky | None, *, again: bool = False) -> None:
        strategy = node.strategy
        assert strategy.window is not None
        node.failures = [t for t in node.failures if t > self.now - strategy.window.seconds]
        node.failures.append(self.now)
        directive = strategy.directive
        if directive in (Directive.RESUME, Directive.RESTART):
            if len(node.failures) > strategy.window.most:
                directive = Directive.ESCALATE
        if message is not None:
            retry = strategy.message is OnMessage.RETRY and not again
            if retry and directive is not Directive.STOP:
                node.waiting = message
            else:
                self.dead.append(message.number)
        if directive is Directive.STOP:
            self.remove(node)
        elif directive is Directive.ESCALATE:
            node.escalated = True
            assert node.parent is not None
            self.fail(node.parent, None)
        elif directive is Directive.RESUME:
            self.complete(node)
        else:
            siblings = node.parent.children if node.parent else [node]
            rest = siblings[siblings.index(node) :]
            self.restart(rest if strategy.scope is Scope.REST_FOR_ONE else [node])
        self.go_on()

    def go_on(self) -> None:
        """Process what has to be processed once more."""
        for node in self.nodes():
            if node.waiting is not None and not node.escalated:
                message, node.waiting = node.waiting, None
                self.tell(node, message, again=True)

    def remove(self, node: Node) -> None:
        for child in list(reversed(node.children)):
            self.remove(child)
        if node.waiting is not None:
            self.dead.append(node.waiting.number)
        assert node.parent is not None
        node.parent.children.remove(node)

    def restart(self, group: list[Node]) -> None:
        members = [member for node in group for member in self.in_place(node)]
        for member in members:
            if member.escalated:
                member.escalated = False
                member.failures = []
        for member in reversed(members):
            if member.strategy.children is OnChildren.STOP:
                for child in list(reversed(member.children)):
                    self.remove(child)
        for member in members:
            self.revive(member)

    def in_place(self, node: Node) -> list[Node]:
        below = node.children if node.strategy.children is OnChildren.RESTART else []
        return [node, *(member for child in below for member in self.in_place(child))]

    def revive(self, node: Node) -> None:
        node.seen = []
        node.restarts += 1
        self.complete(node)

    def complete(self, node: Node) -> None:
        there = {child.name for child in node.children}
        for name, strategy in node.declared:
            if name not in there:
                node.children.append(Node(name, strategy, node))
        for child in list(node.children):
            if child.escalated:
                self.restart([child])


async def settle() -> None:
    """Let all that is ready happen, in no time."""
    await asyncio.sleep(0.0)
    for _ in range(50):
        await asyncio.sleep(0)


class Agreement(RuleBasedStateMachine):
    """Does the same to both."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualLoop)
        self.dead: list[DeadLetter] = []
        self.number = 0

    @initialize(declared=st.lists(strategies, min_size=1, max_size=3))
    def plant(self, declared: list[Strategy]) -> None:
        children = tuple((f"d{place}", strategy) for place, strategy in enumerate(declared))
        self.model = Model(children)

        async def make() -> None:
            self.system = System(on_dead_letter=self.dead.append)
            specs = tuple(Spec(name, Keeper, strategy=strategy) for name, strategy in children)
            self.system.spawn(Spec("top", Keeper, strategy=TOP, children=specs))

        self.runner.run(make())

    def pick(self, data: st.DataObject, *, with_top: bool = True) -> tuple[Node, Cell]:
        nodes = self.model.nodes()[0 if with_top else 1 :]
        node = nodes[data.draw(st.integers(0, len(nodes) - 1), label="who")]
        return node, self.system.find(node.path)

    @rule(data=st.data(), fails=st.integers(0, 3))
    def tell(self, data: st.DataObject, fails: int) -> None:
        node, cell = self.pick(data)
        self.number += 1
        cell.tell(Shaky(self.number, fails))
        self.runner.run(settle())
        self.model.tell(node, Shaky(self.number, fails))

    @rule(data=st.data(), own=strategies, below=st.lists(strategies, max_size=2))
    def spawn(self, data: st.DataObject, own: Strategy, below: list[Strategy]) -> None:
        node, cell = self.pick(data)
        self.number += 1
        name = f"n{self.number}"
        children = tuple((f"d{place}", strategy) for place, strategy in enumerate(below))
        specs = tuple(Spec(inner, Keeper, strategy=strategy) for inner, strategy in children)
        cell.spawn(Spec(name, Keeper, strategy=own, children=specs))
        new = Node(name, own, node, children)
        node.children.append(new)
        self.model.complete(new)

    @precondition(lambda self: len(self.model.nodes()) > 1)
    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        node, cell = self.pick(data, with_top=False)
        cell.stop()
        self.runner.run(settle())
        self.model.remove(node)

    @rule(data=st.data())
    def rejuvenate(self, data: st.DataObject) -> None:
        node, cell = self.pick(data)
        cell.restart()
        self.runner.run(settle())
        self.model.restart([node])
        self.model.go_on()

    @rule(seconds=st.sampled_from([0.5, 5.0, 9.75, 10.0]))
    def wait(self, seconds: float) -> None:
        self.runner.run(asyncio.sleep(seconds))
        self.model.now += seconds

    @invariant()
    def agree(self) -> None:
        if not hasattr(self, "system"):
            return
        expected = {
            node.path: (node.restarts, node.seen, self.in_window(node))
            for node in self.model.nodes()
        }
        cells = {cell.path: cell for cell in self.system.walk()}
        assert list(cells) == list(expected)
        for path, cell in cells.items():
            assert cell.state.value == "running"
            assert isinstance(cell.instance, Keeper)
            assert (cell.restarts, cell.instance.seen, cell.in_window()) == expected[path]
            assert cell.waiting == 0
        dead = [letter.message.number for letter in self.dead if isinstance(letter.message, Shaky)]
        assert sorted(dead) == sorted(self.model.dead)

    def in_window(self, node: Node) -> int:
        assert node.strategy.window is not None
        oldest = self.model.now - node.strategy.window.seconds
        return sum(1 for time in node.failures if time > oldest)

    def teardown(self) -> None:
        self.runner.close()


Agreement.TestCase.settings = settings(
    max_examples=count(sample=60, long=3000), stateful_step_count=30, deadline=None
)
TestAgreement = Agreement.TestCase
