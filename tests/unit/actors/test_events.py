"""Events as lines in a file."""

from __future__ import annotations

import errno
import io
import json

from remusnet.actors import Change, Event, JsonLines


class Disk(io.RawIOBase):
    """Where a file's bytes come to lie, as long as there is ``room``; then it is full."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.held = b""

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        taken = bytes(data)[: self.room]  # type: ignore[call-overload]
        if not taken:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.held += taken
        self.room -= len(taken)
        return len(taken)


def event(number: int) -> Event:
    return Event(number, "transport/coder", "coder", None, Change.STARTED)


def test_a_full_disk_is_said_once_fails_nobody_and_tears_no_line() -> None:
    """It raised in the middle of a restart, which then was none."""
    disk, told = Disk(room=150), list[str]()
    file = io.TextIOWrapper(io.BufferedWriter(disk))
    lines = JsonLines(file, told.append)
    for number in range(5):
        lines(event(number))
    assert told == ["events can't be written: No space left on device"]
    assert disk.room == 0
    disk.room = 10_000
    for number in range(5, 7):
        lines(event(number))
    assert told[1:] == ["events are written again; 4 were late or are lost"]
    assert not lines.failed
    file.close()
    written = [json.loads(line)["time_ns"] for line in disk.held.decode().splitlines()]
    assert written == sorted(written)
    assert {0, 5, 6} <= set(written)
