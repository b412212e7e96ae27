"""What a run has on this machine, written down before it is made, so that the next start finds it.

A run that ends clears up after itself, killed by what it may be, as long as one of its processes
lives. If all of them are killed at once, the record is left, and its lock, which the kernel has
taken from the dead, is free. The kernel takes the namespaces itself.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from remusnet.defaults import RUN_DIR_VARIABLE
from remusnet.errors import Conflict, RemusnetError
from remusnet.kernel.own_folder import OwnFolder
from remusnet.kernel.run_dir import default_run_dir, folder_error
from remusnet.live.freezer import cgroup_root, kill_cgroup, own_cgroup, remove_cgroup
from remusnet.live.network import HOST_PREFIX, delete_host_end

_FOLDER, _ENDING, _LOCK = "live", ".json", ".lock"
_SUBNETS = "subnets.lock"
_LARGEST = 1 << 16
_LONGEST_WAIT_S = 60.0
MARK = "REMUSNET_RUN"
"""In the environment of a run's program, and so of all that it starts: the run's name."""


@dataclass(frozen=True, slots=True)
class Record:
    """A run: its ``name`` and where its cgroup may be (several places, of which one was taken)."""

    name: str
    cgroups: tuple[str, ...]
    process: int

    @property
    def device(self) -> str:
        """The host's end of its uplink."""
        return HOST_PREFIX + self.name

    @property
    def alias(self) -> str:
        """The mark of that device."""
        return f"remusnet run {self.name}"

    @property
    def group(self) -> str:
        """What its cgroup is called."""
        return f"remusnet-run-{self.name}"


def live_folder() -> Path:
    """Where records are: in the run directory; other users than root have a folder of their own."""
    if os.geteuid() == 0 or os.environ.get(RUN_DIR_VARIABLE):
        return default_run_dir() / _FOLDER
    home = os.environ.get("XDG_RUNTIME_DIR")
    above = Path(home) if home else Path(tempfile.gettempdir())
    return above / (f"remusnet-{os.geteuid()}" if not home else "remusnet") / _FOLDER


class Registration:
    """A run's record with its lock, which is held as long as any process has this object.

    Raises Conflict for a folder that others can change, NotPermitted or InvalidInput.
    """

    def __init__(self) -> None:
        name = os.urandom(4).hex()
        places = dict.fromkeys((own_cgroup(), cgroup_root()))
        groups = tuple(str(each / f"remusnet-run-{name}") for each in places if each is not None)
        self.record = Record(name, groups, os.getpid())
        self._folder = live_folder()
        self._lock: int | None = None
        with _ours(self._folder) as folder:
            self._lock = folder.lock(name + _LOCK, time.monotonic())
            folder.write(name + _ENDING, json.dumps(asdict(self.record)).encode())

    @property
    def own_folder(self) -> Path:
        """A folder for files of this run alone; its user makes it."""
        return self._folder / self.record.name

    @contextmanager
    def choosing_subnet(self) -> Iterator[None]:
        """No other run chooses a subnet meanwhile."""
        with _ours(self._folder) as folder:
            lock = folder.lock(_SUBNETS, time.monotonic() + _LONGEST_WAIT_S)
        if lock is None:
            raise Conflict("another live run has been starting for a minute; try again")
        try:
            yield
        finally:
            os.close(lock)

    def clear(self) -> None:
        """Nothing of the run is left, nor is its record. In the host's network namespace."""
        _clear(self.record, self._folder)

    def clear_within(self) -> None:
        """The same, from the run's own namespace: the device goes with that one."""
        _clear(self.record, self._folder, device=False)

    def forget(self) -> None:
        """Closes the lock's descriptor."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def clear_leftovers() -> list[str]:
    """Clears what killed runs have left; a sentence for each. Raises nothing: it is a service."""
    folder = live_folder()
    try:
        names = [each for each in os.listdir(folder) if each.endswith(_ENDING)]
    except OSError:
        return []
    said = []
    for name in names:
        try:
            if _is_dead(folder, name) is not None:
                said.append(_cleared(folder, name))
        except RemusnetError as error:
            said.append(f"what a killed run has left could not be cleared: {error}")
        except (OSError, ValueError, KeyError, TypeError):
            continue  # no record of ours, or another start was faster
    return [each for each in said if each]


def _is_dead(folder: Path, name: str) -> bool | None:
    """True where all processes of a run have died; None where one has its lock."""
    with _ours(folder) as opened:
        lock = opened.open_lock(name.removesuffix(_ENDING) + _LOCK)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    finally:
        os.close(lock)
    return True


def _cleared(folder: Path, name: str) -> str:
    with _ours(folder) as opened:
        found = json.loads(opened.read(name, _LARGEST))
    record = Record(str(found["name"]), tuple(map(str, found["cgroups"])), int(found["process"]))
    if record.name + _ENDING != name or not record.name.isalnum():
        return ""
    what = _clear(record, folder)
    text = f" ({', '.join(what)})" if what else ""
    return f"cleared up after a live run that was killed, of process {record.process}{text}"


def _clear(record: Record, folder: Path, *, device: bool = True) -> list[str]:
    """All of a run; what of it was still there."""
    found = []
    for path in map(Path, record.cgroups):
        if path.name == record.group and path.is_dir():
            found.append("its cgroup")
            kill_cgroup(path)
            remove_cgroup(path)
    if _kill_marked(record.name):
        found.append("its program")
    if device and os.geteuid() == 0 and delete_host_end(record.device, record.alias):
        found.append("its device")
    with suppress(OSError):
        shutil.rmtree(folder / record.name)
    with suppress(OSError), _ours(folder) as opened:
        opened.delete(record.name + _ENDING)
        opened.delete(record.name + _LOCK)
    return found


def _kill_marked(name: str) -> bool:
    """Ends what a run's program has started: without a cgroup nothing else holds them together.

    Whether there was something. Processes of others, whose environment can't be read, aren't it.
    """
    mark = f"{MARK}={name}".encode()
    killed: set[int] = set()
    while True:
        fresh = {each for each in _processes() if each not in killed and _has(each, mark)}
        if not fresh:
            return bool(killed)
        for each in fresh:
            with suppress(OSError):
                os.kill(each, signal.SIGKILL)
        killed |= fresh


def _processes() -> list[int]:
    return [int(each) for each in os.listdir("/proc") if each.isdecimal()]


def _has(process: int, mark: bytes) -> bool:
    with suppress(OSError):
        return mark in Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    return False


@contextmanager
def _ours(folder: Path) -> Iterator[OwnFolder]:
    try:
        with OwnFolder(str(folder), make=True) as opened:
            yield opened
    except OSError as error:
        raise folder_error(folder, error) from error
