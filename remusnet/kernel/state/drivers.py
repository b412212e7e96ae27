"""What a plug's last driver has made of it. Who drives now: `remusnet.kernel.watch`.

The kernel has no way to tell what state a plug is in (it has no dump), so a driver leaves a record,
a small file in the run directory, for the next process. That process believes it only for the same
boot, the same device and the same qdisc. A driver takes it away while it drives, and writes it as
it ends: a driver that is killed leaves none, and the state is unknown. A program that drives the
plug without remusnet makes the record wrong, and remusnet can't tell.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from remusnet.kernel.own_folder import OwnFolder, record_file
from remusnet.kernel.run_dir import Problems, driver_lock_name, driver_of, folder_error, last_driver
from remusnet.kernel.state.observe import Seen
from remusnet.plan.devices import check_device_name

_FORMAT = 1
_LARGEST = 4096
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class PlugState(StrEnum):
    """What a driver has made of the plug."""

    UNKNOWN = "unknown"
    """No driver has left a record: an epoch may be open, and another may wait for its release."""
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
    until a release of all. ``came``: how many frames the plug had taken by then, None if the driver
    didn't know; where it is fewer later, something has purged the plug.
    """

    state: PlugState = PlugState.UNKNOWN
    limit: int | None = None
    buffers: int = 0
    releases: int = 0
    stranded: bool = False
    came: int | None = None


def plug_id(index: int, handle: int) -> PlugId:
    """The identity of a plug of this boot."""
    return PlugId(boot_id(), index, handle)


def boot_id() -> str:
    """Which boot this is; empty where the kernel doesn't say."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def read_record(folder: Path, device: str, of: PlugId) -> PlugRecord:
    """The record of the plug ``of`` on ``device``; an empty one where none can be believed."""
    try:
        with OwnFolder(str(folder)) as opened:
            data = json.loads(opened.read(_name(device), _LARGEST))
        if data.pop("format") != _FORMAT or data.pop("plug") != asdict(of):
            return PlugRecord()
        return PlugRecord(**(data | {"state": PlugState(data["state"])}))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        # Missing or damaged, or others may have written it: then there is no record to believe.
        return PlugRecord()


def record_of(folder: Path, device: str, seen: Seen) -> PlugRecord:
    """The record of the plug at the root of ``device`` as it was ``seen``."""
    there, root = seen.devices.get(device), seen.root(device)
    if there is None or root is None:
        return PlugRecord()
    return read_record(folder, device, plug_id(there.index, root.handle))


def write_record(
    folder: Path, device: str, of: PlugId, record: PlugRecord, problems: Problems | None = None
) -> None:
    """Writes ``record`` in one step: a reader finds the old file, or none, or the new one.

    ``problems``: a failure is noted there, and the order to the plug does not fail for it: there is
    no record then, so the plug's state is unknown. Without ``problems`` it raises
    NotPermitted, Conflict for a folder that others can change, or InvalidInput.
    """
    content = {"format": _FORMAT, "plug": asdict(of), **asdict(record)}
    try:
        with OwnFolder(str(folder), make=True) as opened:
            opened.write(_name(device), f"{json.dumps(content)}\n".encode())
    except OSError as error:
        if problems is None:
            raise folder_error(folder, error) from error
        problems.note(f"could not write the record of {device}'s plug", folder, error)
        forget_record(folder, device, problems)


def forget_record(folder: Path, device: str, problems: Problems | None = None) -> None:
    """Deletes the record, if there is one: from now on the plug's state is unknown.

    Where it can't be deleted it stays, which is noted among ``problems``.
    """
    try:
        with OwnFolder(str(folder)) as opened:
            opened.delete(_name(device))
    except FileNotFoundError:
        return
    except OSError as error:
        if problems is not None:
            what = f"the record of {device}'s plug stays, and is out of date"
            problems.note(what, folder, error)


def _name(device: str) -> str:
    return record_file(check_device_name(device))


def stuck(buffer: str, seen: Seen, run_dir: Path) -> tuple[str, ...]:
    """A sentence where a plug holds frames that its last driver has left: it was killed."""
    root = seen.root(buffer)
    if root is None or root.kind != "plug" or not root.counters.qlen:
        return ()
    last = last_driver(run_dir, buffer)
    # A driver that comes to its end leaves a record.
    if not last or driver_of(run_dir, buffer) or record_of(run_dir, buffer, seen) != PlugRecord():
        return ()
    text = (
        f"{buffer} holds {root.counters.qlen} packets, and process {last} has left it without a "
        "word (killed?): unless something else drives it they stay until "
        f'"remusnet plug {buffer} release-all"'
    )
    return (text,)


def forget_driver(folder: Path, buffer: str, problems: Problems | None = None) -> None:
    """Deletes the lock file and the plug's record of a buffer device that is no more.

    What can't be deleted is among ``problems``, or raises as ``change_lock`` does.
    """
    try:
        with OwnFolder(str(folder)) as opened:
            opened.delete(driver_lock_name(buffer))
    except FileNotFoundError:
        return
    except OSError as error:
        if problems is None:
            raise folder_error(folder, error) from error
        problems.note("could not delete the driver's lock file", folder, error)
    forget_record(folder, buffer, problems)
