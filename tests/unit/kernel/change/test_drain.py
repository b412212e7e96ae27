"""Waiting for plugs: one look at the kernel is for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from remusnet.errors import Conflict
from remusnet.kernel.change import drain as drain_module
from remusnet.kernel.change.drain import drain
from remusnet.kernel.change.execute import Executor
from remusnet.kernel.state.observe import Seen
from remusnet.kernel.wire.codec import plug_message
from remusnet.kernel.wire.messages import PlugAction
from remusnet.kernel.wire.netlink import Answer, Netlink
from remusnet.kernel.wire.objects import Counters, Device, Qdisc
from remusnet.plan.operations import DrainPlug, ReleasePlug

HANDLE = 0x8001 << 16


class Plugs(Netlink):
    """Plugs by their devices' numbers, and how many packets each holds: one less after each look,
    but for that of the device ``stuck``.
    """

    def __init__(self, held: dict[int, int]) -> None:
        self.held = held
        self.passed = dict.fromkeys(held, 0)
        self.looks = 0
        self.stuck = 0
        self.told: list[bytes] = []

    def roots(self, _netlink: object) -> dict[int, Qdisc]:
        self.looks += 1
        found = {
            index: Qdisc("plug", HANDLE, Counters(packets=self.passed[index], qlen=held))
            for index, held in self.held.items()
        }
        for index, held in self.held.items():
            if index != self.stuck:
                self.held[index] = max(0, held - 1)
                self.passed[index] += held > 0
        return found

    def do(self, request: bytes, _what: str) -> None:
        self.told.append(request)

    def ask(self, messages: Any) -> list[Answer]:
        self.told += messages
        return [Answer(0) for _ in messages]


@pytest.fixture
def plugs(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[int, int]], Plugs]:
    def made(held: dict[int, int]) -> Plugs:
        found = Plugs(held)
        monkeypatch.setattr(drain_module, "roots", found.roots)
        monkeypatch.setattr(drain_module, "in_flight", lambda *_: 0)
        return found

    return made


@pytest.mark.parametrize("number", [1, 50])
def test_many_plugs_take_as_many_looks_as_the_fullest(
    plugs: Callable[[dict[int, int]], Plugs], number: int
) -> None:
    kernel = plugs({index: index % 3 for index in range(3, 3 + number)} | {2: 4})
    drain(kernel, {f"ifb{index}": index for index in kernel.held})
    assert kernel.looks == 4 + 2  # and twice empty
    assert set(kernel.held.values()) == {0}


def test_plugs_next_to_each_other_are_waited_for_together(
    plugs: Callable[[dict[int, int]], Plugs],
) -> None:
    kernel = plugs({2: 1, 3: 1})
    devices = {f"ifb{index}": Device(index, f"ifb{index}", "ifb", "", True) for index in (2, 3)}
    operations = [*map(ReleasePlug, devices), *map(DrainPlug, devices)]
    Executor(kernel, Seen(devices, {}, {}, {})).run(operations)
    assert kernel.looks == 1 + 2


def test_a_plug_that_still_holds_is_opened_again_and_no_other(
    plugs: Callable[[dict[int, int]], Plugs],
) -> None:
    kernel = plugs({2: 1, 3: 0})
    drain(kernel, {"ifb2": 2, "ifb3": 3})
    opening = plug_message(2, PlugAction.RELEASE_INDEFINITE, handle=HANDLE)
    assert kernel.told == [opening]


def test_what_does_not_empty_is_named_and_nothing_else(
    plugs: Callable[[dict[int, int]], Plugs],
) -> None:
    kernel = plugs({2: 10**6, 3: 0})
    with pytest.raises(Conflict, match=r"^ifb2 still holds 0 B after 0\.01 s: ") as caught:
        drain(kernel, {"ifb2": 2, "ifb3": 3}, longest_wait=0.01)
    assert "ifb3" not in str(caught.value)
