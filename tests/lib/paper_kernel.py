"""A kernel on paper: what operations leave behind, as ``observe`` would see it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from remusnet.kernel.state.observe import Seen
from remusnet.kernel.wire.messages import canonical, kind_of
from remusnet.kernel.wire.objects import Counters, Device, Program, Qdisc, SeenFilter
from remusnet.plan.devices import filter_mark
from remusnet.plan.operations import (
    AddFilter,
    AddIngress,
    AddPlug,
    CreateBuffer,
    DeleteDevice,
    DeleteFilters,
    DeleteIngress,
    DeletePlug,
    LowerDevice,
    MarkDevice,
    RaiseDevice,
    SealSink,
    SetLimit,
)
from remusnet.plan.rows import Operation
from remusnet.policy.verdict import Verdict

SEALED = Qdisc("pfifo", 0x8002 << 16, Counters())
PLUG, INGRESS = Qdisc("plug", 0x8001 << 16, Counters()), Qdisc("ingress", 0xFFFF0000, Counters())


@dataclass(slots=True)
class PaperKernel:
    """Has ``vifs`` from the beginning. Refuses with ``AssertionError`` what a kernel would."""

    vifs: tuple[str, ...] = ("vif1.0",)
    devices: dict[str, Device] = field(default_factory=dict)
    roots: dict[int, Qdisc] = field(default_factory=dict)
    ingress: dict[int, Qdisc] = field(default_factory=dict)
    filters: dict[str, list[SeenFilter]] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    programs: dict[str, tuple[Program, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for vif in self.vifs:
            self._add(vif, "veth", up=True)

    def do(self, operation: Operation) -> None:
        """What the operation does; nothing for those that leave nothing to be seen."""
        match operation:
            case CreateBuffer(name):
                assert name not in self.devices
                self._add(name, "ifb", up=False)
            case MarkDevice(name, alias):
                self.devices[name] = replace(self.devices[name], alias=alias)
            case RaiseDevice(name) | LowerDevice(name):
                up = isinstance(operation, RaiseDevice)
                self.devices[name] = replace(self.devices[name], up=up)
            case AddPlug() | SealSink():
                self._add_root(operation)
            case SetLimit(name, limit):
                assert self.roots[self._index(name)] is PLUG
                self.limits[name] = limit
            case DeletePlug(name):
                del self.roots[self._index(name)]
            case DeleteDevice(name):
                self._delete(self.devices.pop(name))
            case AddIngress(name):
                assert self._index(name) not in self.ingress
                self.ingress[self._index(name)] = INGRESS
            case DeleteIngress(name):
                del self.ingress[self._index(name)]
                self.filters.pop(name, None)
            case AddFilter():
                self._add_filter(operation)
            case DeleteFilters(name, pref, protocol):
                kept = [f for f in self.filters[name] if (f.pref, f.protocol) != (pref, protocol)]
                assert len(kept) < len(self.filters[name])
                self.filters[name] = kept

    def rename(self, old: str, new: str) -> None:
        """Gives a vif another name: its number and its filters stay."""
        assert new not in self.devices
        self.devices[new] = replace(self.devices.pop(old), name=new)
        if old in self.filters:
            self.filters[new] = self.filters.pop(old)
        self.vifs = tuple(new if each == old else each for each in self.vifs)

    def appear(self, vif: str) -> None:
        """Makes a new vif."""
        assert vif not in self.devices
        self._add(vif, "veth", up=True)
        self.vifs += (vif,)

    def vanish(self, vif: str) -> None:
        """Deletes a vif, and with it its qdisc and its filters."""
        device = self.devices.pop(vif)
        self.ingress.pop(device.index, None)
        self.filters.pop(vif, None)
        self.vifs = tuple(each for each in self.vifs if each != vif)

    def seen(self) -> Seen:
        """A look at it."""
        filters = {
            vif: tuple(self.filters.get(vif, ()))
            for vif in self.vifs
            if self._index(vif) in self.ingress
        }
        return Seen(
            dict(self.devices), dict(self.roots), dict(self.ingress), filters, dict(self.programs)
        )

    def _add_root(self, operation: AddPlug | SealSink) -> None:
        index = self._index(operation.device)
        assert index not in self.roots
        self.roots[index] = SEALED
        if isinstance(operation, AddPlug):
            self.roots[index] = PLUG
            self.limits[operation.device] = operation.limit

    def _add_filter(self, operation: AddFilter) -> None:
        what = operation.filter
        assert self._index(operation.device) in self.ingress
        hold = what.verdict is Verdict.HOLD
        seen = SeenFilter(
            kind_of(what.match).name,
            what.pref,
            what.protocol,
            canonical(what),
            what.verdict,
            self._index(operation.buffer) if hold else 0,
            filter_mark(shared=operation.shared) if hold else b"",
            self._sink(operation.sink) if hold and operation.sink else None,
        )
        there = self.filters.setdefault(operation.device, [])
        there.append(seen)
        there.sort(key=lambda each: each.pref)

    def _sink(self, name: str) -> int:
        assert self.roots[self._index(name)] is SEALED
        return self._index(name)

    def _add(self, name: str, kind: str, *, up: bool) -> None:
        index = 1 + max((device.index for device in self.devices.values()), default=0)
        self.devices[name] = Device(index, name, kind, "", up)

    def _delete(self, device: Device) -> None:
        self.roots.pop(device.index, None)
        for filters in self.filters.values():
            filters[:] = [
                replace(
                    each,
                    target=0 if each.target == device.index else each.target,
                    sink=0 if each.sink == device.index else each.sink,
                )
                for each in filters
            ]

    def _index(self, name: str) -> int:
        return self.devices[name].index
