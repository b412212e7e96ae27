"""The emulated machine: asked over QMP, snapshot and restored, spoken to by its console."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.xen.lab.errors import LabDied, LabUnavailable

_XEN = (
    "dom0_mem=1152M,max:1152M dom0_max_vcpus=1 dom0_vcpus_pin com1=115200,8n1 console=com1 "
    "loglvl=warning guest_loglvl=warning"
)
# SVM for a PVH guest; the model "max" has features that crash Dom0 under emulation. What numpy from
# PyPI needs (x86-64-v2) every processor of this decade and the last has, and qemu64 has not.
_CPU = "qemu64,+svm,+npt,+ssse3,+sse4.1,+sse4.2,+popcnt"
_QEMU = (
    f"qemu-system-x86_64 -M pc -accel tcg -cpu {_CPU} -m 2560 -smp 2 "
    "-nodefaults -display none -no-reboot -no-user-config"
)
_LINUX = "console=hvc0 mitigations=off quiet rdinit=/init"
_BYTE_S = 0.002
"""Between two bytes to the console: Xen drops what comes faster."""


class Machine:
    """One QEMU. Leaving its context ends it.

    ``images``: the folder with xen, vmlinux and initrd. ``disks``: what goes in and what
    comes out. ``state``: a snapshot to begin from. ``say`` is called with each line of the console.
    """

    def __init__(
        self,
        images: Path,
        disks: tuple[Path, Path],
        log: Path,
        *,
        state: Path | None = None,
        say: Callable[[str], object] = len,
    ) -> None:
        self._log = log
        self._say = say
        self._unread = b""
        self._open = ExitStack()
        self._sockets = tempfile.TemporaryDirectory(prefix="remusnet-xen-")
        console, monitor = (Path(self._sockets.name) / name for name in ("console", "monitor"))
        command = _QEMU.split()
        for name, path in (("serial", console), ("qmp", monitor)):
            command += [f"-{name}", f"unix:{path},server=on,wait=off"]
        for index, disk in enumerate(disks):
            command += ["-drive", f"file={disk},format=raw,if=ide,index={index},cache=unsafe"]
        command += ["-kernel", str(images / "xen"), "-append", _XEN]
        command += ["-initrd", f"{images / 'vmlinux'} {_LINUX},{images / 'initrd'}"]
        if state is not None:
            command += ["-incoming", f"exec:zstd -dc '{state}'"]
        self._errors = log.with_suffix(".qemu")
        try:
            with self._errors.open("wb") as errors:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors
                )
        except FileNotFoundError:
            raise LabUnavailable(
                "QEMU is not installed; run: apt-get install qemu-system-x86"
            ) from None
        try:
            self._console = self._open.enter_context(self._connected(console))
            self._monitor = self._open.enter_context(self._connected(monitor))
            self._replies = self._open.enter_context(self._monitor.makefile("rb"))
            self._replies.readline()
            self.ask("qmp_capabilities")
            if state is not None:
                self._until(lambda: self.ask("query-status")["status"] != "inmigrate", 60)
                self.ask("cont")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Machine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the machine at once; nothing of it is worth keeping."""
        self._process.kill()
        self._process.wait()
        self._open.close()
        self._sockets.cleanup()

    def ask(self, command: str, **arguments: object) -> Any:
        """One QMP command; what it returns."""
        order = {"execute": command, "arguments": arguments}
        try:
            self._monitor.sendall(json.dumps(order).encode() + b"\n")
            while line := self._replies.readline():
                reply = json.loads(line)
                if "error" in reply:
                    raise LabDied(f"QEMU refused {command}: {reply['error']['desc']}")
                if "return" in reply:
                    return reply["return"]
        except OSError as error:
            raise self._died(f"QEMU's monitor: {error.strerror}") from error
        raise self._died("QEMU ended")

    def save(self, state: Path) -> None:
        """Stop it and write its memory and devices to ``state``, all or nothing."""
        partial = state.with_suffix(".partial")
        self.ask("stop")
        self.ask("migrate", uri=f"exec:zstd -q -1 -T2 -f -o '{partial}'")
        self._until(self._migrated, 180)
        partial.replace(state)

    def _migrated(self) -> bool:
        status = self.ask("query-migrate").get("status")
        if status == "failed":
            raise LabDied("QEMU could not save the machine")
        return bool(status == "completed")

    def order(self, line: str) -> None:
        """Type one line at the console."""
        self.type(line.encode() + b"\n")

    def type(self, data: bytes) -> None:
        """Type at the console, at the speed that it takes."""
        for byte in data:
            self._console.sendall(bytes([byte]))
            time.sleep(_BYTE_S)

    def read(self) -> bytes:
        """What the console says, as it comes; empty at its end. Not together with ``wait``."""
        return self._console.recv(65536)

    def wait(self, beginning: str, timeout: float) -> str:
        """The console's next line that begins so, less the beginning."""
        deadline = time.monotonic() + timeout
        while True:
            line = self._line(deadline)
            if line is None:
                raise self._died(f"no {beginning!r} within {timeout:.0f} s")
            self._say(line)
            if line.startswith(beginning):
                return line[len(beginning) :].strip()

    def fileno(self) -> int:
        """The console's socket."""
        return self._console.fileno()

    def _line(self, deadline: float) -> str | None:
        while b"\n" not in self._unread:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self._console.settimeout(left)
            with suppress(TimeoutError):
                data = self._console.recv(65536)
                if not data:
                    raise self._died("the machine ended")
                with self._log.open("ab") as log:
                    log.write(data)
                self._unread += data
        line, self._unread = self._unread.split(b"\n", 1)
        return line.decode("utf-8", "replace").strip("\r")

    def _until(self, done: Callable[[], bool], timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not done():
            if time.monotonic() > deadline:
                raise self._died(f"no end within {timeout} s")
            time.sleep(0.1)

    def _connected(self, path: Path) -> socket.socket:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self._process.poll() is None:
            made = socket.socket(socket.AF_UNIX)
            with suppress(FileNotFoundError, ConnectionRefusedError):
                made.connect(os.fspath(path))
                return made
            made.close()
            time.sleep(0.05)
        raise self._died("QEMU did not start")

    def _died(self, what: str) -> LabDied:
        said = self._errors.read_text("utf-8", "replace").strip().splitlines()
        return LabDied(f"{what}; see {self._log}" + (f" ({said[-1]})" if said else ""))
