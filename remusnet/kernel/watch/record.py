"""What the running ``remusnet watch`` has seen of drivers, for commands that have seen nothing.

A small file in the run directory, believed only while the watcher has its lock and is not stopped.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from remusnet.errors import RemusnetError
from remusnet.kernel.own_folder import WATCH_LOCK, WATCH_RECORD, OwnFolder
from remusnet.kernel.run_dir import locked_by
from remusnet.kernel.watch.ports import is_stopped
from remusnet.kernel.watch.senders import activity
from remusnet.plan.rows import Json
from remusnet.results.driving import Activity, Driver, PlugOrder

_FORMAT = 1
_LARGEST = 4 << 20
SPACING_NS = 1_000_000_000
"""The record is that much behind what was seen, at most."""
FIRST_NS = 50_000_000
"""And that much behind the first orders of a new sender."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What the watcher ``process`` knows: it listens since ``since_ns`` (time.monotonic_ns).

    ``drivers``: of each plug, by the name of its device.
    """

    process: int
    since_ns: int
    drivers: Mapping[str, tuple[Driver, ...]]

    def to_json(self) -> Json:
        """The content of its file."""
        return {
            "format": _FORMAT,
            "process": self.process,
            "since_ns": self.since_ns,
            "at_ns": time.monotonic_ns(),
            "plugs": [
                {"device": device, "drivers": [each.to_json() for each in drivers]}
                for device, drivers in self.drivers.items()
            ],
        }


def publish(folder: Path, watched: Watched) -> None:
    """Puts ``watched`` in the place of what was said before. Raises OSError."""
    with OwnFolder(str(folder), make=True) as opened:
        opened.write(WATCH_RECORD, f"{json.dumps(watched.to_json())}\n".encode())


def withdraw(folder: Path) -> None:
    """Takes it away. Raises OSError."""
    with OwnFolder(str(folder)) as opened:
        opened.delete(WATCH_RECORD)


def watched(folder: Path) -> Watched | None:
    """What the watcher knows; None where none runs, or what it says can't be believed."""
    try:
        if not locked_by(folder, WATCH_LOCK):
            return None
        with OwnFolder(str(folder)) as opened:
            data = json.loads(opened.read(WATCH_RECORD, _LARGEST))
        if data["format"] != _FORMAT or is_stopped(data["process"]):
            return None
        age_ns = time.monotonic_ns() - data["at_ns"]
        return Watched(
            data["process"],
            data["since_ns"],
            {
                plug["device"]: tuple(_aged(_driver(each), age_ns) for each in plug["drivers"])
                for plug in data["plugs"]
            },
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RemusnetError):
        return None


def _driver(data: Mapping[str, Any]) -> Driver:
    last = data["last_order"]
    return Driver(
        process=data["process"],
        command=data["command"] or "",
        activity=Activity(data["activity"]),
        orders=data["orders"],
        period_ns=data["period_ns"],
        silent_ns=data["silent_ns"],
        last=None if last is None else PlugOrder(last),
        released_ns=data["released_ns"],
    )


def _aged(driver: Driver, age_ns: int) -> Driver:
    """The same now: an order since then would have been written down within `SPACING_NS`."""
    if driver.activity is Activity.GONE:
        return driver
    if age_ns > 2 * SPACING_NS:
        released = None if driver.released_ns is None else driver.released_ns + age_ns
        driver = replace(driver, silent_ns=driver.silent_ns + age_ns, released_ns=released)
    now = activity(driver.process, driver.silent_ns, driver.period_ns)
    return replace(driver, activity=now)
