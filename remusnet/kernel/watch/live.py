"""The protections of this host again and again, with the drivers of their plugs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from remusnet.kernel.state.observe import roots
from remusnet.kernel.state.receipt import Receipts
from remusnet.kernel.state.status import status
from remusnet.kernel.watch.events import Events, Lost
from remusnet.kernel.watch.record import watched
from remusnet.kernel.watch.senders import Senders
from remusnet.kernel.wire.netlink import Netlink
from remusnet.results.driving import Activity, Driver
from remusnet.results.live import Live


class LiveStatus:
    """Listens within the context, to name the drivers of the plugs of ``vifs`` (none: of all).

    Raises MissingDependency without netlink.
    """

    def __init__(self, vifs: Sequence[str], run_dir: Path) -> None:
        self._vifs, self._run_dir = vifs, run_dir
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._events = stack.enter_context(Events())
            self._netlink = stack.enter_context(Netlink())
            self._senders = Senders(roots(self._netlink))
            self._open = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def listen(self, seconds: float) -> None:
        """Listens for so long, or until `interrupt`."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            events = self._events.wait(left)
            if not events:
                return
            for event in events:
                if isinstance(event, Lost):
                    self._senders.restart(roots(self._netlink))
                self._senders.take(event)

    def interrupt(self) -> None:
        """Ends `listen` at once; a signal handler may call it."""
        self._events.interrupt()

    def look(self) -> tuple[tuple[Live, ...], tuple[str, ...]]:
        """The protections now, and notes. Raises as `status` does."""
        found, notes = status(self._vifs, run_dir=self._run_dir, netlink=self._netlink)
        receipts, _ = Receipts(self._run_dir).read()
        now = time.monotonic_ns()
        known = watched(self._run_dir)
        tops = roots(self._netlink)
        lives = []
        for each in found:
            receipt = receipts.get(each.protected.buffer)
            index = receipt.index if receipt is not None else 0
            passed = tops[index].counters.packets if index in tops else None
            drivers: Sequence[Driver] = self._senders.drivers(index, now, passed)
            if not drivers and known is not None:
                drivers = known.drivers.get(each.protected.buffer, ())
            driver = min(drivers, key=_by_activity, default=None)
            lives.append(Live(each, driver, each.driver))
        return tuple(lives), notes


def _by_activity(driver: Driver) -> tuple[bool, int]:
    return driver.activity is Activity.GONE, driver.silent_ns
