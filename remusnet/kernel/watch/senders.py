"""The drivers of each plug: all processes that tell it something, by the events of qdiscs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from remusnet.kernel.watch import ports
from remusnet.kernel.watch.events import Event, LinkEvent, QdiscEvent
from remusnet.kernel.watch.orders import Told, infer, period
from remusnet.kernel.wire.codec import TC_H_ROOT
from remusnet.kernel.wire.objects import Qdisc
from remusnet.results.driving import Activity, Driver, PlugOrder

_MOST_ORDERS = 32
"""Of one sender, that are kept: what it did long ago says little of what it does."""
_MOST_SENDERS = 16
_LEAST_ORDERS = 3
"""Of a sender whose socket is closed: fewer are a command's, not a driver's."""
_PATIENCE_PERIODS, _PATIENCE_NS = 2, 1_000_000_000
"""A driver is silent after two periods and what a busy machine may be late by."""
_UNKNOWN_PERIOD_NS = 60_000_000_000
"""A driver of which one order was seen has an epoch of at most that."""


@dataclass(slots=True)
class _Sender:
    port: int
    process: int | None
    command: str
    told: deque[Told] = field(default_factory=lambda: deque(maxlen=_MOST_ORDERS))
    orders: int = 0


@dataclass(slots=True)
class _Plug:
    handle: int
    senders: dict[int, _Sender] = field(default_factory=dict)


class Senders:
    """Takes events, and names drivers. ``mine``: ports whose orders are the watcher's own."""

    def __init__(
        self,
        roots: Mapping[int, Qdisc],
        mine: Collection[int] = (),
        open_ports: Callable[[], Mapping[int, int]] = ports.open_ports,
    ) -> None:
        self._mine = mine
        self._open_ports = open_ports
        self._plugs: dict[int, _Plug] = {}
        self.restart(roots)

    def restart(self, roots: Mapping[int, Qdisc]) -> None:
        """Begins anew after lost events; keeps plugs still at the ``roots`` (by device number)."""
        self._plugs = {
            index: known
            if (known := self._plugs.get(index)) and known.handle == root.handle
            else _Plug(root.handle)
            for index, root in roots.items()
            if root.kind == "plug"
        }

    def take(self, event: Event) -> bool:
        """Whether the event was another process's order to a plug that was there."""
        if isinstance(event, LinkEvent):
            if event.gone:
                self._plugs.pop(event.device.index, None)
            return False
        if not isinstance(event, QdiscEvent) or event.parent != TC_H_ROOT:
            return False
        known = self._plugs.get(event.index)
        if event.gone or event.qdisc.kind != "plug":
            if known is not None and (not event.gone or event.qdisc.handle == known.handle):
                del self._plugs[event.index]
            return False
        if known is None or known.handle != event.qdisc.handle:
            self._plugs[event.index] = _Plug(event.qdisc.handle)
            return False  # it was made, or put in the place of another
        if event.port in self._mine:
            return False
        self._note(known, event)
        return True

    def drivers(
        self,
        index: int,
        now_ns: int,
        passed_now: int | None = None,
        there: Mapping[int, int] | None = None,
    ) -> tuple[Driver, ...]:
        """The drivers of the plug of the device ``index``, or its last ones: the latest first.

        ``passed_now``: frames that it has let go by ``now_ns``, where the caller has looked;
        ``there``: the sockets that are open, where the caller has looked.
        """
        known = self._plugs.get(index)
        if known is None or not known.senders:
            return ()
        if there is None:
            there = self._open_ports()
        found = [
            _driver(each, now_ns, passed_now, is_open=each.port in there)
            for each in known.senders.values()
            if each.port in there or each.orders >= _LEAST_ORDERS
        ]
        found += _passers_by(known, there, now_ns)
        # Of a sole driver only: what others release would look like its own.
        alone = sum(each.activity is not Activity.GONE for each in found) <= 1
        return tuple(
            sorted(
                (each if alone else _without_orders(each) for each in found),
                key=lambda each: each.silent_ns,
            )
        )

    def is_usual(self, event: QdiscEvent) -> bool:
        """Whether the sender of this order has given the plug others before."""
        known = self._plugs.get(event.index)
        sender = known.senders.get(event.port) if known else None
        return sender is not None and sender.orders >= _LEAST_ORDERS

    def heard(self, index: int, now_ns: int) -> tuple[Driver, ...]:
        """All senders that have told the plug of the device ``index`` anything, even once."""
        known = self._plugs.get(index)
        senders = known.senders.values() if known else ()
        return tuple(_driver(each, now_ns, None, is_open=True) for each in senders)

    def _note(self, known: _Plug, event: QdiscEvent) -> None:
        sender = known.senders.pop(event.port, None)
        if sender is None:
            process = ports.process_of(event.port, self._open_ports().get(event.port))
            command = "" if process is None else ports.command_of(process)
            sender = _Sender(event.port, process, command)
        known.senders[event.port] = sender  # as the latest
        counters = event.qdisc.counters
        sender.told.append(Told(event.at_ns, counters.packets, counters.qlen))
        sender.orders += 1
        while len(known.senders) > _MOST_SENDERS:
            del known.senders[next(iter(known.senders))]


def _driver(sender: _Sender, now_ns: int, passed_now: int | None, *, is_open: bool) -> Driver:
    told = tuple(sender.told)
    orders = infer(told, passed_now)
    takes = period(told)
    silent = max(0, now_ns - told[-1].at_ns)
    released = [each.at_ns for each, order in zip(told, orders, strict=True) if order is _RELEASE]
    return Driver(
        process=sender.process,
        command=sender.command,
        activity=_activity(sender, silent, takes, is_open=is_open),
        orders=sender.orders,
        period_ns=takes,
        silent_ns=silent,
        last=orders[-1],
        released_ns=max(0, now_ns - released[-1]) if released else None,
    )


_RELEASE = PlugOrder.RELEASE


def _activity(sender: _Sender, silent_ns: int, takes: int | None, *, is_open: bool) -> Activity:
    return activity(sender.process, silent_ns, takes) if is_open else Activity.GONE


def activity(process: int | None, silent_ns: int, period_ns: int | None) -> Activity:
    """What a driver does whose socket is open; ``silent_ns``: since its last order."""
    if process is not None and ports.is_stopped(process):
        return Activity.STOPPED
    longest = _UNKNOWN_PERIOD_NS
    if period_ns is not None:
        longest = _PATIENCE_PERIODS * period_ns + _PATIENCE_NS
    return Activity.SILENT if silent_ns > longest else Activity.DRIVES


def _passers_by(known: _Plug, there: Mapping[int, int], now_ns: int) -> Iterator[Driver]:
    """A driver that is a new process for each order, as a script that calls tc is."""
    told = sorted(
        (
            each
            for sender in known.senders.values()
            if sender.port not in there and sender.orders < _LEAST_ORDERS
            for each in sender.told
        ),
        key=lambda each: each.at_ns,
    )
    if len(told) < _LEAST_ORDERS + 1:
        return
    takes = period(told)
    silent = max(0, now_ns - told[-1].at_ns)
    assert takes is not None
    gone = silent > _PATIENCE_PERIODS * takes + _PATIENCE_NS
    activity = Activity.GONE if gone else Activity.DRIVES
    yield Driver(None, "", activity, len(told), takes, silent, infer(told)[-1])


def _without_orders(driver: Driver) -> Driver:
    return Driver(
        driver.process,
        driver.command,
        driver.activity,
        driver.orders,
        driver.period_ns,
        driver.silent_ns,
    )
