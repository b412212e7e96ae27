"""A watcher in Dom0, in a thread of the test's own or as the command, and what it tells."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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


class Told:
    """What a watcher of the ``site`` has told so far."""

    def __init__(self, site: Site) -> None:
        self.told: list[Happening] = []
        self._site = site

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


class Watching(Told):
    """Watches the site within the context."""

    def __init__(self, site: Site, *, foreign: Callable[[str], bool] = lambda _: False) -> None:
        super().__init__(site)
        self.keeper: Keeper
        self._foreign = foreign
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


class WatchCommand(Told):
    """``remusnet watch WORDS`` as systemd would start it; it watches when the context begins, and
    is ended with it, by SIGTERM. ``notify``: the socket where systemd would listen.
    """

    def __init__(self, site: Site, *words: str, notify: str = "") -> None:
        super().__init__(site)
        env = {**os.environ, **({"NOTIFY_SOCKET": notify} if notify else {})}
        argv = [sys.executable, "-m", "remusnet", "watch", "--json", *words]
        with site.bed.dom0.entered():
            self.process = subprocess.Popen(
                [*argv, "--run-dir", str(site.run_dir)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=env,
            )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Self:
        self.wait_for(1, Occasion.WATCHING, timeout=60)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.terminate()
        try:
            code, said = self.ended()
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        assert kind is not None or (code, said) == (0, "")

    def kill(self) -> None:
        """As the kernel does that has no memory left."""
        self.process.kill()
        self.ended()

    def ended(self, timeout: float = 60) -> tuple[int, str]:
        """Its exit code when it has ended, and what it has said on standard error."""
        code = self.process.wait(timeout)
        self._reader.join()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        with self.process.stdout, self.process.stderr:
            return code, self.process.stderr.read()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            found = json.loads(line)
            self.told.append(
                Happening(
                    Occasion(found["occasion"]),
                    found["text"],
                    found["buffer"] or "",
                    tuple(found["vifs"]),
                    found["took_ns"],
                    found["open_ns"],
                    tuple(found["differences"]),
                )
            )
