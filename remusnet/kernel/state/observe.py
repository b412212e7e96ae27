"""A look at the kernel: devices, qdiscs and filters at the vifs' ingress, as the plan's own types.

What no plan of ours could have made is not interpreted: a filter with an unknown attribute, another
action or another kind comes out as a `SeenFilter` without a match.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from socket import htons
from typing import Any

from remusnet.kernel.wire import codec
from remusnet.kernel.wire.codec import (
    ACTION,
    BYPASS_CLASSID,
    IFF_UP,
    IFINFOMSG,
    LINK,
    MIRRED,
    NLM_F_DUMP,
    QDISC,
    RTEXT_FILTER_SKIP_STATS,
    RTM_GETLINK,
    RTM_GETQDISC,
    RTM_GETTFILTER,
    TC_ACT_PIPE,
    TC_ACT_STOLEN,
    TC_H_INGRESS,
    TC_H_MIN_INGRESS,
    TC_H_ROOT,
    TCA_EGRESS_MIRROR,
    TCA_EGRESS_REDIR,
    TCA_KIND,
    TCA_OPTIONS,
    TCMSG,
    UINT,
    XDP_PROGRAMS,
    attributes,
    link,
    message,
    traffic_control,
)
from remusnet.kernel.wire.messages import KINDS
from remusnet.kernel.wire.netlink import Netlink, program_name, tcx_programs
from remusnet.kernel.wire.objects import Counters, Device, Program, Qdisc, SeenFilter
from remusnet.plan.devices import SINK_MARK
from remusnet.policy.verdict import Verdict

_TCA_CHAIN = 11
_EVERY_QDISC = message(RTM_GETQDISC, NLM_F_DUMP, traffic_control(0))


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at the kernel. ``roots`` and ``ingress`` are by device number, the rest by name.

    ``filters`` has those vifs only that were asked for and have an ingress or clsact qdisc,
    ``programs`` those that were asked for and have any. ``names``: of devices, by number.
    ``sinks``: those of ours, by each vif that they are for.
    """

    devices: Mapping[str, Device]
    roots: Mapping[int, Qdisc]
    ingress: Mapping[int, Qdisc]
    filters: Mapping[str, tuple[SeenFilter, ...]]
    programs: Mapping[str, tuple[Program, ...]] = field(default_factory=dict)
    names: Mapping[int, str] = field(init=False, repr=False, compare=False)
    sinks: Mapping[str, tuple[Device, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = {each.index: each.name for each in self.devices.values()}
        sinks: dict[str, tuple[Device, ...]] = {}
        for each in self.devices.values():
            for vif in marked_for(each, SINK_MARK) or ():
                sinks[vif] = (*sinks.get(vif, ()), each)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "sinks", sinks)

    def root(self, name: str) -> Qdisc | None:
        """The root qdisc that a program has given a device, if any."""
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


def marked_for(device: Device, mark: str) -> tuple[str, ...] | None:
    """The vifs that an IFB of ours is for, whose alias begins with ``mark``; None for any other."""
    if device.kind != "ifb" or not device.alias.startswith(mark):
        return None
    return tuple(device.alias.removeprefix(mark).split(","))


def observe(netlink: Netlink, vifs: Iterable[str] | None = None) -> Seen:
    """What the kernel has now; filters and programs of ``vifs`` only (None: of every device).

    The thread has to be in the network namespace of the socket: bpf(2) looks there. Raises
    KernelRefused or NotPermitted.
    """
    devices = {each.name: each for each in _devices(netlink)}
    return _seen(netlink, devices, devices if vifs is None else vifs, None)


def observe_only(
    netlink: Netlink, vifs: Collection[str], others: Collection[str], numbers: Collection[int] = ()
) -> Seen:
    """As `observe`, but of no other devices than ``vifs``, ``others``, those of ``numbers``, and
    where filters of the vifs send to: with 500 vifs on the host a look at one takes no longer.
    """
    requests = [link(name=name, mask=RTEXT_FILTER_SKIP_STATS) for name in {*vifs, *others}]
    requests += [link(number, mask=RTEXT_FILTER_SKIP_STATS) for number in set(numbers)]
    devices = dict(_found(netlink, requests))
    seen = _seen(netlink, devices, vifs, {each.index for each in devices.values()})
    sent_to = {
        at for each in seen.filters.values() for one in each for at in (one.target, one.sink)
    }
    unknown = sent_to - seen.names.keys() - {0, None}
    if not unknown:
        return seen
    devices |= _found(netlink, [link(at or 0, mask=RTEXT_FILTER_SKIP_STATS) for at in unknown])
    return replace(seen, devices=devices)


def _found(netlink: Netlink, requests: Iterable[bytes]) -> Iterator[tuple[str, Device]]:
    """The devices that ``requests`` (bodies) ask for and that are there, by name."""
    for each in requests:
        body = netlink.find(message(RTM_GETLINK, 0, each))
        if body is not None:
            device = decode_device(body)
            yield device.name, device


def _seen(
    netlink: Netlink,
    devices: Mapping[str, Device],
    vifs: Iterable[str],
    only: Collection[int] | None,
) -> Seen:
    """``devices`` with what they have; ``only``: qdiscs of those numbers, None for all."""
    tops: dict[int, Qdisc] = {}
    ingress: dict[int, Qdisc] = {}
    for _, body in netlink.dump(_EVERY_QDISC):
        if only is not None and TCMSG.unpack_from(body)[1] not in only:
            continue
        index, parent, qdisc = decode_qdisc(body)
        if parent == TC_H_ROOT:
            tops[index] = qdisc
        elif parent == TC_H_INGRESS:
            ingress[index] = qdisc
    asked = [devices[name] for name in vifs if name in devices]
    filters = {each.name: _filters(netlink, each.index) for each in asked if each.index in ingress}
    programs = {each.name: found for each in asked if (found := tuple(_programs(each)))}
    return Seen(devices, tops, ingress, filters, programs)


def roots(netlink: Netlink) -> dict[int, Qdisc]:
    """The root qdiscs of all devices now, by device number."""
    every = (decode_qdisc(body) for _, body in netlink.dump(_EVERY_QDISC))
    return {index: qdisc for index, parent, qdisc in every if parent == TC_H_ROOT}


def root_qdisc(netlink: Netlink, index: int) -> Qdisc | None:
    """The root qdisc of device ``index`` now."""
    request = message(RTM_GETQDISC, NLM_F_DUMP, traffic_control(index, parent=TC_H_ROOT))
    for _, body in netlink.dump(request):
        where, parent, qdisc = decode_qdisc(body)
        if (where, parent) == (index, TC_H_ROOT):
            return qdisc
    return None


def device_at(netlink: Netlink, index: int) -> Device:
    """The device ``index`` now. Raises KernelRefused where it is gone."""
    return decode_device(netlink.get(message(RTM_GETLINK, 0, link(index)))[0][1])


def devices_with(netlink: Netlink, kind: str) -> tuple[str, ...]:
    """The devices that have a qdisc of ``kind``, anywhere below them: their names, sorted."""
    names = {each.index: each.name for each in _devices(netlink)}
    every = (decode_qdisc(body) for _, body in netlink.dump(_EVERY_QDISC))
    return tuple(sorted({names[at] for at, _, each in every if each.kind == kind and at in names}))


def in_flight(netlink: Netlink, index: int) -> int:
    """Frames that have left the plug of the IFB ``index``, and that it has not passed on yet."""
    for _, body in netlink.get(message(RTM_GETLINK, 0, link(index))):
        return codec.in_flight(LINK.decode(body, IFINFOMSG.size)["counters"])
    return 0


def _devices(netlink: Netlink) -> Iterable[Device]:
    request = message(RTM_GETLINK, NLM_F_DUMP, link(mask=RTEXT_FILTER_SKIP_STATS))
    for _, body in netlink.dump(request):
        yield decode_device(body)


def _programs(device: Device) -> Iterable[Program]:
    """Its programs in the order in which the kernel asks them."""
    hooks = [("XDP", device.xdp), ("tcx", tcx_programs(device.index) or ())]
    for hook, numbers in hooks:
        for number in numbers:
            yield Program(hook, number, program_name(number))


def _filters(netlink: Netlink, index: int) -> tuple[SeenFilter, ...]:
    where = traffic_control(index, parent=TC_H_MIN_INGRESS)
    request = message(RTM_GETTFILTER, NLM_F_DUMP, where)
    found = (decode_filter(body) for _, body in netlink.dump(request))
    return tuple(each for each in found if each is not None)


def decode_device(body: bytes) -> Device:
    """The device that the body of an RTM_NEWLINK tells of."""
    _, _, index, flags, _ = IFINFOMSG.unpack_from(body)
    found = LINK.decode(body, IFINFOMSG.size)
    xdp = found.get("xdp", {})
    return Device(
        index=index,
        name=found.get("name", ""),
        kind=found.get("info", {}).get("kind", ""),
        alias=found.get("alias", ""),
        up=bool(flags & IFF_UP),
        xdp=tuple(sorted({xdp[each] for each in XDP_PROGRAMS if each in xdp})),
        queue=found.get("queue", 0),
        master=found.get("master", 0),
    )


def decode_qdisc(body: bytes) -> tuple[int, int, Qdisc]:
    """What the body of an RTM_NEWQDISC says: the device's number, the parent, the qdisc."""
    _, index, handle, parent, _ = TCMSG.unpack_from(body)
    found = QDISC.decode(body, TCMSG.size)
    counted = _counters(found.get("stats", {}))
    return index, parent, Qdisc(found.get("kind", ""), handle, counted, found.get("block", 0))


def _counters(found: Mapping[str, Any]) -> Counters:
    """The counters in the fields of a `codec.STATS`."""
    count, packets = found.get("basic", (0, 0))
    qlen, backlog, drops, _, overlimits = found.get("queue", (0, 0, 0, 0, 0))
    (packets,) = found.get("packets", (packets,))
    return Counters(packets, count, qlen, backlog, drops, overlimits)


def decode_filter(body: bytes) -> SeenFilter | None:
    """The filter in the body of an RTM_NEWTFILTER; None for what is shown beside filters."""
    _, _, handle, _, info = TCMSG.unpack_from(body)
    found = attributes(body[TCMSG.size :])
    kind = _text(found.get(TCA_KIND, b""))
    pref, protocol = info >> 16, htons(info & 0xFFFF)
    unknown = SeenFilter(kind, pref, protocol)
    if TCA_OPTIONS not in found:
        # Each preference begins with an entry that has nothing but its kind.
        return None if handle == 0 and kind in KINDS else unknown
    options = attributes(found[TCA_OPTIONS])
    if kind not in KINDS or any(found.get(_TCA_CHAIN, b"")):
        return unknown
    classifier = KINDS[kind]
    if classifier.is_table(options):
        return None
    match = classifier.decode(options, protocol)
    action = _actions(options.get(classifier.action, b""))
    if match is None or action is None:
        return SeenFilter(kind, pref, protocol, cookie=action.cookie if action else b"")
    classid = UINT.unpack(options.get(classifier.classid, bytes(4)))[0]
    if action.redirects and not classid:
        verdict = Verdict.HOLD
    elif not action.redirects and classid == BYPASS_CLASSID:
        verdict = Verdict.BYPASS
    else:
        return unknown
    return SeenFilter(
        kind,
        pref,
        protocol,
        match,
        verdict,
        action.target,
        action.cookie,
        action.sink,
        action.counters,
        action.uncopied,
    )


@dataclass(frozen=True, slots=True)
class _Actions:
    """The actions of a filter, if they are what ours are: none, or a redirection, which a mirroring
    may come before.
    """

    redirects: bool = False
    target: int = 0
    cookie: bytes = b""
    sink: int | None = None
    counters: Counters = field(default_factory=Counters)
    uncopied: int = 0


def _actions(data: bytes) -> _Actions | None:
    """The actions in the attributes of a list; None for what no filter of ours does."""
    listed = sorted(attributes(data).items())
    if not listed:
        return _Actions()
    *mirrored, redirected = (_mirred(each) for _, each in listed)
    if redirected is None or redirected.does != (TC_ACT_STOLEN, TCA_EGRESS_REDIR):
        return None
    found = _Actions(True, redirected.target, redirected.cookie, None, redirected.counters)
    match mirrored:
        case []:
            return found
        case [_Mirred((after, what), target, b"", counted)]:
            if (after, what) == (TC_ACT_PIPE, TCA_EGRESS_MIRROR):
                return replace(found, sink=target, uncopied=counted.overlimits)
    return None


@dataclass(frozen=True, slots=True)
class _Mirred:
    """One action: what ``does`` mirred (what comes after it, and what it is), and to whom."""

    does: tuple[int, int]
    target: int
    cookie: bytes
    counters: Counters


def _mirred(data: bytes) -> _Mirred | None:
    """The redirection in the attributes of an action; None for an action of another kind."""
    found = ACTION.decode(data)
    options = MIRRED.decode(found.get("options", b"")) if found.get("kind") == "mirred" else {}
    if "parameters" not in options:
        return None
    _, _, after, _, _, what, target = options["parameters"]
    counted = _counters(found.get("stats", {}))
    return _Mirred((after, what), target, found.get("cookie", b""), counted)


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode(errors="replace")
