"""The limits of plugs, told again: which one a plug has can't be read (sch_plug has no dump)."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

from remusnet.errors import RemusnetError
from remusnet.kernel.own_folder import CHANGE_LOCK
from remusnet.kernel.run_dir import locked_by
from remusnet.kernel.state.receipt import Phase, Receipt, Receipts
from remusnet.kernel.wire.codec import plug_message
from remusnet.kernel.wire.messages import PlugAction
from remusnet.kernel.wire.netlink import Netlink

_BUSY_NS = 20_000_000
_AGAIN_NS, _AGAIN_A_PLUG_NS = 100_000_000, 5_000_000
"""Between two times of the same plug, where its driver tells it something all the time; with many
plugs longer, so that they come to 200 a second together.
"""
_SETTLED_NS = 50_000_000
"""A folder that was changed later than that may have been changed once more since."""


class Limits:
    """Tells a plug its limit once more where another program may have told it another.

    By receipts as they are now: an apply that has just told a plug another limit says so there when
    it is done, and while it is at work this tells the plug nothing.
    """

    def __init__(self, netlink: Netlink, run_dir: Path) -> None:
        self._netlink, self._run_dir = netlink, run_dir
        # By buffer device: when it is to be told, and when it was.
        self._due: dict[str, int] = {}
        self._told: dict[str, int] = {}
        self._busy_until = 0
        self._receipts: dict[str, Receipt] = {}
        self._changed_ns = 0

    def suspect(self, buffers: Iterable[str], at_ns: int, *, usual: bool) -> None:
        """The plugs of ``buffers`` were told something at ``at_ns``; ``usual``: by their driver."""
        spacing = max(_AGAIN_NS, _AGAIN_A_PLUG_NS * len(self._told)) if usual else 0
        for buffer in buffers:
            when = max(at_ns, self._told.get(buffer, 0) + spacing)
            self._due[buffer] = min(when, self._due.get(buffer, when))

    def due_ns(self) -> int | None:
        """When there is something to do; None for never."""
        return max(self._busy_until, min(self._due.values())) if self._due else None

    def tell(self, now_ns: int) -> None:
        """Tells those that are due. Raises as `Receipts.read` does."""
        if locked_by(self._run_dir, CHANGE_LOCK):
            self._busy_until = now_ns + _BUSY_NS
            return
        receipts = self._read()
        for buffer in [buffer for buffer, due in self._due.items() if due <= now_ns]:
            del self._due[buffer]
            receipt = receipts.get(buffer)
            if receipt is None or receipt.phase is not Phase.APPLIED or not receipt.handle:
                continue
            self._told[buffer] = now_ns
            request = plug_message(
                receipt.index, PlugAction.LIMIT, receipt.limit, handle=receipt.handle
            )
            with suppress(RemusnetError):  # then it is gone, and an event has said so
                self._netlink.do(request, f"tell {buffer} its limit")

    def forget(self, there: Collection[str]) -> None:
        """All but the buffer devices that are still ``there``."""
        for table in (self._due, self._told):
            for name in table.keys() - there:
                del table[name]

    def _read(self) -> dict[str, Receipt]:
        """The receipts; from the last time where nothing in their folder has changed since."""
        with suppress(OSError):
            changed_ns = os.stat(self._run_dir).st_mtime_ns
            if changed_ns != self._changed_ns:
                began_ns = time.time_ns()
                self._receipts, _ = Receipts(self._run_dir).read()
                settled = began_ns - changed_ns > _SETTLED_NS
                self._changed_ns = changed_ns if settled else 0
        return self._receipts
