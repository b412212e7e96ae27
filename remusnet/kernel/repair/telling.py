"""What a watcher tells of what it has seen and done: each thing once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from remusnet.kernel.state.receipt import Receipt
from remusnet.plan.plan import Plan
from remusnet.results.driving import Activity, Driver
from remusnet.results.protection import Difference
from remusnet.results.watching import Happening, Occasion

_MOST_LINES = 8
_MOST_ALARMS = 1000


class Teller:
    """Calls ``tell`` with what is new."""

    def __init__(self, tell: Callable[[Happening], None]) -> None:
        self._tell = tell
        self._gone: dict[str, frozenset[str]] = {}
        self._activities: dict[str, dict[int | None, Activity]] = {}
        self._alarms: dict[tuple[str, str], None] = {}

    def say(self, occasion: Occasion, text: str) -> None:
        """Something that is about no protection."""
        self._tell(Happening(occasion, text))

    def present(self, receipt: Receipt, there: Sequence[str]) -> None:
        """Which vifs of a protection are there now."""
        gone = frozenset(receipt.vifs).difference(there)
        for vif in sorted(gone - self._gone.get(receipt.buffer, frozenset())):
            text = f"{vif} is gone; it is protected again when it comes back"
            self._tell(Happening(Occasion.GONE, text, receipt.buffer, (vif,)))
        self._gone[receipt.buffer] = gone

    def forget(self, there: Collection[str]) -> None:
        """All but the buffer devices that are still ``there``."""
        for name in self._gone.keys() - there:
            del self._gone[name]

    def mended(
        self,
        receipt: Receipt,
        found: Sequence[Difference],
        *,
        took_ns: int | None,
        is_open: bool,
        is_new: bool,
        notes: Iterable[str],
    ) -> None:
        """A repair that is done; ``is_open``: frames have left meanwhile."""
        vifs = ", ".join(receipt.vifs)
        open_ns = took_ns if is_open else 0
        if is_new:
            what = f"{vifs}: protected again"
        else:
            more = f" and {len(found) - 1} more" if found[1:] else ""
            what = f"{vifs}: repaired ({found[0].device}: {found[0].what} {found[0].current}{more})"
        text = f"{what}; {_open(open_ns, took_ns, is_open=is_open)}"
        text = "; ".join((text, *notes))
        lines = tuple(map(str, found[:_MOST_LINES]))
        occasion = Occasion.PROTECTED if is_new else Occasion.REPAIRED
        self._tell(Happening(occasion, text, receipt.buffer, receipt.vifs, took_ns, open_ns, lines))

    def protected(self, plan: Plan, took_ns: int | None, notes: Iterable[str]) -> None:
        """A vif that was wished for has appeared, and is protected."""
        text = f"{', '.join(plan.vifs)}: protected; {_open(took_ns, took_ns, is_open=True)}"
        text = "; ".join((text, *notes))
        buffer = plan.protections[0].buffer
        self._tell(Happening(Occasion.PROTECTED, text, buffer, plan.vifs, took_ns, took_ns))

    def alarm(
        self, buffer: str, vifs: Sequence[str], text: str, found: Iterable[Difference] = ()
    ) -> None:
        """What a person has to know; the same one once, until it is over."""
        if (buffer, text) in self._alarms:
            return
        if len(self._alarms) > _MOST_ALARMS:
            self._alarms.clear()
        self._alarms[buffer, text] = None
        lines = tuple(map(str, tuple(found)[:_MOST_LINES]))
        self._tell(Happening(Occasion.ALARM, text, buffer, tuple(vifs), None, None, lines))

    def calm(self, receipt: Receipt) -> None:
        """The alarms of a protection are over."""
        for key in [key for key in self._alarms if key[0] == receipt.buffer]:
            del self._alarms[key]
        text = f"{', '.join(receipt.vifs)}: as applied again"
        self._tell(Happening(Occasion.CALM, text, receipt.buffer, receipt.vifs))

    def drivers(self, found: Mapping[str, Sequence[Driver]]) -> None:
        """Takes the drivers of each plug, and tells of those that are new or gone."""
        for buffer, drivers in found.items():
            before = self._activities.get(buffer, {})
            now = {each.process: each.activity for each in drivers}
            for each in drivers:
                if before.get(each.process) is not each.activity and (
                    before or each.activity is not Activity.GONE
                ):
                    text = f"{buffer}: {each} {_DOES[each.activity]}{_pace(each)}"
                    self._tell(Happening(Occasion.DRIVER, text, buffer))
            self._activities[buffer] = now
        for buffer in [name for name in self._activities if name not in found]:
            del self._activities[buffer]


_DOES = {
    Activity.DRIVES: "drives the plug",
    Activity.SILENT: "has told the plug nothing for too long",
    Activity.STOPPED: "is stopped, and drives the plug no more",
    Activity.GONE: "has closed its socket, and drives the plug no more",
}


def _pace(driver: Driver) -> str:
    if driver.period_ns is None:
        return ""
    return f" (a checkpoint each {driver.period_ns / 1e6:.0f} ms)"


def _open(open_ns: int | None, took_ns: int | None, *, is_open: bool) -> str:
    if not is_open:
        after = "" if took_ns is None else f" after {took_ns / 1e6:.1f} ms"
        return f"nothing left unheld{after}"
    if open_ns is None:
        return "it stood open, nobody knows for how long"
    return f"it stood open for {open_ns / 1e6:.1f} ms"
