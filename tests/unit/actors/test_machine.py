"""Finite state machines as actors."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from remusnet.actors import Change, Event, Machine, Spec, System, expect
from remusnet.actors.virtual import run


@dataclass(frozen=True, slots=True)
class Open:
    """Somebody opens the door."""


@dataclass(frozen=True, slots=True)
class Shut:
    """It falls shut."""


class Door(Machine):
    """Falls shut after 3 s."""

    def initial(self) -> None:
        self.state = self.closed

    @expect(Open)
    def closed(self, message: Open) -> None:
        self.context.after(3, Shut())
        self.state = self.opened

    @expect(Shut, Open)
    def opened(self, message: Shut | Open) -> None:
        if isinstance(message, Shut):
            self.state = self.closed


def state_of(door: object) -> str:
    assert isinstance(door, Door)
    return str(getattr(door.state, "__name__", "?"))


def test_a_state_is_the_method_that_takes_the_next_message() -> None:
    async def main() -> None:
        events: list[Event] = []
        door = System(on_event=events.append).spawn(Spec("door", Door))
        door.tell(Open())
        door.tell(Open())
        await asyncio.sleep(1)
        assert state_of(door.instance) == "opened"
        await asyncio.sleep(3)
        assert state_of(door.instance) == "closed"
        door.tell(Shut())
        await asyncio.sleep(1)
        failed = [event.error for event in events if event.change is Change.FAILED]
        assert failed == ["Unexpected: Shut in state closed"]
        assert state_of(door.instance) == "closed"

    run(main())
