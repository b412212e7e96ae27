"""A watcher in Dom0, in a thread of the test's own, and what it tells."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from remusnet.kernel.repair.keeper import Keeper
from remusnet.results.watching import Happening, Occasion
from tests.kernel.lab.protection import Site
from tests.kernel.lab.wait import wait_until


class Watching:
    """Watches the site within the context."""

    def __init__(self, site: Site, *, foreign: Callable[[str], bool] = lambda _: False) -> None:
        self.told: list[Happening] = []
        self.keeper: Keeper
        self._site, self._foreign = site, foreign
        self._ready = threading.Event()
        self._over = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self.keeper.interrupt()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            with self._site.bed.dom0.entered(), ExitStack() as stack:
                made = Keeper(self._site.run_dir, self.told.append, foreign=self._foreign)
                self.keeper = stack.enter_context(made)
                self.keeper.start()
                self._ready.set()
                while not self._over.is_set():
                    self.keeper.step()
        except BaseException as error:  # noqa: BLE001 - the test's own thread raises it
            self._error = error
        finally:
            self._ready.set()

    def of(self, *occasions: Occasion) -> list[Happening]:
        return [each for each in self.told if each.occasion in occasions]

    def wait_for(self, number: int, *occasions: Occasion, timeout: float = 20) -> list[Happening]:
        """As many happenings, at least."""
        wait_until(lambda: len(self.of(*occasions)) >= number, f"{number} {occasions}", timeout)
        return self.of(*occasions)

    def settle(self, timeout: float = 20) -> None:
        """Until the site is as applied again, and stays so for a moment."""
        wait_until(self._site.agrees, "a protection as applied", timeout)
        time.sleep(0.01)
