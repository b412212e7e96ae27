"""The kernel's objects as values: devices, qdiscs and filters, in the plan's own types."""

from __future__ import annotations

from dataclasses import dataclass, field

from remusnet.classify.filters import FilterMatch, protocol_name
from remusnet.errors import quoted
from remusnet.policy.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Device:
    """A network device. ``kind``: what ``ip -d link`` calls it (``ifb``), empty for hardware.

    ``xdp``: the numbers of the XDP programs that see its frames. ``queue``: its txqueuelen, in
    packets; a change of it purges the root qdisc. ``master``: the number of the bridge that it is a
    port of, 0 for none.
    """

    index: int
    name: str
    kind: str
    alias: str
    up: bool
    xdp: tuple[int, ...] = ()
    queue: int = 0
    master: int = 0


@dataclass(frozen=True, slots=True)
class Program:
    """An eBPF program that sees a device's frames before the filters at its ingress do.

    ``hook``: ``XDP`` or ``tcx``. ``name``: empty where the kernel does not tell.
    """

    hook: str
    number: int
    name: str = ""

    def __str__(self) -> str:
        """As an error message names it: ``tcx program 97 (cil_from_netdev)``."""
        name = f" ({quoted(self.name)})" if self.name else ""
        return f"{self.hook} program {self.number}{name}"


@dataclass(frozen=True, slots=True)
class Counters:
    """What has passed, in ``packets`` and ``bytes``, and what waits, in packets and bytes.

    ``drops`` are packets, ``overlimits`` too: for a redirection, those that it had to drop.
    """

    packets: int = 0
    bytes: int = 0
    qlen: int = 0
    backlog: int = 0
    drops: int = 0
    overlimits: int = 0


@dataclass(frozen=True, slots=True)
class Qdisc:
    """A qdisc. ``handle`` 0: the kernel's own default, which no program has asked for.

    ``block``: of an ingress or clsact qdisc, the shared block whose filters it asks, 0 for none.
    """

    kind: str
    handle: int
    counters: Counters
    block: int = 0


@dataclass(frozen=True, slots=True)
class SeenFilter:
    """A filter at a vif's ingress.

    ``match`` and ``verdict`` are None where no filter of ours looks like that; then ``kind`` is all
    that is known. ``target``: the device number that a hold redirects to, 0 where that device is
    gone. ``cookie``: its action's, empty for none. ``sink``: the device number that it is mirrored
    to before, likewise, None for nowhere; ``uncopied``: how many frames could not be.
    """

    kind: str
    pref: int
    protocol: int
    match: FilterMatch | None = None
    verdict: Verdict | None = None
    target: int = 0
    cookie: bytes = b""
    sink: int | None = None
    counters: Counters = field(default_factory=Counters, compare=False)
    uncopied: int = field(default=0, compare=False)

    def __str__(self) -> str:
        """As an error message names it: ``flower filter (protocol ip, pref 5)``."""
        where = f"protocol {protocol_name(self.protocol)}, pref {self.pref}"
        cookie = f", cookie {quoted(self.cookie.decode(errors='replace'))}" if self.cookie else ""
        return f"{self.kind} filter ({where}{cookie})"
