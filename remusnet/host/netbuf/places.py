"""Where the script's files are; the environment can name others. Light."""

from __future__ import annotations

from remusnet.defaults import PLACES
from remusnet.kernel.own_folder import OwnFolder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from remusnet.host.netbuf.contract import Call

READY = "netbuf.ready"
OWNER_SUFFIX = ".xen"
_LARGEST_OWNER = 4096


class Places:
    """``config``: the file of domains; ``run_dir``: receipts, locks and who owns a buffer device;
    ``state_dir``: the plans made beforehand; ``lock_dir``: the locks of Xen's scripts; ``policy``:
    the policy that $REMUSNET_POLICY names for this run of xl, empty for none; ``decouple``:
    likewise, ``yes`` or ``no`` of $REMUSNET_DECOUPLE.
    """

    __slots__ = ("config", "decouple", "lock_dir", "policy", "run_dir", "state_dir")

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.config, self.run_dir, self.state_dir, self.lock_dir = (
            environment.get(name) or default for name, default in PLACES.items()
        )
        self.policy = environment.get("REMUSNET_POLICY", "")
        self.decouple = environment.get("REMUSNET_DECOUPLE", "")

    @property
    def ready(self) -> str:
        """The file of prepared messages."""
        return f"{self.state_dir}/{READY}"


def places_below(root: str, environment: Mapping[str, str]) -> Places:
    """The places of a system that is mounted at ``root``; what the environment names, it is.

    Links are followed as that system follows them: never out of ``root``. Raises InvalidInput.
    """
    root = root.rstrip("/")
    if not root:
        return Places(environment)
    from pathlib import Path

    from remusnet.host.rooted import inside  # here: the script needs neither

    below = {name: str(inside(Path(root), path)) for name, path in PLACES.items()}
    return Places(below | dict(environment))


def owner_name(buffer: str) -> str:
    """The file in the run directory that says which call of libxl a buffer device was made for."""
    return f"{buffer}{OWNER_SUFFIX}"


def read_owner(folder: OwnFolder, buffer: str) -> tuple[str, str]:
    """The XENBUS_PATH that ``buffer`` was made for, and how; empty where no file says it."""
    try:
        text = folder.read(owner_name(buffer), _LARGEST_OWNER).decode()
    except (OSError, ValueError):
        return "", ""
    path, _, how = text.partition("\n")
    return path.strip(), how.strip()


def owned_buffers(run_dir: str) -> frozenset[str]:
    """The buffer devices that were made for a call of libxl, there still or not."""
    try:
        with OwnFolder(run_dir) as folder:
            names = folder.names()
    except OSError:
        return frozenset()
    return frozenset(
        each.removesuffix(OWNER_SUFFIX) for each in names if each.endswith(OWNER_SUFFIX)
    )


def write_owner(folder: OwnFolder, buffer: str, call: Call, how: str = "") -> None:
    """Says that ``buffer`` is for this call, and ``how`` it was made. Raises OSError."""
    folder.write(owner_name(buffer), f"{call.path}\n{how}\n".encode())


def owner_of(places: Places, buffer: str) -> str:
    """The XENBUS_PATH that ``buffer`` was made for; empty where no file of root's says it."""
    try:
        with OwnFolder(places.run_dir) as folder:
            return read_owner(folder, buffer)[0]
    except OSError:
        return ""


def forget_owner(places: Places, buffer: str) -> None:
    """Deletes the file that names the owner; where that fails the file stays, out of date."""
    try:
        with OwnFolder(places.run_dir) as folder:
            folder.delete(owner_name(buffer))
    except OSError:
        return
