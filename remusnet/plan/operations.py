"""What is done to the kernel, one step each, and what takes it back.

An operation is data. `remusnet.plan.render` prints it, `remusnet.kernel` executes it; neither knows
of a step that is not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from remusnet.classify.filters import Filter, protocol_name
from remusnet.plan.names import OWNER
from remusnet.plan.selectors import selector_json, selector_words
from remusnet.policy.verdict import Verdict

Json = dict[str, object]
SEAL = "pfifo limit 0"
"""The root qdisc of a sink, as tc has it."""
COOKIE = OWNER.encode("ascii").hex()
SHARED_COOKIE = f"{OWNER}/shared".encode("ascii").hex()
"""The cookie where the qdisc was there before us: the marks alone say that it has to stay."""


@dataclass(frozen=True, slots=True)
class Command:
    """One ``ip`` or ``tc`` command. ``may_fail``: why its failure is no mistake, if so."""

    program: str
    arguments: tuple[str, ...]
    may_fail: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """Base of all operations. ``kind`` is its name in JSON."""

    kind: ClassVar[str] = ""

    @property
    def commands(self) -> tuple[Command, ...]:
        """The same in ``ip`` and ``tc``."""
        raise NotImplementedError

    @property
    def arguments(self) -> Json:
        """What it is about, for JSON."""
        raise NotImplementedError

    @property
    def undo(self) -> tuple[Operation, ...]:
        """What takes it back; empty where an earlier operation's undo does."""
        return ()

    @property
    def why(self) -> str:
        """For a person who reads the plan; empty where the command says it all."""
        return ""

    def to_json(self) -> Json:
        """``{"kind", "arguments", "undo": [...]}``."""
        return {
            "kind": self.kind,
            "arguments": self.arguments,
            "undo": [each.to_json() for each in self.undo],
        }


@dataclass(frozen=True, slots=True)
class _OnDevice(Operation):
    """An operation that needs nothing but a device's name."""

    device: str

    @property
    def arguments(self) -> Json:
        return {"device": self.device}


@dataclass(frozen=True, slots=True)
class CreateBuffer(_OnDevice):
    """Adds an IFB with one queue: with more, ``mq`` would be its root instead of the plug."""

    kind: ClassVar[str] = "create-buffer"

    @property
    def commands(self) -> tuple[Command, ...]:
        text = f"link add name {self.device} numtxqueues 1 numrxqueues 1 type ifb"
        return (Command("ip", tuple(text.split())),)

    @property
    def undo(self) -> tuple[Operation, ...]:
        return (DeleteDevice(self.device),)

    @property
    def why(self) -> str:
        return "The buffer device. One queue, so that the plug can be its root."


@dataclass(frozen=True, slots=True)
class CreateSink(CreateBuffer):
    """Adds the IFB that drops what is mirrored to it: see docs/explanation/decoupling.md."""

    kind: ClassVar[str] = "create-sink"

    @property
    def why(self) -> str:
        return "The sink. A held frame is mirrored to it, so that the kernel copies its pages."


@dataclass(frozen=True, slots=True)
class MarkDevice(_OnDevice):
    """Names the owner in the device's alias, which survives and can be read back.

    ``before``: the alias that it takes the place of, where the device was ours already.
    """

    alias: str
    before: str | None = None
    kind: ClassVar[str] = "mark-device"

    @property
    def commands(self) -> tuple[Command, ...]:
        return (Command("ip", ("link", "set", "dev", self.device, "alias", self.alias)),)

    @property
    def arguments(self) -> Json:
        return {"device": self.device, "alias": self.alias}

    @property
    def undo(self) -> tuple[Operation, ...]:
        return () if self.before is None else (MarkDevice(self.device, self.before),)


@dataclass(frozen=True, slots=True)
class QuietDevice(_OnDevice):
    """Keeps the device's own IPv6 router solicitations out of its queue."""

    kind: ClassVar[str] = "quiet-device"

    @property
    def commands(self) -> tuple[Command, ...]:
        arguments = ("link", "set", "dev", self.device, "addrgenmode", "none")
        return (Command("ip", arguments, may_fail="a kernel without IPv6 refuses it"),)

    @property
    def why(self) -> str:
        return "No IPv6 solicitations of its own."


@dataclass(frozen=True, slots=True)
class RaiseDevice(_OnDevice):
    """Brings the device up: what is redirected to one that is down is dropped, and what is mirrored
    to it is not copied.
    """

    kind: ClassVar[str] = "raise-device"

    @property
    def commands(self) -> tuple[Command, ...]:
        return (Command("ip", ("link", "set", "dev", self.device, "up")),)


@dataclass(frozen=True, slots=True)
class LowerDevice(_OnDevice):
    """Sets a buffer device down, so that nothing comes through it while its plug is cleared."""

    kind: ClassVar[str] = "lower-device"

    @property
    def commands(self) -> tuple[Command, ...]:
        return (Command("ip", ("link", "set", "dev", self.device, "down")),)

    @property
    def undo(self) -> tuple[Operation, ...]:
        return (RaiseDevice(self.device),)


