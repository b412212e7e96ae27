"""What the last driver of a plug has made of it: the kernel has no way to tell (it has no dump).

A small file in the run directory, for the next process. It is believed only for the same boot, the
same device and the same qdisc. A driver takes it away while it drives, and writes it as it ends:
who is killed leaves none, and the state is unknown. Whoever drives the plug without remusnet makes
it wrong, and nobody can tell.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from remusnet.errors import InvalidInput, NotPermitted, quoted
from remusnet.kernel.state import Seen
from remusnet.plan.names import check_device_name

_FORMAT = 1
_LARGEST = 4096
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class PlugState(StrEnum):
    """What a driver has made of the plug."""

    UNKNOWN = "unknown"
    """Nobody has said: an epoch may be open, and another may wait for its release."""
    OPEN = "open"
    """Everything passes."""
    BUFFERING = "buffering"
    """An epoch is open, and none waits for its release."""
    WAITING = "waiting"
    """An epoch is open, and the one before waits for its release."""


@dataclass(frozen=True, slots=True)
class PlugId:
    """Which plug it is: of this boot, on the device ``index``, the qdisc ``handle``."""

    boot: str
    index: int
    handle: int


@dataclass(frozen=True, slots=True)
class PlugRecord:
    """``buffers`` and ``releases``: how many have been sent. ``limit``: bytes, None if never set.

    ``stranded``: a BUFFER was forced while an epoch waited, so frames stay behind every release
    until a release of all. ``came``: how many frames the plug had taken by then, None if nobody
    knows; where it is fewer later, something has purged the plug.
    """

    state: PlugState = PlugState.UNKNOWN
    limit: int | None = None
    buffers: int = 0
    releases: int = 0
    stranded: bool = False
    came: int | None = None


def plug_id(index: int, handle: int) -> PlugId:
    """The identity of a plug of this boot."""
    try:
        boot = _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        boot = ""
    return PlugId(boot, index, handle)


def read_record(folder: Path, device: str, of: PlugId) -> PlugRecord:
    """The record of the plug ``of`` on ``device``; an empty one where none can be believed."""
    try:
        with _path(folder, device).open("rb") as file:
            data = json.loads(file.read(_LARGEST))
        if data.pop("format") != _FORMAT or data.pop("plug") != asdict(of):
            return PlugRecord()
        return PlugRecord(**(data | {"state": PlugState(data["state"])}))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        # Missing or damaged: then nobody has said anything.
        return PlugRecord()


def record_of(folder: Path, device: str, seen: Seen) -> PlugRecord:
    """The record of the plug at the root of ``device`` as it was ``seen``."""
    there, root = seen.devices.get(device), seen.root(device)
    if there is None or root is None:
        return PlugRecord()
    return read_record(folder, device, plug_id(there.index, root.handle))


def write_record(folder: Path, device: str, of: PlugId, record: PlugRecord) -> None:
    """Writes ``record`` in one step: who reads finds the old file, or none, or the new one.

    Raises NotPermitted, or InvalidInput where the folder can't be written.
    """
    path = _path(folder, device)
    content = {"format": _FORMAT, "plug": asdict(of), **asdict(record)}
    new = path.with_suffix(f".{os.getpid()}")
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        new.write_text(json.dumps(content) + "\n", encoding="utf-8")
        new.rename(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink()
        if isinstance(error, PermissionError):
            raise NotPermitted(f"may not write {quoted(str(folder))}: run it as root") from error
        raise InvalidInput(f"{quoted(str(folder))}: {error.strerror}") from error


def forget_record(folder: Path, device: str) -> None:
    """Deletes the record, if there is one: nobody has said anything any more."""
    with contextlib.suppress(OSError):
        _path(folder, device).unlink()


def _path(folder: Path, device: str) -> Path:
    # Not .json: those are receipts.
    return folder / f"plug-{check_device_name(device)}.state"
