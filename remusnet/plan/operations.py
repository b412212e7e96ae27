"""The table of operations: each a step that remusnet does to the kernel, and what takes it back.

`remusnet.plan.render` prints them, `remusnet.kernel` executes them; neither knows of a step that is
not here. A kind stands behind those that take it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from remusnet.classify.filters import Filter, protocol_name
from remusnet.plan.devices import filter_mark
from remusnet.plan.matches import match_json, match_words
from remusnet.plan.rows import Command, Json, Operation, OperationRow
from remusnet.policy.verdict import Verdict

SEAL = "pfifo limit 0"
"""The root qdisc of a sink, as tc has it."""


# -- devices ---------------------------------------------------------------------------------------


class DeleteDevice(Operation):
    """Deletes a device of ours: with a buffer device goes its plug, and what that still holds."""

    __slots__ = ()
    row = OperationRow("delete-device", "ip link delete dev {device}", deletes=True)


class CreateBuffer(Operation):
    """Adds an IFB with one queue: with more, ``mq`` would be its root instead of the plug."""

    __slots__ = ()
    row = OperationRow(
        "create-buffer",
        "ip link add name {device} numtxqueues 1 numrxqueues 1 type ifb",
        "The buffer device. One queue, so that the plug can be its root.",
        undo=(DeleteDevice,),
    )


class CreateSink(CreateBuffer):
    """Adds the IFB that drops what is mirrored to it: see docs/explanation/decoupling.md."""

    __slots__ = ()
    row = replace(
        CreateBuffer.row,
        kind="create-sink",
        why="The sink. A held frame is mirrored to it, so that the kernel copies its pages.",
    )


@dataclass(frozen=True, slots=True)
class MarkDevice(Operation):
    """Names the owner in the device's alias, which survives and can be read back.

    ``before``: the alias that it takes the place of, where the device was ours already.
    """

    alias: str
    before: str | None = None
    row = OperationRow(
        "mark-device", "ip link set dev {device} alias {alias}", arguments=("device", "alias")
    )

    @property
    def undo(self) -> tuple[Operation, ...]:
        return () if self.before is None else (MarkDevice(self.device, self.before),)


class QuietDevice(Operation):
    """Keeps the device's own IPv6 router solicitations out of its queue."""

    __slots__ = ()
    row = OperationRow(
        "quiet-device",
        "ip link set dev {device} addrgenmode none",
        "No IPv6 solicitations of its own.",
        may_fail="a kernel without IPv6 refuses it",
    )


class RaiseDevice(Operation):
    """Brings the device up: what is redirected to one that is down is dropped, and what is mirrored
    to it is not copied.
    """

    __slots__ = ()
    row = OperationRow("raise-device", "ip link set dev {device} up")


class LowerDevice(Operation):
    """Sets a buffer device down, so that nothing comes through it while its plug is cleared."""

    __slots__ = ()
    row = OperationRow("lower-device", "ip link set dev {device} down", undo=(RaiseDevice,))


class SealSink(Operation):
    """Gives a sink the root qdisc that drops every frame: a queue for none.

    The IFB's driver drops them too, but for those that something has redirected before: it sends
    these back to where they came from, past the filters (drivers/net/ifb.c, ifb_xmit). The qdisc
    ``blackhole`` would do the same, but libnl aborts where it meets one, and xl with it.
    """

    __slots__ = ()
    row = OperationRow(
        "seal-sink",
        f"tc qdisc add dev {{device}} root {SEAL}",
        "It drops all that it gets: its driver would send back what was redirected before.",
    )


@dataclass(frozen=True, slots=True)
class DeleteSink(DeleteDevice):
    """Deletes a sink that no filter mirrors to any more; ``alias`` was its mark.

    `remusnet.plan.plan.undo_of` makes the sink anew.
    """

    alias: str
    row = replace(DeleteDevice.row, kind="delete-sink")


# -- plugs -----------------------------------------------------------------------------------------


class OpenPlug(Operation):
    """RELEASE_INDEFINITE: what is held leaves, and all that comes passes."""

    __slots__ = ()
    row = OperationRow(
        "open-plug",
        "tc qdisc change dev {device} root plug release_indefinite",
        "Open until the first checkpoint: an idle buffer must not stall the guest's TCP.",
    )


class ClearPlug(OpenPlug):
    """RELEASE_INDEFINITE on a device that is down: it makes the counters of the plug 0.

    What purges a plug, as setting its device down does, empties its queue but not its counters: the
    next release would let as many frames of the open epoch go (net/sched/sch_plug.c).
    """

    __slots__ = ()
    row = replace(
        OpenPlug.row,
        kind="clear-plug",
        why="Its counters begin anew: they were of frames that went when the device was down.",
    )


class ClosePlug(Operation):
    """BUFFER: what comes from now on is held until a release."""

    __slots__ = ()
    row = OperationRow(
        "close-plug",
        "tc qdisc change dev {device} root plug block",
        "Closed before the device is raised: nobody can tell whether an epoch is open.",
    )


