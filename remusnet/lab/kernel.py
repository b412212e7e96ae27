"""Where the UML kernel comes from: Debian's packages, installed or only unpacked.

Unpacking needs no root: ``apt-get download`` and ``dpkg-deb -x`` into a cache, once. The kernel
with virtual time is compiled: see `remusnet.lab.build`.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from remusnet.lab import xstate
from remusnet.lab.errors import LabUnavailable
from remusnet.lab.guard import SYSTEM_PATH, Guard

INSTALLED = Path("/")  # where a package manager puts it
_WANTED = "the kernel lab needs Debian's packages user-mode-linux and kmod"


@dataclass(frozen=True, slots=True)
class Kernel:
    """A UML kernel's parts on the host's disk.

    ``linux`` is the executable, ``modules`` the directory that holds one directory a kernel
    version, ``modprobe`` a program that acts as modprobe when it's called by that name, ``preload``
    what the loader has to load before ``linux``. ``virtual``: its time passes while its processes
    are idle, and stands still otherwise.
    """

    linux: Path
    modules: Path
    modprobe: Path
    preload: tuple[Path, ...] = ()
    virtual: bool = False


def default_cache() -> Path:
    """Where unpacked packages are kept: the user's cache, or for root one that others can read."""
    if os.geteuid() == 0:
        return Path("/var/cache/remusnet/uml")
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "remusnet" / "uml"


def find_kernel(cache: Path | None = None) -> Kernel:
    """The installed UML kernel, or one unpacked into ``cache`` (the first time only).

    Raises ``LabUnavailable`` if a package is neither there nor to be had, or if the kernel can't
    run on this processor.
    """
    cache = default_cache() if cache is None else cache
    top = INSTALLED
    if not ((top / "usr/bin/linux.uml").exists() and (top / "usr/lib/uml/modules").is_dir()):
        top = _unpacked("user-mode-linux", cache)
    return kernel_of(top / "usr/bin/linux.uml", top / "usr/lib/uml/modules", cache)


def kernel_of(linux: Path, modules: Path, cache: Path, *, virtual: bool = False) -> Kernel:
    """The kernel ``linux`` with all that it takes to run it here; raises as `find_kernel` does."""
    modprobe = shutil.which("modprobe", path=SYSTEM_PATH)
    return Kernel(
        linux=linux,
        modules=modules,
        modprobe=Path(modprobe) if modprobe else _unpacked_kmod(cache),
        preload=xstate.preload(modules, lambda: built_library(xstate.SHIM, cache)),
        virtual=virtual,
    )


def built_library(source: Path, cache: Path | None = None, **macros: int) -> Path:
    """A library to preload, compiled with the ``macros`` (the first time only) and kept.

    Raises ``LabUnavailable`` if that can't be done.
    """
    cache = default_cache() if cache is None else cache
    with writable(cache, source.name):
        return xstate.compiled(source, cache, **{"LIMIT": xstate.LIMIT, **macros})


def _unpacked_kmod(cache: Path) -> Path:
    top = _unpacked("kmod", cache)
    # Debian moved it from /bin to /usr/bin after release 12.
    return next(path for path in (top / "bin/kmod", top / "usr/bin/kmod") if path.exists())


def _unpacked(package: str, cache: Path) -> Path:
    """The directory that ``package`` is unpacked in; complete if it exists at all."""
    target = cache / package
    if target.is_dir():
        return target
    with writable(cache, package), locked(cache / "lock"):
        if not target.is_dir():
            with Guard(cache, "unpack-") as guard:
                unpack(package, guard.directory / "tree", _WANTED)
                (guard.directory / "tree").rename(target)
    return target


@contextmanager
def writable(cache: Path, thing: str) -> Iterator[None]:
    """A cache to put ``thing`` into; what its file system refuses is said of both."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            # The kernel will run as another account, whatever root's umask is.
            for directory in (cache, cache.parent):
                directory.chmod(0o755)
        yield
    except OSError as error:
        raise LabUnavailable(f"can't keep {thing} in {cache}: {error}") from error


def unpack(package: str, target: Path, wanted: str) -> None:
    """Download ``package`` and unpack it into ``target``; ``wanted`` begins the error's sentence.

    Raises ``LabUnavailable`` where apt and dpkg can't.
    """
    # Root's download would otherwise drop to an account that can't write here, and warn.
    root = ["-o", "APT::Sandbox::User=root"]
    _tool(["apt-get", "-q", *root, "download", package], target.parent, wanted)
    (archive,) = target.parent.glob("*.deb")
    _tool(["dpkg-deb", "-x", str(archive), target.name], target.parent, wanted)
    archive.unlink()


def _tool(argv: list[str], directory: Path, wanted: str) -> None:
    wanted = f"{wanted}; {argv[0]}"
    mend = "install them, or run 'apt-get update' with a network"
    try:
        subprocess.run(
            argv,
            cwd=directory,
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            umask=0o022,
        )
    except FileNotFoundError:
        raise LabUnavailable(f"{wanted} isn't on this machine: {mend}") from None
    except subprocess.CalledProcessError as error:
        said = (error.stderr.strip() or "no reason given").splitlines()[-1]
        raise LabUnavailable(f"{wanted} said {said!r}: {mend}") from None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """No other process has the lock ``path`` meanwhile."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
