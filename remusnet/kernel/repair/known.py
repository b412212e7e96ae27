"""Where each protection is: to find out which one an event is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from remusnet.kernel.state.observe import Seen
from remusnet.kernel.state.receipt import Receipt


@dataclass(slots=True)
class Known:
    """The receipts of the last look, and the buffer devices by the names and numbers of all devices
    that they are about.
    """

    receipts: dict[str, Receipt] = field(default_factory=dict)
    by_name: dict[str, set[str]] = field(default_factory=dict)
    by_index: dict[int, set[str]] = field(default_factory=dict)
    _indexes: dict[str, int] = field(default_factory=dict)

    def note(self, receipts: Mapping[str, Receipt], seen: Seen, *, everything: bool) -> None:
        """What a look has found; ``everything``: at all devices, so that others are not there."""
        if everything:
            self._indexes.clear()
        self._indexes |= {each.name: each.index for each in seen.devices.values()}
        self.receipts = dict(receipts)
        self.by_name, self.by_index = {}, {}
        for each in receipts.values():
            names = (each.buffer, each.sink, *each.vifs)
            for name in filter(None, names):
                self.by_name.setdefault(name, set()).add(each.buffer)
                if name in self._indexes:
                    self._at(self._indexes[name]).add(each.buffer)
            for index in filter(None, (each.index, *each.indexes)):
                self._at(index).add(each.buffer)

    def _at(self, index: int) -> set[str]:
        return self.by_index.setdefault(index, set())
