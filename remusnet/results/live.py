"""Protections as they are this second: values to show again and again."""

from __future__ import annotations

from dataclasses import dataclass

from remusnet.plan.rows import Json
from remusnet.results.driving import Activity, Driver
from remusnet.results.protection import Status


@dataclass(frozen=True, slots=True)
class Live:
    """A protection, and who drives its plug: the one that has told it something last.

    ``driver``: None where none was heard. ``locked``: the process that has the driver's lock, as in
    " by process 4711", empty for none.
    """

    status: Status
    driver: Driver | None
    locked: str = ""

    @property
    def epochs_a_second(self) -> float | None:
        """None where that is unknown; 0 where no process drives the plug now."""
        if self.driver is None:
            return None
        if self.driver.activity is not Activity.DRIVES:
            return 0.0
        return None if self.driver.period_ns is None else 1e9 / self.driver.period_ns

    @property
    def commit_age_ns(self) -> int | None:
        """Since the last release; None where it can't be told which order that was."""
        return None if self.driver is None else self.driver.released_ns

    def to_json(self) -> Json:
        """As `Status`, with the driver."""
        return {
            **self.status.to_json(),
            "driver": None if self.driver is None else self.driver.to_json(),
            "epochs_per_second": self.epochs_a_second,
            "commit_age_ns": self.commit_age_ns,
        }
