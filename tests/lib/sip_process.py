"""A SIP server as a process of its own, on loopback, and an agent that talks to it over sockets."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

_numbers = count(1)
_SECONDS = 60.0  # a busy machine takes long to start a Python


class ServerProcess:
    """``remusnet sip serve`` with ports that are free; ``ports`` by transport."""

    def __init__(
        self, folder: Path, *arguments: str, listen: Sequence[str] = ("udp", "tcp")
    ) -> None:
        self.folder = folder
        self.control = folder / "control" / "sip.sock"
        self._stderr = folder / f"stderr{next(_numbers)}"
        places = [word for kind in listen for word in ("--listen", f"{kind}:127.0.0.1:0")]
        command = [sys.executable, "-m", "remusnet", "sip", "serve", *arguments, *places]
        command += ["--control", str(self.control)]
        if not any(word.startswith("--store") for word in arguments):
            command += ["--store", f"sqlite:{folder / 'sip.db'}"]
        with self._stderr.open("wb") as stderr:
            self.process = subprocess.Popen(command, stderr=stderr, stdin=subprocess.DEVNULL)
        self.ports: dict[str, int] = {}

    def wait(self) -> None:
        """Until it listens. Raises AssertionError with what it said if it ends before."""
        deadline = time.monotonic() + _SECONDS
        while "listening" not in self.said:
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.02)
        found = re.findall(r"(udp|tcp|tls):127\.0\.0\.1:(\d+)", self.said)
        self.ports = {kind: int(port) for kind, port in found}

    @property
    def said(self) -> str:
        """What it has written to stderr."""
        return self._stderr.read_text()

    def status(self) -> dict[str, Any]:
        """``remusnet sip status --json``."""
        done = self.ask("status", "--json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        """``remusnet sip WORDS --control ...``."""
        command = [sys.executable, "-m", "remusnet", "sip", *words, "--control", str(self.control)]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False
        )

    def end(self, number: int = signal.SIGTERM) -> int:
        """Its exit code after a signal."""
        self.process.send_signal(number)
        return self.process.wait(_SECONDS)


@contextmanager
def serving(
    folder: Path, *arguments: str, listen: Sequence[str] = ("udp", "tcp")
) -> Iterator[ServerProcess]:
    """A server that listens; it is ended in any case."""
    server = ServerProcess(folder, *arguments, listen=listen)
    try:
        server.wait()
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait()


def message(method: str, uri: str, via: str, **headers: str) -> bytes:
    """A request, for a socket whose address is in ``via``."""
    number = next(_numbers)
    fields = {
        "Via": f"SIP/2.0/{via};branch=z9hG4bKp{number};rport",
        "Max-Forwards": "70",
        "From": f"<sip:alice@example.org>;tag=p{number}",
        "To": f"<{uri}>",
        "Call-ID": f"p{number}@test",
        "CSeq": f"{number} {method}",
        "Content-Length": "0",
        **{name.replace("_", "-").title(): value for name, value in headers.items()},
    }
    lines = [f"{method} {uri} SIP/2.0", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def exchange_udp(port: int, method: str, uri: str, **headers: str) -> str:
    """The first response to a request over UDP, repeated as RFC 3261 says."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as agent:
        agent.bind(("127.0.0.1", 0))
        agent.settimeout(1)
        data = message(method, uri, f"UDP 127.0.0.1:{agent.getsockname()[1]}", **headers)
        for _ in range(20):
            agent.sendto(data, ("127.0.0.1", port))
            try:
                return agent.recv(65536).decode()
            except TimeoutError:
                continue
    raise AssertionError("no answer")
