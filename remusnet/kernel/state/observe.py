"""A look at the kernel: devices, qdiscs and the filters at the vifs' ingress."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from remusnet.kernel.wire import codec, decode
from remusnet.kernel.wire.bpf_programs import program_name, tcx_programs
from remusnet.kernel.wire.codec import (
    IFINFOMSG,
    LINK,
    NLM_F_DUMP,
    RTEXT_FILTER_SKIP_STATS,
    RTM_GETLINK,
    RTM_GETQDISC,
    RTM_GETTFILTER,
    TC_H_INGRESS,
    TC_H_MIN_INGRESS,
    TC_H_ROOT,
    link,
    message,
    traffic_control,
)
from remusnet.kernel.wire.netlink import Netlink
from remusnet.kernel.wire.objects import Device, Program, Qdisc, SeenFilter

_EVERY_QDISC = message(RTM_GETQDISC, NLM_F_DUMP, traffic_control(0))


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at the kernel. ``roots`` and ``ingress`` are by device number, the rest by name.

    ``filters`` has those vifs only that were asked for and have an ingress or clsact qdisc,
    ``programs`` those that were asked for and have any. ``names``: of devices, by number.
    """

    devices: Mapping[str, Device]
    roots: Mapping[int, Qdisc]
    ingress: Mapping[int, Qdisc]
    filters: Mapping[str, tuple[SeenFilter, ...]]
    programs: Mapping[str, tuple[Program, ...]] = field(default_factory=dict)
    names: Mapping[int, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = {each.index: each.name for each in self.devices.values()}
        object.__setattr__(self, "names", names)

    def root(self, name: str) -> Qdisc | None:
        """The root qdisc of a device that somebody has asked for, if any."""
        device = self.devices.get(name)
        found = self.roots.get(device.index) if device else None
        return found if found and found.handle else None

    def ingress_of(self, name: str) -> Qdisc | None:
        """The ingress or clsact qdisc of a device, if any."""
        device = self.devices.get(name)
        return self.ingress.get(device.index) if device else None

    def filters_of(self, name: str) -> tuple[SeenFilter, ...]:
        """The filters at the ingress of a device, in the order in which the kernel asks them."""
        return self.filters.get(name, ())


def observe(netlink: Netlink, vifs: Iterable[str] | None = None) -> Seen:
    """What the kernel has now; filters and programs of ``vifs`` only (None: of every device).

    The thread has to be in the network namespace of the socket: bpf(2) looks there. Raises
    KernelRefused or NotPermitted.
    """
    devices = {each.name: each for each in _devices(netlink)}
    tops: dict[int, Qdisc] = {}
    ingress: dict[int, Qdisc] = {}
    for _, body in netlink.dump(_EVERY_QDISC):
        index, parent, qdisc = decode.qdisc(body)
        if parent == TC_H_ROOT:
            tops[index] = qdisc
        elif parent == TC_H_INGRESS:
            ingress[index] = qdisc
    asked = [devices[name] for name in (devices if vifs is None else vifs) if name in devices]
    filters = {each.name: _filters(netlink, each.index) for each in asked if each.index in ingress}
    programs = {each.name: found for each in asked if (found := tuple(_programs(each)))}
    return Seen(devices, tops, ingress, filters, programs)


def roots(netlink: Netlink) -> dict[int, Qdisc]:
    """The root qdiscs of all devices now, by device number."""
    every = (decode.qdisc(body) for _, body in netlink.dump(_EVERY_QDISC))
    return {index: qdisc for index, parent, qdisc in every if parent == TC_H_ROOT}


def root_qdisc(netlink: Netlink, index: int) -> Qdisc | None:
    """The root qdisc of device ``index`` now."""
    request = message(RTM_GETQDISC, NLM_F_DUMP, traffic_control(index, parent=TC_H_ROOT))
    for _, body in netlink.dump(request):
        where, parent, qdisc = decode.qdisc(body)
        if (where, parent) == (index, TC_H_ROOT):
            return qdisc
    return None


def device_at(netlink: Netlink, index: int) -> Device:
    """The device ``index`` now. Raises KernelRefused where it is gone."""
    return decode.device(netlink.get(message(RTM_GETLINK, 0, link(index)))[0][1])


def devices_with(netlink: Netlink, kind: str) -> tuple[str, ...]:
    """The devices that have a qdisc of ``kind``, anywhere below them: their names, sorted."""
    names = {each.index: each.name for each in _devices(netlink)}
    every = (decode.qdisc(body) for _, body in netlink.dump(_EVERY_QDISC))
    return tuple(sorted({names[at] for at, _, each in every if each.kind == kind and at in names}))


def in_flight(netlink: Netlink, index: int) -> int:
    """Frames that have left the plug of the IFB ``index``, and that it has not passed on yet."""
    for _, body in netlink.get(message(RTM_GETLINK, 0, link(index))):
        return codec.in_flight(LINK.decode(body, IFINFOMSG.size)["counters"])
    return 0


def _devices(netlink: Netlink) -> Iterable[Device]:
    request = message(RTM_GETLINK, NLM_F_DUMP, link(mask=RTEXT_FILTER_SKIP_STATS))
    for _, body in netlink.dump(request):
        yield decode.device(body)


def _programs(device: Device) -> Iterable[Program]:
    """In the order in which they are asked."""
    hooks = [("XDP", device.xdp), ("tcx", tcx_programs(device.index) or ())]
    for hook, numbers in hooks:
        for number in numbers:
            yield Program(hook, number, program_name(number))


def _filters(netlink: Netlink, index: int) -> tuple[SeenFilter, ...]:
    where = traffic_control(index, parent=TC_H_MIN_INGRESS)
    request = message(RTM_GETTFILTER, NLM_F_DUMP, where)
    found = (decode.filter_(body) for _, body in netlink.dump(request))
    return tuple(each for each in found if each is not None)
