"""Whether the UML kernel can hold this processor's extended registers, and the shim for where not.

A UML kernel older than 6.13 keeps a process's registers in a buffer of fixed size. On a processor
with AMX they take more, and the kernel panics at its first process. ``preload/shim.c``, loaded
before it, mends that.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from remusnet.lab.errors import LabUnavailable

SHIM = Path(__file__).resolve().parent / "preload" / "shim.c"

UML_BUFFER = 2696
"""Bytes of a process's extended registers in a UML kernel before `FIRST_WITHOUT`."""
FIRST_WITHOUT = (6, 13)
"""The first Linux whose UML kernel asks the host how many bytes it has to keep."""
LIMIT = 1 << 16
"""The shim handles XSAVE areas with fewer bytes. The largest processor of 2026 has 11,136."""

VARIABLE = "REMUSNET_UML_SHIM"
_WISHES = ("auto", "always", "never")

_AMX_AREA = 11008
_PTRACE_GETREGSET, _PTRACE_SEIZE, _PTRACE_INTERRUPT = 0x4204, 0x4206, 0x4207
_NT_X86_XSTATE = 0x202


class _Vector(ctypes.Structure):
    """``struct iovec``."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


@cache
def host_area() -> int:
    """Bytes of a process's XSAVE area on this machine, as ptrace tells; at most a MiB.

    Where no process may trace, a guess from the processor's flags.
    """
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as traced:
        try:
            return _area_of(traced.pid)
        except OSError:
            return _AMX_AREA if "amx_tile" in _cpuinfo().split() else 0
        finally:
            traced.kill()


def _area_of(pid: int) -> int:
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.restype = ctypes.c_long
    ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    buffer = ctypes.create_string_buffer(1 << 20)
    vector = _Vector(ctypes.addressof(buffer), len(buffer))

    def call(request: int, address: int, data: ctypes.c_void_p | None) -> None:
        if ptrace(request, pid, address, data) < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))

    call(_PTRACE_SEIZE, 0, None)
    call(_PTRACE_INTERRUPT, 0, None)
    os.waitpid(pid, 0)
    call(_PTRACE_GETREGSET, _NT_X86_XSTATE, ctypes.c_void_p(ctypes.addressof(vector)))
    return int(vector.length)


def _cpuinfo() -> str:
    with suppress(OSError):
        return Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    return ""


def too_small(modules: Path) -> bool:
    """Whether the UML kernel whose modules are in ``modules`` can't hold this host's registers."""
    return host_area() > UML_BUFFER and kernel_version(modules) < FIRST_WITHOUT


def kernel_version(modules: Path) -> tuple[int, int]:
    """Major and minor version of the newest kernel with a directory there; (0, 0) if none has."""
    major, minor, *_ = (*_numbers(kernel_release(modules)), 0, 0)
    return major, minor


def kernel_release(modules: Path) -> str:
    """``6.1.176``: what the newest kernel with a directory there calls itself; empty if none."""
    names = [each.name for each in modules.glob("*.*") if len(_numbers(each.name)) > 1]
    return max(names, key=_numbers, default="")


def _numbers(release: str) -> tuple[int, ...]:
    """Those that ``release`` begins with."""
    found = re.match(r"[0-9]+(\.[0-9]+)*", release)
    return tuple(map(int, found[0].split("."))) if found else ()


def preload(modules: Path, build: Callable[[], Path]) -> tuple[Path, ...]:
    """What to load before that kernel: nothing, or the shim, which ``build`` makes.

    `VARIABLE` in the environment says ``always`` or ``never``. Raises ``LabUnavailable`` where the
    shim is needed and can't help or be made.
    """
    wish = os.environ.get(VARIABLE, "auto")
    if wish not in _WISHES:
        raise LabUnavailable(f"{VARIABLE}={wish!r}: it is one of {', '.join(_WISHES)}")
    needed = too_small(modules)
    if wish == "never" or (wish == "auto" and not needed):
        return ()
    if host_area() >= LIMIT:
        raise LabUnavailable(
            f"this processor's XSAVE area has {host_area():,} bytes, the UML kernel holds "
            f"{UML_BUFFER:,} and the lab's shim handles less than {LIMIT:,}: use a UML kernel from "
            f"Linux {'.'.join(map(str, FIRST_WITHOUT))} on"
        )
    return (build(),)


def compiled(source: Path, folder: Path, **macros: int) -> Path:
    """The library made of ``source`` (C) with the ``macros`` in ``folder``, where it's kept.

    Two at once make it twice, and each has a whole one. Raises ``LabUnavailable`` without gcc.
    """
    flags = ["-std=c11", "-O2", "-fPIC", "-shared"]
    flags += [f"-D{name}={value}" for name, value in sorted(macros.items())]
    key = hashlib.sha256(source.read_bytes() + repr(flags).encode()).hexdigest()[:16]
    target = folder / f"{source.stem}-{key}.so"
    if target.exists():
        return target
    wanted = (
        f"the UML kernel holds {UML_BUFFER:,} bytes of registers, this processor has "
        f"{host_area():,}: the lab's shim mends that, but gcc, which compiles it,"
    )
    gcc = shutil.which("gcc")
    if gcc is None:
        raise LabUnavailable(f"{wanted} isn't on this machine: install gcc and libc6-dev")
    with tempfile.TemporaryDirectory(dir=folder, prefix="compile-") as name:
        made = Path(name) / target.name
        done = subprocess.run(
            [gcc, *flags, "-o", str(made), str(source)],
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            said = next((line for line in done.stderr.splitlines() if "error" in line), "no reason")
            raise LabUnavailable(f"{wanted} said {said!r}: install gcc and libc6-dev")
        made.chmod(0o755)
        made.replace(target)
    return target
