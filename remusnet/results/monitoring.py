"""A protection as a monitor sees it: what it is, how much it holds, how it differs. A value."""

from __future__ import annotations

from dataclasses import dataclass

from remusnet.results.protection import Difference, Protected, Status

WARN_FROM = 0.8
"""Share of a plug's limit from which on the next epoch may not fit."""

_GONE = ("gone", "renamed to ")


@dataclass(frozen=True, slots=True)
class Reading:
    """One protection, read at one time.

    ``status``: None for a vif that was asked for and has no protection. ``differences``: from the
    receipt.
    """

    protected: Protected
    status: Status | None
    differences: tuple[Difference, ...]

    @property
    def is_open(self) -> bool:
        """Whether frames that should be held may leave at once; what can't be told counts."""
        return any(map(self._opens, self.differences))

    def _opens(self, each: Difference) -> bool:
        if each.device in self.protected.vifs:
            # Nothing comes from a vif that is not there.
            return not (each.what == "vif" and each.current.startswith(_GONE))
        return each.device == self.protected.buffer and each.what == "root qdisc"

    @property
    def limit(self) -> int | None:
        """Bytes of the plug, by the receipt; None without one."""
        return None if self.protected.terms is None else self.protected.terms.limit

    @property
    def released(self) -> int | None:
        """Packets that the plug has let go since it was made; None where the kernel can't tell."""
        if self.status is None or self.status.held is None:
            return None
        return max(0, self.status.held - self.status.waiting)
