"""How often the same protection is mended, and when to wait: another program may fight back."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

_MOST_ALIKE, _ALIKE_WITHIN_NS = 5, 10_000_000_000
"""So many repairs in a row of the same damage, in so short a time, are a fight."""
_MOST_REPAIRS, _WITHIN_NS = 20, 5_000_000_000
"""And so many of whatever damage."""
_ONCE_MORE_NS = 5_000_000
"""Until the next try after a first failure: another process was at it at the same time."""
_FIRST_WAIT_NS, _LONGEST_WAIT_NS = 200_000_000, 30_000_000_000
CALM_NS = 30_000_000_000
"""After so long without a damage a fight is over."""


@dataclass(slots=True)
class Patience:
    """When to mend one protection again. ``alarmed``: whether an alarm is not over yet."""

    alarmed: str = ""
    _repairs: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=_MOST_REPAIRS))
    _failures: int = 0
    _wait_ns: int = 0
    _not_before_ns: int = 0
    _last_ns: int = 0

    def due_ns(self) -> int:
        """When it may be mended again (time.monotonic_ns)."""
        return self._not_before_ns

    def wait_ns(self) -> int:
        """How long the pause is now, 0 for none."""
        return self._wait_ns

    def mended(self, now_ns: int, what: str) -> bool:
        """``what`` was mended; whether that is a fight."""
        self._failures = 0
        self._repairs.append((now_ns, what))
        self._last_ns = now_ns
        if self._is_fight(now_ns) or (self._wait_ns > 0 and now_ns - self._not_before_ns < CALM_NS):
            self._longer(now_ns)
            return True
        self._wait_ns = 0
        return False

    def failed(self, now_ns: int) -> bool:
        """It could not be mended; whether that is so for the second time in a row."""
        self._last_ns = now_ns
        self._failures += 1
        if self._failures == 1 and not self._wait_ns:
            self._not_before_ns = now_ns + _ONCE_MORE_NS
            return False
        self._longer(now_ns)
        return self._failures > 1

    def is_calm(self, now_ns: int) -> bool:
        """Whether there was no damage for long: then everything begins anew."""
        return now_ns - self._last_ns > CALM_NS

    def forgive(self) -> None:
        """Begins anew."""
        self.alarmed = ""
        self._repairs.clear()
        self._failures = self._wait_ns = self._not_before_ns = 0

    def _is_fight(self, now_ns: int) -> bool:
        latest = tuple(self._repairs)[-_MOST_ALIKE:]
        alike = len(latest) == _MOST_ALIKE and len({what for _, what in latest}) == 1
        if alike and now_ns - latest[0][0] < _ALIKE_WITHIN_NS:
            return True
        return len(self._repairs) == _MOST_REPAIRS and now_ns - self._repairs[0][0] < _WITHIN_NS

    def _longer(self, now_ns: int) -> None:
        self._wait_ns = min(_LONGEST_WAIT_NS, max(_FIRST_WAIT_NS, 2 * self._wait_ns))
        self._not_before_ns = now_ns + self._wait_ns
