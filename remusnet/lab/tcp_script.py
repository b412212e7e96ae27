"""The files between a caller that wants a scenario's TCP run and the run inside a kernel.

``terms``: JSON, what is to be done. ``seen``: JSON, what became of each connection. Times are ns
from the beginning. Standard library only: it is read in a UML kernel.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Self

TERMS, SEEN, DONE = "terms", "seen", "done"
FIRST_PORT = 8001
"""Of the first group's server; each group has its own."""


@dataclass(frozen=True, slots=True)
class Host:
    """How TCP is set on one side.

    ``sysctls``: below net.ipv4. ``route``: attributes of the route to the other side.
    """

    sysctls: dict[str, str]
    route: str
    nodelay: bool


@dataclass(frozen=True, slots=True)
class Wire:
    """The network between, each way alike: ``loss``: netem's words, empty for none.

    ``rate``: bits a second, ``queue``: frames that wait for it; None for no end.
    """

    delay_ns: int
    loss: str
    rate: int | None
    queue: int | None


@dataclass(frozen=True, slots=True)
class Group:
    """Connections that are alike. ``by_guest``: whether the guest connects and asks.

    ``starts_ns``: of each.
    """

    by_guest: bool
    request: int
    response: int
    exchanges: int
    think_ns: int
    starts_ns: Sequence[int]


@dataclass(frozen=True, slots=True)
class Terms:
    """All of a run. ``policy``: TOML; ``limit`` of the plug in bytes; ``decouple``: copy what is
    held. ``hystart``: of the kernel, which has one for both sides.

    ``checkpoints``: (suspend, resume, commit) of each.
    """

    policy: str
    classifier: str
    limit: int
    decouple: bool
    duration_ns: int
    checkpoints: Sequence[Sequence[int]]
    wire: Wire
    guest: Host
    peer: Host
    hystart: bool
    groups: Sequence[Group]

    def text(self) -> str:
        """As a file."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> Self:
        """Of a file."""
        found = json.loads(text)
        return cls(
            **{
                **found,
                "wire": Wire(**found["wire"]),
                "guest": Host(**found["guest"]),
                "peer": Host(**found["peer"]),
                "groups": [Group(**each) for each in found["groups"]],
            }
        )


@dataclass(frozen=True, slots=True)
class Connection:
    """What became of connection ``number`` of ``group`` (both from 0).

    ``answers_ns``: of each request that was answered, how long that took. ``done_ns``: from the SYN
    to the last byte of the last answer; None where that didn't come. ``copies``: segments that both
    sides sent again.
    """

    group: int
    number: int
    answers_ns: Sequence[int]
    done_ns: int | None
    copies: int


def written_seen(connections: Iterable[Connection], late_ns: Sequence[int]) -> str:
    """As a file. ``late_ns``: how late each step of a checkpoint was."""
    return json.dumps(
        {"connections": [asdict(each) for each in connections], "late_ns": list(late_ns)}
    )


def read_seen(text: str) -> tuple[list[Connection], list[int]]:
    """Of a file."""
    found = json.loads(text)
    return [Connection(**each) for each in found["connections"]], found["late_ns"]