@dataclass(frozen=True, slots=True)
class DeleteDevice(_OnDevice):
    """Deletes a device of ours: with a buffer device goes its plug, and what that still holds."""

    kind: ClassVar[str] = "delete-device"

    @property
    def commands(self) -> tuple[Command, ...]:
        return (Command("ip", ("link", "delete", "dev", self.device)),)


@dataclass(frozen=True, slots=True)
class SealSink(_OnDevice):
    """Gives a sink the root qdisc that drops every frame: a queue for none.

    The IFB's driver drops them too, but for those that something has redirected before: it sends
    these back to where they came from, past the filters (drivers/net/ifb.c, ifb_xmit). The qdisc
    ``blackhole`` would do the same, but libnl aborts where it meets one, and xl with it.
    """

    kind: ClassVar[str] = "seal-sink"

    @property
    def commands(self) -> tuple[Command, ...]:
        return (Command("tc", ("qdisc", "add", "dev", self.device, "root", *SEAL.split())),)

    @property
    def why(self) -> str:
        return "It drops all that it gets: its driver would send back what was redirected before."


@dataclass(frozen=True, slots=True)
class DeleteSink(DeleteDevice):
    """Deletes a sink that no filter mirrors to any more; ``alias`` was its mark."""

    alias: str
    kind: ClassVar[str] = "delete-sink"

    @property
    def undo(self) -> tuple[Operation, ...]:
        return sink_operations(self.device, self.alias)


def sink_operations(device: str, alias: str) -> tuple[Operation, ...]:
    """What makes ``device`` a sink. It drops what it gets before anything is mirrored to it."""
    return (
        CreateSink(device),
        MarkDevice(device, alias),
        SealSink(device),
        QuietDevice(device),
        RaiseDevice(device),
    )


@dataclass(frozen=True, slots=True)
class AddPlug(_OnDevice):
    """Makes a plug the root qdisc, with its limit in bytes; it starts closed.

    The limit is always given: the kernel's default (an IFB's 32 packets) is less than one GSO
    frame, and a plug added without any drops everything.
    """

    limit: int
    kind: ClassVar[str] = "add-plug"

    @property
    def commands(self) -> tuple[Command, ...]:
        text = f"qdisc add dev {self.device} root plug limit {self.limit}"
        return (Command("tc", tuple(text.split())),)

    @property
    def arguments(self) -> Json:
        return {"device": self.device, "limit": self.limit}

    @property
    def undo(self) -> tuple[Operation, ...]:
        return (ReleasePlug(self.device), DrainPlug(self.device), DeletePlug(self.device))

    @property
    def why(self) -> str:
        return f"The plug: holds up to {self.limit} bytes."


@dataclass(frozen=True, slots=True)
class SetLimit(_OnDevice):
    """Changes the limit of a plug that is there, in bytes; what it holds stays.

    ``before``: the limit until now, where it is known (the kernel does not tell).
    """

    limit: int
    before: int | None = None
    kind: ClassVar[str] = "set-limit"

    @property
    def commands(self) -> tuple[Command, ...]:
        text = f"qdisc change dev {self.device} root plug limit {self.limit}"
        return (Command("tc", tuple(text.split())),)

    @property
    def arguments(self) -> Json:
        return {"device": self.device, "limit": self.limit}

    @property
    def undo(self) -> tuple[Operation, ...]:
        return () if self.before is None else (SetLimit(self.device, self.before),)

    @property
    def why(self) -> str:
        return f"The plug: holds up to {self.limit} bytes from now on."


@dataclass(frozen=True, slots=True)
class OpenPlug(_OnDevice):
    """RELEASE_INDEFINITE: what is held leaves, and all that comes passes."""

    kind: ClassVar[str] = "open-plug"

    @property
    def commands(self) -> tuple[Command, ...]:
        text = f"qdisc change dev {self.device} root plug release_indefinite"
        return (Command("tc", tuple(text.split())),)

    @property
    def why(self) -> str:
        return "Open until the first checkpoint: an idle buffer must not stall the guest's TCP."


@dataclass(frozen=True, slots=True)
class ClearPlug(OpenPlug):
    """RELEASE_INDEFINITE on a device that is down: it makes the counters of the plug 0.

    What purges a plug, as setting its device down does, empties its queue but not its counters: the
    next release would let as many frames of the open epoch go (net/sched/sch_plug.c).
    """

    kind: ClassVar[str] = "clear-plug"

    @property
    def why(self) -> str:
        return "Its counters begin anew: they were of frames that went when the device was down."


@dataclass(frozen=True, slots=True)
class ClosePlug(_OnDevice):
    """BUFFER: what comes from now on is held until a release."""

    kind: ClassVar[str] = "close-plug"

    @property
    def commands(self) -> tuple[Command, ...]:
        text = f"qdisc change dev {self.device} root plug block"
        return (Command("tc", tuple(text.split())),)

    @property
    def why(self) -> str:
        return "Closed before the device is raised: nobody can tell whether an epoch is open."


