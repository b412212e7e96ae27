"""Keeps the protections of this host true: listens, looks where something happens, and mends.

An event only says where to look; a look at the kernel says what is wrong. So events that are lost,
or that were before us, cost time but no truth.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

from remusnet.errors import KernelRefused, RemusnetError
from remusnet.kernel.change.apply import apply_each
from remusnet.kernel.change.steps import Order
from remusnet.kernel.journal import FAILED, because, record
from remusnet.kernel.repair.damage import damages, open_vifs, present
from remusnet.kernel.repair.known import Known
from remusnet.kernel.repair.limits import Limits
from remusnet.kernel.repair.mend import ACTION, is_done, mend, prepare
from remusnet.kernel.repair.patience import Patience
from remusnet.kernel.repair.telling import Teller
from remusnet.kernel.run_dir import AtWork, driver_of, watch_lock
from remusnet.kernel.state.observe import Seen, observe, observe_only, roots
from remusnet.kernel.state.receipt import Receipt, Receipts
from remusnet.kernel.watch.events import Event, Events, LinkEvent, Lost, QdiscEvent
from remusnet.kernel.watch.ports import open_ports
from remusnet.kernel.watch.record import FIRST_NS, SPACING_NS, Watched, publish, withdraw
from remusnet.kernel.watch.senders import Senders
from remusnet.kernel.wire.netlink import Netlink, require_rights
from remusnet.plan.devices import BUFFER_MARK, SINK_MARK
from remusnet.results.driving import Activity, Driver
from remusnet.results.protection import Difference
from remusnet.results.watching import Happening, Occasion

EVERYTHING_NS = 10_000_000_000
"""Between two looks at everything, whatever has happened: receipts change without an event."""
_BUSY_NS = 20_000_000
"""Until the next try where another remusnet is at work."""
_TRY_AGAIN_NS = 500_000_000
_FOR_EVER_S = 3600.0

Wishes = Callable[[Seen, Mapping[str, Receipt]], Sequence[Order]]
"""What else is to be protected, of what is there: orders, whether they are done already or not."""


class Keeper:
    """Watches from the beginning of the context to its end; one at a time for a run directory.

    ``tell`` is called with each `Happening`. ``foreign``: whether a buffer device belongs to
    another program, as xl's do: then it is repaired, but no vif that is made anew is protected.
    Raises Conflict where another watcher is at work, NotPermitted, InvalidInput.
    """

    def __init__(
        self,
        run_dir: Path,
        tell: Callable[[Happening], None],
        *,
        wishes: Wishes | None = None,
        foreign: Callable[[str], bool] = lambda _buffer: False,
    ) -> None:
        self._run_dir = run_dir
        self._teller = Teller(tell)
        self._wishes = wishes or (lambda _seen, _receipts: ())
        self._fulfils = wishes is not None
        self._foreign = foreign
        self._known = Known()
        self._patience: dict[str, Patience] = {}
        # Buffer devices to look at, and since when something may be wrong; 0: unknown.
        self._due: dict[str, int] = {}
        self._not_before: dict[str, int] = {}
        self._appeared: dict[str, int] = {}
        # Of the first link event since the last look at everything: a look may see more than that.
        self._linked_ns = 0
        self._everything_ns = 0
        self._published_ns = 0
        self._publish_ns: int | None = 0  # None: there is no news
        self._since_ns = time.monotonic_ns()
        self._open = ExitStack()

    def __enter__(self) -> Self:
        require_rights("watch and repair network devices")
        with ExitStack() as stack:
            stack.enter_context(watch_lock(self._run_dir))
            self._events = stack.enter_context(Events())
            self._netlink = stack.enter_context(Netlink())
            self._mine = {self._netlink.port}
            self._senders = Senders(roots(self._netlink), self._mine)
            self._receipts = Receipts(self._run_dir)
            self._limits = Limits(self._netlink, self._run_dir)
            self._open = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._open, suppress(OSError):
            withdraw(self._run_dir)

    def interrupt(self) -> None:
        """Ends a `step` at once; a signal handler may call it."""
        self._events.interrupt()

    def look_again(self) -> None:
        """Has the next `step` look at everything."""
        self._everything_ns = 0

    def start(self) -> int:
        """Looks at everything, and mends it. How many protections there are."""
        self._look(time.monotonic_ns(), everything=True)
        if not self._everything_ns:
            self._look(time.monotonic_ns(), everything=True)
        self._publish()
        count = len(self._known.receipts)
        self._teller.say(
            Occasion.WATCHING, f"watching {count} protection{'' if count == 1 else 's'}"
        )
        return count

    def step(self, longest_s: float = _FOR_EVER_S) -> None:
        """Waits for the next event, or what is due, and does what it asks for."""
        now = time.monotonic_ns()
        for event in self._events.wait(min(longest_s, (self._next_ns(now) - now) / 1e9)):
            self._take(event)
        now = time.monotonic_ns()
        everything = now >= self._everything_ns
        try:
            if any(self._may_ns(buffer) <= now for buffer in self._due):
                self._look(
                    now, everything=False
                )  # first: it is quick, however many others there are
            if everything:
                self._look(now, everything=True)
            if (due := self._limits.due_ns()) is not None and due <= now:
                self._limits.tell(now)
        except RemusnetError as error:
            # Another program changes devices faster than they can be read, or the folder is gone.
            self._teller.alarm("", (), f"could not look: {error}")
            self._everything_ns = now + _TRY_AGAIN_NS
        if self._publish_ns is not None and now >= self._publish_ns:
            self._publish()

    def indexes(self) -> tuple[int, ...]:
        """The numbers of the buffer devices."""
        return tuple(each.index for each in self._known.receipts.values())

    def drivers(self) -> dict[str, tuple[Driver, ...]]:
        """The drivers of each plug, by its buffer device."""
        now = time.monotonic_ns()
        there = open_ports()
        return {
            buffer: self._senders.drivers(receipt.index, now, there=there)
            for buffer, receipt in self._known.receipts.items()
            if receipt.index
        }

    # Which protections an event is about

    def _take(self, event: Event) -> None:
        if isinstance(event, Lost):
            self._senders.restart(roots(self._netlink))
            self._everything_ns = 0
            self._teller.say(
                Occasion.LOST, "events came faster than they were read; looking at everything"
            )
            return
        if self._senders.take(event) and isinstance(event, QdiscEvent):
            usual = self._senders.is_usual(event)
            self._publish_by(self._published_ns + (SPACING_NS if usual else FIRST_NS))
            # It may have been another limit.
            buffers = self._known.by_index.get(event.index, ())
            self._limits.suspect(buffers, event.at_ns, usual=usual)
            return
        if isinstance(event, LinkEvent):
            self._link(event)
            return
        if event.port not in self._mine:
            for buffer in self._known.by_index.get(event.index, ()):
                self._suspect(buffer, event.at_ns)

    def _suspect(self, buffer: str, at_ns: int) -> None:
        self._due[buffer] = self._due.get(buffer) or at_ns

    def _link(self, event: LinkEvent) -> None:
        device = event.device
        by_name = self._known.by_name.get(device.name, set())
        for buffer in by_name.union(self._known.by_index.get(device.index, ())):
            self._suspect(buffer, event.at_ns)
        if event.gone:
            self._appeared.pop(device.name, None)
        elif device.name not in self._appeared:
            self._appeared[device.name] = event.at_ns
            self._linked_ns = self._linked_ns or event.at_ns
            if self._fulfils or device.alias.startswith((BUFFER_MARK, SINK_MARK)):
                self._everything_ns = 0  # an apply makes buffer devices

    # When to look

    def _may_ns(self, buffer: str) -> int:
        return max(self._not_before.get(buffer, 0), self._patience_of(buffer).due_ns())

    def _next_ns(self, now: int) -> int:
        due = [self._everything_ns, *map(self._may_ns, self._due)]
        due += [each for each in (self._limits.due_ns(), self._publish_ns) if each is not None]
        return max(now, min(due))

    def _patience_of(self, buffer: str) -> Patience:
        return self._patience.setdefault(buffer, Patience())

    def _look(self, now: int, *, everything: bool) -> None:
        try:
            receipts, damaged = self._receipts.read()
        except RemusnetError as error:
            self._teller.alarm("", (), f"the receipts can't be read: {error}")
            self._everything_ns = now + EVERYTHING_NS
            return
        for text in damaged:
            self._teller.alarm("", (), text)
        chosen = receipts if everything else self._due
        mine = [receipts[name] for name in chosen if name in receipts]
        vifs = [vif for each in mine for vif in each.vifs]
        if everything:
            seen = observe(self._netlink, vifs)
        else:
            others = {name for each in mine for name in (each.buffer, each.sink) if name}
            numbers = {number for each in mine for number in (each.index, *each.indexes) if number}
            seen = observe_only(self._netlink, vifs, others, numbers)
        self._known.note(receipts, seen, everything=everything)
        if everything:
            self._everything_ns = now + EVERYTHING_NS
            self._forget(receipts, seen)
        for receipt in mine:
            if self._may_ns(receipt.buffer) > now:
                continue  # its time comes
            self._check(receipt, seen, self._due.pop(receipt.buffer, 0))
        for name in tuple(self._due):
            if name not in receipts:
                del self._due[name]
        if everything and self._fulfils:
            self._fulfil(receipts, seen)
        if everything:
            self._linked_ns = 0
        for receipt in {(each.policy, each.classifier): each for each in mine}.values():
            with suppress(RemusnetError):  # of another version: the repair will say so
                prepare(receipt)

    def _forget(self, receipts: Mapping[str, Receipt], seen: Seen) -> None:
        """Forgets what is about things that are gone: memory stays as it is, however long we
        watch.
        """
        for table in (self._patience, self._not_before):
            for name in [name for name in table if name not in receipts]:
                del table[name]
        for name in [name for name in self._appeared if name not in seen.devices]:
            del self._appeared[name]
        self._limits.forget(receipts)
        self._teller.forget(receipts)

    # What to do about it

    def _check(self, receipt: Receipt, seen: Seen, since_ns: int) -> None:
        only_old = self._foreign(receipt.buffer)
        there = present(receipt, seen, old_only=only_old)
        self._teller.present(receipt, there)
        found = damages(receipt, seen, old_only=only_old)
        if not there or not found:
            patience = self._patience_of(receipt.buffer)
            if patience.alarmed and (not there or patience.is_calm(time.monotonic_ns())):
                self._teller.calm(receipt)
                patience.forgive()
            return
        self._mend(receipt, seen, there, found, since_ns)

    def _mend(
        self,
        receipt: Receipt,
        seen: Seen,
        there: Sequence[str],
        found: Sequence[Difference],
        since_ns: int,
    ) -> None:
        patience = self._patience_of(receipt.buffer)
        stood_open = tuple(open_vifs(receipt, seen))
        absent = [vif for vif in receipt.vifs if vif not in there]
        try:
            done = mend(
                receipt,
                absent,
                seen,
                self._netlink,
                self._run_dir,
                driven=self._driven(receipt),
            )
        except AtWork:
            self._due[receipt.buffer] = since_ns
            self._not_before[receipt.buffer] = time.monotonic_ns() + _BUSY_NS
            return
        except RemusnetError as error:
            self._failed(receipt, error, found, since_ns)
            return
        now = time.monotonic_ns()
        self._teller.mended(
            receipt,
            found,
            took_ns=now - since_ns if since_ns else None,
            is_open=bool(stood_open),
            is_new=any(each.what == "vif" for each in found),
            notes=done.notes,
        )
        if patience.mended(now, f"{found[0].device} {found[0].what}"):
            wait_s = patience.wait_ns() / 1e9
            self._alarm(
                receipt,
                f"{', '.join(receipt.vifs)}: another program undoes what is repaired again and "
                f"again ({found[0]}); the next repair is {wait_s:.3g} s away at least",
            )
        self._suspect(receipt.buffer, 0)  # once more: what happened meanwhile

    def _failed(
        self,
        receipt: Receipt,
        error: RemusnetError,
        found: Sequence[Difference],
        since_ns: int,
    ) -> None:
        again = self._patience_of(receipt.buffer).failed(time.monotonic_ns())
        self._due[receipt.buffer] = since_ns
        if isinstance(error, KernelRefused) and not again:
            return  # another process was at it at the same time: one more try follows
        self._alarm(
            receipt, f"{', '.join(receipt.vifs)} can't be repaired ({found[0]}): {error}", found
        )

    def _alarm(self, receipt: Receipt, text: str, found: Iterable[Difference] = ()) -> None:
        patience = self._patience_of(receipt.buffer)
        if patience.alarmed != text:
            patience.alarmed = text
            record(ACTION, receipt.vifs, result=FAILED, buffers=[receipt.buffer], text=text)
            self._teller.alarm(receipt.buffer, receipt.vifs, text, found)

    def _driven(self, receipt: Receipt) -> tuple[str, ...]:
        """Its buffer device where a process drives that: then its plug is not to be opened."""
        drivers = self._senders.drivers(receipt.index, time.monotonic_ns())
        active = any(each.activity is not Activity.GONE for each in drivers)
        return (receipt.buffer,) if active or driver_of(self._run_dir, receipt.buffer) else ()

    def _fulfil(self, receipts: Mapping[str, Receipt], seen: Seen) -> None:
        """Protects what is wished for and is not protected."""
        orders = [
            order
            for order in self._wishes(seen, receipts)
            if not any(self._foreign(each.buffer) for each in order.plan.protections)
            and not is_done(order, receipts)
        ]
        if not orders:
            return
        with because(ACTION):
            try:
                results, _ = apply_each(
                    orders, run_dir=self._run_dir, netlink=self._netlink, longest_wait=0
                )
            except AtWork:
                self._everything_ns = time.monotonic_ns() + _BUSY_NS
                return
        now = time.monotonic_ns()
        for order, result in zip(orders, results, strict=True):
            vifs = order.plan.vifs
            buffer = order.plan.protections[0].buffer
            if isinstance(result, RemusnetError):
                self._teller.alarm(buffer, vifs, f"{', '.join(vifs)}: {result}")
            elif result.operations:
                since = max(self._appeared.get(vif, 0) for vif in vifs) or self._linked_ns
                self._everything_ns = 0
                self._teller.protected(order.plan, now - since if since else None, result.notes)

    # What others may know

    def _publish_by(self, at_ns: int) -> None:
        self._publish_ns = at_ns if self._publish_ns is None else min(self._publish_ns, at_ns)

    def _publish(self) -> None:
        self._published_ns = time.monotonic_ns()
        self._publish_ns = None
        found = self.drivers()
        self._teller.drivers(found)
        if any(each.activity is not Activity.GONE for each in chain(*found.values())):
            self._publish_by(self._published_ns + SPACING_NS)  # silence makes no event
        with suppress(OSError):
            publish(self._run_dir, Watched(os.getpid(), self._since_ns, found))