class ReleasePlug(OpenPlug):
    """The same as to open it, at the end of a protection, before the plug is deleted."""

    __slots__ = ()
    row = replace(
        OpenPlug.row,
        kind="release-plug",
        why="What is held leaves, before the plug is deleted.",
    )


class DrainPlug(Operation):
    """Waits until an open plug is empty: deleting it loses what it still holds."""

    __slots__ = ()
    row = OperationRow("drain-plug", why="Wait until it is empty.")


class DeletePlug(Operation):
    """Deletes the root qdisc of the buffer device."""

    __slots__ = ()
    row = OperationRow("delete-plug", "tc qdisc delete dev {device} root", deletes=True)


@dataclass(frozen=True, slots=True)
class AddPlug(Operation):
    """Makes a plug the root qdisc, with its limit in bytes; it starts closed.

    The limit is always given: the kernel's default (an IFB's 32 packets) is less than one GSO
    frame, and a plug added without any drops everything.
    """

    limit: int
    row = OperationRow(
        "add-plug",
        "tc qdisc add dev {device} root plug limit {limit}",
        "The plug: holds up to {limit} bytes.",
        undo=(ReleasePlug, DrainPlug, DeletePlug),
        arguments=("device", "limit"),
    )


@dataclass(frozen=True, slots=True)
class SetLimit(Operation):
    """Changes the limit of a plug that is there, in bytes; what it holds stays.

    ``before``: the limit until now, where it is known (the kernel does not tell).
    """

    limit: int
    before: int | None = None
    row = OperationRow(
        "set-limit",
        "tc qdisc change dev {device} root plug limit {limit}",
        "The plug: holds up to {limit} bytes from now on.",
        arguments=("device", "limit"),
    )

    @property
    def undo(self) -> tuple[Operation, ...]:
        return () if self.before is None else (SetLimit(self.device, self.before),)


# -- a vif's ingress -------------------------------------------------------------------------------


class DeleteIngress(Operation):
    """Deletes the ingress qdisc of the vif with all its filters."""

    __slots__ = ()
    row = OperationRow("delete-ingress", "tc qdisc delete dev {device} ingress", deletes=True)


class AddIngress(Operation):
    """Gives the vif the qdisc at which its guest's frames can be classified."""

    __slots__ = ()
    row = OperationRow(
        "add-ingress",
        "tc qdisc add dev {device} ingress",
        "What the guest sends enters Dom0 at {device}: classify it there.",
        undo=(DeleteIngress,),
    )


@dataclass(frozen=True, slots=True)
class AddFilter(Operation):
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
    row = OperationRow(
        "add-filter",
        "tc filter add dev {device} parent {parent} protocol {protocol} pref {pref}",
    )

    @property
    def commands(self) -> tuple[Command, ...]:
        if self.filter.verdict is Verdict.HOLD:
            mirror = f"action mirred egress mirror dev {self.sink} pipe " if self.sink else ""
            cookie = filter_mark(shared=self.shared).hex()
            redirect = f"action mirred egress redirect dev {self.buffer} cookie {cookie}"
            then = mirror + redirect
        else:
            then = "flowid ffff:1"
        place = _place(self.device, self.shared, self.filter.protocol, self.filter.pref)
        return self.row.commands(place, *match_words(self.filter.match), *then.split())

    @property
    def arguments(self) -> Json:
        return {
            "device": self.device,
            "buffer": self.buffer,
            "sink": self.sink or None,
            "pref": self.filter.pref,
            "protocol": protocol_name(self.filter.protocol),
            **match_json(self.filter.match),
            "verdict": str(self.filter.verdict),
            "comment": self.filter.comment,
        }

    @property
    def why(self) -> str:
        return self.filter.comment


@dataclass(frozen=True, slots=True)
class DeleteFilters(Operation):
    """Deletes all filters of a preference at once; ``filters``: what they are, all of them ours."""

    pref: int
    protocol: int
    shared: bool = False
    filters: tuple[AddFilter, ...] = ()
    row = OperationRow(
        "delete-filters",
        "tc filter delete dev {device} parent {parent} protocol {protocol} pref {pref}",
        deletes=True,
    )

    @property
    def commands(self) -> tuple[Command, ...]:
        return self.row.commands(_place(self.device, self.shared, self.protocol, self.pref))

    @property
    def arguments(self) -> Json:
        protocol = protocol_name(self.protocol)
        return {"device": self.device, "pref": self.pref, "protocol": protocol}

    @property
    def undo(self) -> tuple[Operation, ...]:
        return self.filters


def _place(device: str, shared: bool, protocol: int, pref: int) -> Mapping[str, object]:
    """Where filters hang, for tc: our ingress qdisc, or the ingress side of one that is shared."""
    parent = "ffff:fff2" if shared else "ffff:"
    protocol_text = protocol_name(protocol)
    return {"device": device, "parent": parent, "protocol": protocol_text, "pref": pref}
