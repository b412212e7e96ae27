"""What the proxy knows of calls. Under ``resilient`` it outlives the actors that work on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from remusnet.actors import Cell
from remusnet.sip.auth import Nonces
from remusnet.sip.flows import Flow, Target
from remusnet.sip.message import Request, Response
from remusnet.sip.message.build import tag_of
from remusnet.sip.message.uri import read_address
from remusnet.sip.proxy.context import Context
from remusnet.sip.proxy.request import Judged
from remusnet.sip.settings import Settings
from remusnet.sip.store import Store

# A call with more branches than this has no room for further ends: forks that mean no good.
_MOST_ENDS = 64


@dataclass(frozen=True, slots=True)
class End:
    """A side of a dialog: where to send what is for it, and its Contact, if it gave one."""

    target: Target
    contact: bytes | None


@dataclass(slots=True)
class Leg:
    """One way of a call through this server: a spiral has several. ``ends`` by their tags."""

    number: int
    caller_tag: bytes
    ends: dict[bytes, End] = field(default_factory=dict)
    established: bool = False

    def remember(self, tag: bytes, end: End) -> None:
        """Where the side with that tag is."""
        if tag and (tag in self.ends or len(self.ends) < _MOST_ENDS):
            self.ends[tag] = end


@dataclass(frozen=True, slots=True)
class Way:
    """One place to forward to: the request URI, where, what Routes above, and where else."""

    uri: bytes
    targets: tuple[Target, ...]
    routes: tuple[bytes, ...] = ()


@dataclass(slots=True)
class Work:
    """A request that is being worked on. ``transaction`` None: an ACK, which has none.

    ``contact``: where its request URI leads, if that is a registered contact and its dialog is one
    that this process knows nothing of; ``asks_contact``: the location is being asked.
    """

    number: int
    request: Request
    flow: Flow
    transaction: Cell | None
    judged: Judged
    context: Context
    leg: Leg
    in_dialog: bool = False
    asks_contact: bool = False
    contact: Way | None = None
    groups: list[list[Way]] = field(default_factory=list)
    deadlines: dict[int, float] = field(default_factory=dict)
    branches: int = 0
    # By its number, where each branch goes and what breadth it has.
    ways: dict[int, tuple[Way, int]] = field(default_factory=dict)


@dataclass(slots=True)
class Call:
    """All that has one Call-ID."""

    call_id: bytes
    name: str
    cell: Cell | None = None
    legs: dict[int, Leg] = field(default_factory=dict)
    works: dict[int, Work] = field(default_factory=dict)
    numbers: int = 0
    born: float = 0.0

    @property
    def established(self) -> bool:
        """Whether an INVITE of it was accepted, and no BYE has come since."""
        return any(leg.established for leg in self.legs.values())


@dataclass(slots=True)
class Calls:
    """All calls, and what sessions need besides. ``unique``: a part of branches, never the same."""

    settings: Settings
    store: Store
    nonces: Nonces
    unique: Callable[[], str]
    most: int = 50_000
    calls: dict[bytes, Call] = field(default_factory=dict)
    numbers: int = 0

    @property
    def established(self) -> int:
        """How many calls are up."""
        return sum(1 for call in self.calls.values() if call.established)


def learn(work: Work, number: int, response: Response) -> None:
    """Where the sides of a dialog are, and whether the call is up: a branch's response tells."""
    branch = work.context.branches.get(number)
    if branch is None or response.status <= 100:
        return
    leg, method = work.leg, work.request.method
    if method == b"INVITE" and response.status < 300:
        contact = read_address((response.values("contact") or [b""])[0])
        tag = tag_of(response.get("to") or b"")
        uri = contact.uri.text if contact is not None else None
        known = leg.ends.get(tag) if work.in_dialog else None
        target = known.target if known is not None else branch.target
        leg.remember(tag, End(target, uri or (known.contact if known is not None else None)))
        if response.status >= 200:
            leg.established = True
    elif method == b"BYE" and response.status >= 200:
        leg.established = False
