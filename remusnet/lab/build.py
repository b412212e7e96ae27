"""The UML kernel with virtual time, compiled once from the distribution's source.

Debian's own UML kernel has no time travel. ``virtual-time.config`` says what this one has. It is
linked dynamically, so that the shim of `remusnet.lab.xstate` can be loaded before it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from remusnet.lab.errors import LabUnavailable
from remusnet.lab.guard import Guard
from remusnet.lab.kernel import Kernel, default_cache, kernel_of, locked, unpack, writable

CONFIG = Path(__file__).resolve().with_name("virtual-time.config")

_PROGRAMS = ("gcc", "make", "flex", "bison", "bc", "tar", "xz")
_MEND = "apt install build-essential flex bison bc xz-utils"
_ROOM = 2 << 30
"""Bytes: the archive, the source (1 GB), and what is compiled of it."""
_FILES = 900
"""Compiled of Linux 6.1, about: for the progress only."""
_TOLD_S = 0.5

Tell = Callable[[str], None]


def virtual_kernel(cache: Path | None = None) -> Kernel:
    """The kernel with virtual time that `build` has made.

    Raises ``LabUnavailable`` if there is none, or as `remusnet.lab.kernel.find_kernel` does.
    """
    cache = default_cache() if cache is None else cache
    made = _target(cache)
    if not (made / "linux").exists():
        raise LabUnavailable(
            "no kernel with virtual time has been built here: "
            "'remusnet lab setup --virtual-time' does, once"
        )
    return kernel_of(made / "linux", made / "modules", cache, virtual=True)


def build(tell: Tell, cache: Path | None = None) -> Kernel:
    """Makes the kernel with virtual time where there is none yet: 8 minutes of a processor.

    ``tell`` hears what is done now. A process that comes while another builds waits for it. Raises
    ``LabUnavailable`` where a program, the source or room is lacking, or the compiler fails.
    """
    cache = default_cache() if cache is None else cache
    made = _target(cache)
    if not (made / "linux").exists():
        _require_programs()
        tell("waiting for another setup")
        with writable(cache, "a kernel"), locked(cache / "build.lock"):
            if not (made / "linux").exists():
                _build(made, tell)
    return virtual_kernel(cache)


def _target(cache: Path) -> Path:
    """Another configuration is another kernel; a newer source of the same release is not."""
    return cache / f"virtual-{hashlib.sha256(CONFIG.read_bytes()).hexdigest()[:12]}"


def _require_programs() -> None:
    lacking = [each for each in _PROGRAMS if shutil.which(each) is None]
    if lacking:
        are = "isn't" if len(lacking) == 1 else "aren't"
        raise LabUnavailable(
            f"a kernel is compiled with {', '.join(_PROGRAMS)}; {', '.join(lacking)} {are} on this "
            f"machine: {_MEND}"
        )


def _build(made: Path, tell: Tell) -> None:
    cache = made.parent
    free = shutil.disk_usage(cache).free
    if free < _ROOM:
        raise LabUnavailable(
            f"compiling a kernel takes {_ROOM >> 20:,} MiB for a while, {cache} has {free >> 20:,}"
        )
    with Guard(cache, "build-") as guard:
        scratch = guard.directory
        package = _source_package()
        tell(f"downloading {package} (140 MB)")
        unpack(package, scratch / "tree", f"the kernel's source is Debian's package {package}")
        (archive,) = (scratch / "tree/usr/src").glob("linux-source-*.tar.*")
        source = scratch / "source"
        source.mkdir()
        tell(f"unpacking {archive.name}")
        _run(["tar", "-xf", str(archive), "-C", str(source), "--strip-components=1"], scratch)
        archive.unlink()
        tell("configuring")
        make = ["make", "ARCH=um", f"-j{len(os.sched_getaffinity(0))}"]
        _run([*make, "allnoconfig"], source, KCONFIG_ALLCONFIG=str(CONFIG))
        _require_options(source / ".config")
        _compile([*make, "linux"], source, tell)
        _keep(source, made)


def _source_package() -> str:
    """``linux-source-6.1``: what the distribution's ``linux-source`` stands for."""
    done = subprocess.run(
        ["apt-cache", "depends", "--important", "linux-source"],
        env={**os.environ, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"(?m)^\s*Depends: (linux-source-[0-9.]+)$", done.stdout)
    if found is None:
        raise LabUnavailable(
            "apt knows no package linux-source, which the kernel is compiled from: run "
            "'apt-get update' with a network"
        )
    return found[1]


def _require_options(configured: Path) -> None:
    """Kconfig passes over what it doesn't know, or whose condition is missing."""
    has = set(configured.read_text(encoding="utf-8").splitlines())
    wanted = CONFIG.read_text(encoding="utf-8").splitlines()
    lacking = [line for line in wanted if line.startswith("CONFIG_") and line not in has]
    if lacking:
        raise LabUnavailable(f"the kernel's source can't be built with {', '.join(lacking)}")


def _compile(argv: Sequence[str], source: Path, tell: Tell) -> None:
    """Run make, and tell how far it is."""
    told_s, files = 0.0, 0
    tail: list[str] = []
    with _started(argv, source) as process:
        for line in process.stdout or ():
            tail = [*tail[-20:], line.strip()]
            files += line.startswith("  CC ")
            if time.monotonic() - told_s > _TOLD_S:
                told_s = time.monotonic()
                tell(f"compiling: {files} of about {max(files, _FILES):,} files")
    _require_done(process, argv, tail)


def _run(argv: Sequence[str], directory: Path, **environment: str) -> None:
    with _started(argv, directory, **environment) as process:
        tail = (process.stdout.read() if process.stdout else "").splitlines()
    _require_done(process, argv, tail)


@contextmanager
def _started(
    argv: Sequence[str], directory: Path, **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """A program, which has ended when the context is left, with all that it has started."""
    with subprocess.Popen(
        ["nice", *argv],
        cwd=directory,
        env={**os.environ, "LC_ALL": "C", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        umask=0o022,
        start_new_session=True,
    ) as process:
        try:
            yield process
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def _require_done(process: subprocess.Popen[str], argv: Sequence[str], tail: list[str]) -> None:
    if process.returncode != 0:
        telling = [line for line in tail if "rror" in line] or tail or ["no reason given"]
        raise LabUnavailable(f"compiling the kernel failed: {argv[0]} said {telling[0]!r}")


def _keep(source: Path, made: Path) -> None:
    """The kernel alone stays; of modules only the folder, which says its version."""
    version = (source / "include/config/kernel.release").read_text(encoding="ascii").strip()
    kept = source.parent / "kept"
    (kept / "modules" / version).mkdir(parents=True)
    shutil.copyfile(source / "linux", kept / "linux")
    (kept / "linux").chmod(0o755)
    for path in (kept, kept / "modules", kept / "modules" / version):
        path.chmod(0o755)
    kept.rename(made)
    for other in made.parent.glob("virtual-*"):
        if other != made:
            shutil.rmtree(other, ignore_errors=True)
