"""Keeping the protections of this host true: ``remusnet watch``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from remusnet import defaults
from remusnet.errors import RemusnetError
from remusnet.host.desired import DesiredState, candidates, load_desired, orders
from remusnet.host.netbuf.places import owned_buffers, owner_name
from remusnet.host.trial import settle, trials
from remusnet.kernel.change.steps import Order
from remusnet.kernel.own_folder import OwnFolder
from remusnet.kernel.repair.keeper import Keeper
from remusnet.kernel.state.observe import Seen
from remusnet.kernel.state.receipt import Receipt
from remusnet.results.watching import Happening, Occasion, WatchCounts

_TRIALS_S = 0.5
"""Between two looks for trials whose guards were killed."""
_FOR_EVER_S = 3600.0


class Watch:
    """Watches from the beginning of the context to its end, and mends what differs.

    ``tell`` is called with each `Happening`. ``file``: the host's file, whose ``[[vif]]`` tables
    say what is to be protected beside what has a receipt. ``connect``: where libvirt is asked, if
    an entry names a domain. ``alive`` is called each ``alive_s`` seconds, where that is given.
    Raises Conflict where another watcher is at work, NotPermitted, InvalidInput, and for the file
    MistakenFile.
    """

    def __init__(
        self,
        run_dir: Path,
        tell: Callable[[Happening], None],
        file: str | None = None,
        *,
        connect: str = defaults.LIBVIRT,
        alive: Callable[[], None] = lambda: None,
        alive_s: float | None = None,
    ) -> None:
        self.counts = WatchCounts()
        self._run_dir = run_dir
        self._told = tell
        self._file = file
        self._connect = connect
        self._alive, self._alive_s = alive, alive_s
        self._desired = load_desired(file) if file is not None else None
        self._unresolved = ""
        self._trials_problem = ""
        self._trials_at = 0.0
        self._stopped = self._stale = False
        self._keeper = Keeper(
            run_dir,
            self._tell,
            wishes=self._wishes if file is not None else None,
            foreign=self._is_xls,
        )

    def __enter__(self) -> Watch:
        self._keeper.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._keeper.__exit__(None, None, None)

    def start(self) -> int:
        """Looks at everything, and mends it. How many protections there are."""
        self._settle()
        return self._keeper.start()

    def run(self) -> None:
        """Goes on until `stop`. Not in the main thread: a change that is begun is done then, and
        not taken back, whatever signal comes.
        """
        alive_at = 0.0
        while not self._stopped:
            if self._stale:
                self._stale = False
                self._load()
            now = time.monotonic()
            longest_s = _FOR_EVER_S
            if self._alive_s is not None:
                if now >= alive_at:
                    self._alive()
                    alive_at = now + self._alive_s
                longest_s = alive_at - now
            if now >= self._trials_at:
                self._settle()
            self._keeper.step(min(longest_s, _TRIALS_S))

    def stop(self) -> None:
        """Ends `run`; a signal handler may call it."""
        self._stopped = True
        self._keeper.interrupt()

    def reload(self) -> None:
        """The file has changed; a signal handler may call it."""
        self._stale = True
        self._keeper.interrupt()

    def _tell(self, happening: Happening) -> None:
        self.counts.note(happening)
        self._told(happening)

    def _settle(self) -> None:
        """A trial whose guard was killed goes back."""
        self._trials_at = time.monotonic() + _TRIALS_S
        try:
            for each in settle(self._run_dir):
                self._tell(Happening(Occasion.TRIAL, f"{each} (its guard was killed)"))
                self._keeper.look_again()
        except RemusnetError as error:
            if self._trials_problem != str(error):
                self._trials_problem = str(error)
                self._tell(Happening(Occasion.ALARM, f"a trial can't go back: {error}"))

    def _load(self) -> None:
        if self._file is None:
            return
        try:
            self._desired = load_desired(self._file)
        except RemusnetError as error:
            text = f"the file was not read again, what it said before holds: {error}"
            self._tell(Happening(Occasion.ALARM, text))
            return
        self._tell(Happening(Occasion.RELOADED, f"{self._file} was read again"))
        self._keeper.look_again()

    def _wishes(self, seen: Seen, receipts: Mapping[str, Receipt]) -> Sequence[Order]:
        """What the file asks for, without what belongs to xl and what is on trial."""
        assert self._desired is not None
        there = candidates(seen, self._domains(self._desired))
        owned = owned_buffers(str(self._run_dir))
        xls = _vifs(each for each in receipts.values() if each.buffer in owned)
        tried = {vif for trial, _ in trials(self._run_dir) for vif in trial.vifs}
        left_alone = xls | tried
        return [
            each
            for each in orders(self._desired.wishes(there))
            if left_alone.isdisjoint(each.plan.vifs)
        ]

    def _domains(self, desired: DesiredState) -> Mapping[str, tuple[str, ...]]:
        if not desired.domains:
            return {}
        from remusnet.host.libvirt import running_vifs

        try:
            found = running_vifs(desired.domains, self._connect)
        except RemusnetError as error:
            if self._unresolved != str(error):
                self._unresolved = str(error)
                text = f"vifs that the file names by their domains can't be found: {error}"
                self._tell(Happening(Occasion.ALARM, text))
            return {}
        self._unresolved = ""
        return found

    def _is_xls(self, buffer: str) -> bool:
        """Whether the netbuf script has made the buffer device: then it is xl's."""
        try:
            with OwnFolder(str(self._run_dir)) as folder:
                return folder.has(owner_name(buffer))
        except OSError:
            return False


def _vifs(receipts: Iterable[Receipt]) -> set[str]:
    return {vif for each in receipts for vif in each.vifs}
