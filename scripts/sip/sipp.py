"""sipp: its command line, and the figures that it leaves in files."""

from __future__ import annotations

import csv
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
HOST = "127.0.0.1"
_MODES = {"udp": "u1", "tcp": "t1"}
_LISTENS = "0A"  # the state of a TCP socket in /proc/net/tcp
# A call whose next message is so late (s) is lost. T1 * 64, after which UDP phones give up too.
LATEST = 32


@dataclass(frozen=True, slots=True)
class Figures:
    """What a sipp counted. ``slowest_ms``: from the first request to its 200, None: none came."""

    placed: int
    good: int
    slowest_ms: float | None


def free_port(transport: str) -> int:
    """A port of loopback that nobody has at this moment."""
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


class Sipp:
    """A sipp that runs in ``folder``, where its files come to lie; ``host``: its own address."""

    def __init__(
        self, folder: Path, name: str, transport: str, port: int, *words: str, host: str = HOST
    ) -> None:
        folder.mkdir()
        self.folder = folder
        self.name = name
        self.transport = transport
        self.port = port
        scenario = ["-sf", str(HERE / f"{name}.xml")] if (HERE / f"{name}.xml").exists() else []
        command = ["sipp", *(scenario or ["-sn", name]), "-t", _MODES[transport], "-i", host]
        command += ["-p", str(port), "-mp", str(free_port("udp")), "-nostdin"]
        # What comes a second time is no reason to give a call up, and what never comes is one.
        command += ["-default_behaviors", "all,-abortunexp"]
        command += ["-trace_stat", "-stf", "stat.csv", "-fd", "1", "-trace_rtt", "-rtt_freq", "1"]
        command += ["-trace_err", "-error_file", "errors.log", *words]
        with (folder / "screen").open("wb") as screen:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=screen,
                stderr=subprocess.STDOUT,
            )

    def listening(self, seconds: float = 20) -> Sipp:
        """Itself, once it has its port: who calls it over TCP before that is refused.

        Raises RuntimeError where it has none after ``seconds``, or ended.
        """
        end = time.monotonic() + seconds
        while not _taken(self.transport, self.port):
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"sipp {self.name} has no port {self.port}")
            time.sleep(0.01)
        return self

    def wait(self, seconds: float) -> int | None:
        """Its exit code; None where it had to be killed."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def kill(self) -> None:
        """End it, if it runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def figures(self) -> Figures:
        """What it counted until now."""
        stat = self.folder / "stat.csv"
        rows = []
        if stat.exists():
            with stat.open(newline="") as file:
                rows = list(csv.DictReader(file, delimiter=";"))
        last = rows[-1] if rows else {}
        times = [
            float(line.split(";")[1])
            for found in self.folder.glob("*_rtt.csv")
            for line in found.read_text().splitlines()[1:]
        ]
        return Figures(
            placed=int(last.get("TotalCallCreated") or 0),
            good=int(last.get("SuccessfulCall(C)") or 0),
            slowest_ms=max(times, default=None),
        )


def _taken(transport: str, port: int) -> bool:
    """Whether somebody in this network namespace has the port. To try it would take it."""
    for line in Path(f"/proc/self/net/{transport}").read_text().splitlines()[1:]:
        _, local, _, state, *_ = line.split()
        if int(local.rpartition(":")[2], 16) == port and (transport == "udp" or state == _LISTENS):
            return True
    return False