@dataclass(frozen=True, slots=True)
class ReleasePlug(OpenPlug):
    """The same at the end of a protection, before the plug is deleted."""

    kind: ClassVar[str] = "release-plug"

    @property
    def why(self) -> str:
        return "What is held leaves, before the plug is deleted."


@dataclass(frozen=True, slots=True)
class DrainPlug(_OnDevice):
    """Waits until an open plug is empty: deleting it loses what it still holds."""

    kind: ClassVar[str] = "drain-plug"

    @property
    def commands(self) -> tuple[Command, ...]:
        return ()

    @property
    def why(self) -> str:
        return "Wait until it is empty."


@dataclass(frozen=True, slots=True)
class DeletePlug(_OnDevice):
    """Deletes the root qdisc of the buffer device."""

    kind: ClassVar[str] = "delete-plug"

    @property
    def commands(self) -> tuple[Command, ...]:
        return (Command("tc", ("qdisc", "delete", "dev", self.device, "root")),)


@dataclass(frozen=True, slots=True)
class AddIngress(_OnDevice):
    """Gives the vif the qdisc at which its guest's frames can be classified."""

    kind: ClassVar[str] = "add-ingress"

    @property
    def commands(self) -> tuple[Command, ...]:
        return (Command("tc", ("qdisc", "add", "dev", self.device, "ingress")),)

    @property
    def undo(self) -> tuple[Operation, ...]:
        return (DeleteIngress(self.device),)

    @property
    def why(self) -> str:
        return f"What the guest sends enters Dom0 at {self.device}: classify it there."


@dataclass(frozen=True, slots=True)
class DeleteIngress(_OnDevice):
    """Deletes the ingress qdisc of the vif with all its filters."""

    kind: ClassVar[str] = "delete-ingress"

    @property
    def commands(self) -> tuple[Command, ...]:
        return (Command("tc", ("qdisc", "delete", "dev", self.device, "ingress")),)


@dataclass(frozen=True, slots=True)
class AddFilter(_OnDevice):
    """Adds one filter at the vif's ingress; a hold redirects to ``buffer``.

    A bypass has no action: a filter that matches and does nothing lets pass, and needs no act_gact.
    ``shared``: the qdisc was there before us (a clsact, or an ingress qdisc without filters).
    ``sink``: what a hold is mirrored to before, empty for none. Whatever becomes of the mirroring,
    the frame is held: only a redirection can drop it, and none lets it pass (act_mirred.c).
    """

    buffer: str
    filter: Filter
    shared: bool = False
    sink: str = ""
    kind: ClassVar[str] = "add-filter"

    @property
    def cookie(self) -> str:
        """The mark of ownership on its action, in hexadecimal."""
        return SHARED_COOKIE if self.shared else COOKIE

    @property
    def commands(self) -> tuple[Command, ...]:
        where = f"filter add dev {self.device} parent {parent_text(self.shared)} protocol"
        what = f"{protocol_name(self.filter.protocol)} pref {self.filter.pref}"
        selector = selector_words(self.filter.match)
        if self.filter.verdict is Verdict.HOLD:
            mirror = f"action mirred egress mirror dev {self.sink} pipe " if self.sink else ""
            redirect = f"action mirred egress redirect dev {self.buffer} cookie {self.cookie}"
            then = mirror + redirect
        else:
            then = "flowid ffff:1"
        return (Command("tc", (*f"{where} {what}".split(), *selector, *then.split())),)

    @property
    def arguments(self) -> Json:
        return {
            "device": self.device,
            "buffer": self.buffer,
            "sink": self.sink or None,
            "pref": self.filter.pref,
            "protocol": protocol_name(self.filter.protocol),
            **selector_json(self.filter.match),
            "verdict": str(self.filter.verdict),
            "comment": self.filter.comment,
        }

    @property
    def why(self) -> str:
        return self.filter.comment


@dataclass(frozen=True, slots=True)
class DeleteFilters(_OnDevice):
    """Deletes all filters of a preference at once; ``filters``: what they are, all of them ours."""

    pref: int
    protocol: int
    shared: bool = False
    filters: tuple[AddFilter, ...] = ()
    kind: ClassVar[str] = "delete-filters"

    @property
    def commands(self) -> tuple[Command, ...]:
        where = f"filter delete dev {self.device} parent {parent_text(self.shared)}"
        what = f"protocol {protocol_name(self.protocol)} pref {self.pref}"
        return (Command("tc", tuple(f"{where} {what}".split())),)

    @property
    def arguments(self) -> Json:
        protocol = protocol_name(self.protocol)
        return {"device": self.device, "pref": self.pref, "protocol": protocol}

    @property
    def undo(self) -> tuple[Operation, ...]:
        return self.filters


def parent_text(shared: bool) -> str:
    """Where filters hang, for tc: our ingress qdisc, or the ingress side of one that is shared."""
    return "ffff:fff2" if shared else "ffff:"
