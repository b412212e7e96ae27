"""Which actor is crashed, and when: below the limit of its strategy, or beyond it on purpose."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from random import Random

from remusnet.errors import RemusnetError
from remusnet.sip.control import ask

MOST = 4  # faults in WINDOW_S on one actor: one more, and a further one would escalate
WINDOW_S = 30.0
_DRAWS = 5
BEYOND = 6  # at once: the sixth in WINDOW_S escalates
# Each kind, in an order in which no parent meets its own limit by its children's escalations.
STANDING = (
    "transport/sender",
    "transport/coder",
    "transport/transactions",
    "transport/receiver",
    "registrar",
    "location",
    "proxy",
)
PASSING = ("transaction", "session")


class Faults:
    """Draws a kind of actor, then one of that kind, and crashes it."""

    def __init__(self, control: Path, seed: int) -> None:
        self._control = control
        self._random = Random(seed)
        self._times: dict[str, list[float]] = {}
        self.by_kind: Counter[str] = Counter()

    def strike(self) -> None:
        """One fault. Raises RemusnetError where the server does not answer any more."""
        for _ in range(_DRAWS):
            if self._struck():
                return

    def _struck(self) -> bool:
        """Whether what was drawn was still there to be hit: a transaction may have ended."""
        status = ask(self._control, {"do": "status"})
        now = time.monotonic()
        kinds: dict[str, list[str]] = {}
        for actor in status["actors"]:
            recent = [at for at in self._times.get(actor["path"], ()) if at > now - WINDOW_S]
            if len(recent) < MOST:
                kinds.setdefault(actor["kind"], []).append(actor["path"])
        kind = self._random.choice(sorted(kinds))
        path = self._random.choice(kinds[kind])
        try:
            ask(self._control, {"do": "crash", "actor": path})
        except RemusnetError as error:
            if "no actor" in str(error):
                return False
            raise
        self._times.setdefault(path, []).append(now)
        self.by_kind[kind] += 1
        return True


class BeyondLimit:
    """Crashes one actor of each kind six times at once: each must escalate, once."""

    def __init__(self, control: Path, seed: int) -> None:
        self._control = control
        self._random = Random(seed)
        self._left: list[str] = [*STANDING, *PASSING]
        self.by_kind: Counter[str] = Counter()
        self.struck: list[str] = []

    def strike(self) -> None:
        """The next one. Raises RemusnetError where the server does not answer any more."""
        if not self._left:
            return
        name = self._left[0]
        path = name if name in STANDING else self._youngest(name)
        if path is None:
            return
        try:
            ask(self._control, {"do": "crash", "actor": path, "times": BEYOND})
        except RemusnetError as error:
            if "no actor" in str(error):
                return  # it has ended meanwhile: another one next time
            raise
        del self._left[0]
        self.struck.append(path)
        self.by_kind[path.rpartition("/")[2] if name in STANDING else name] += BEYOND

    def _youngest(self, kind: str) -> str | None:
        """Of that kind: it has most of its life before it."""
        actors = ask(self._control, {"do": "status"})["actors"]
        found = [each for each in actors if each["kind"] == kind]
        return min(found, key=lambda each: each["age_s"])["path"] if found else None
