"""A Kamailio on loopback, for comparing with: a registrar and a record-routing stateful proxy."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOST = "127.0.0.1"
_SECONDS = 30.0
_MODULES = (
    "tm",
    "sl",
    "rr",
    "pv",
    "maxfwd",
    "textops",
    "siputils",
    "usrloc",
    "registrar",
)
# What Kamailio's own default configuration does, without authentication, NAT, and its database.
_ROUTES = """
request_route {
    if (!mf_process_maxfwd_header("10")) { sl_send_reply("483", "Too Many Hops"); exit; }
    if (is_method("CANCEL")) { if (t_check_trans()) { t_relay(); } exit; }
    if (has_totag()) {
        if (loose_route()) { t_relay(); exit; }
        if (is_method("ACK")) { if (t_check_trans()) { t_relay(); } exit; }
        sl_send_reply("404", "Not here");
        exit;
    }
    t_check_trans();
    if (is_method("INVITE|SUBSCRIBE")) { record_route(); }
    if (is_method("REGISTER")) { if (!save("location")) { sl_reply_error(); } exit; }
    if (is_method("OPTIONS") && uri == myself) { sl_send_reply("200", "OK"); exit; }
    if (!lookup("location")) { sl_send_reply("404", "Not Found"); exit; }
    if (!t_relay()) { sl_reply_error(); }
    exit;
}
"""


class Kamailio:
    """Kamailio with one UDP worker. ``routes``: its request_route and what else it shall have."""

    def __init__(self, folder: Path, port: int, *, domain: str, routes: str, options: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port
        self._said = folder / "kamailio.log"
        lines = [
            "#!KAMAILIO",
            "debug=-1",
            "log_stderror=yes",
            "children=1",
            "disable_tcp=yes",
            "auto_aliases=no",
            "mlock_pages=no",
            f"listen=udp:{HOST}:{port}",
            f'alias="{domain}"',
            *(f'loadmodule "{name}.so"' for name in _MODULES),
            options,
            routes,
        ]
        (folder / "kamailio.cfg").write_text("\n".join(lines) + "\n")
        command = ["kamailio", "-f", str(folder / "kamailio.cfg"), "-DD", "-E", "-m", "512"]
        command += ["-Y", str(folder), "-P", str(folder / "kamailio.pid"), "-w", str(folder)]
        with self._said.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> None:
        """Until it answers. Raises AssertionError with what it said where it doesn't."""
        deadline = time.monotonic() + _SECONDS
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as agent:
            agent.bind((HOST, 0))
            agent.settimeout(0.2)
            place = f"{HOST}:{agent.getsockname()[1]}"
            while True:
                assert self.process.poll() is None, self._said.read_text(errors="replace")
                assert time.monotonic() < deadline, self._said.read_text(errors="replace")
                lines = [
                    f"OPTIONS sip:{HOST}:{self.port} SIP/2.0",
                    f"Via: SIP/2.0/UDP {place};branch=z9hG4bK{time.monotonic_ns()}",
                    f"From: <sip:probe@{HOST}>;tag=1",
                    f"To: <sip:{HOST}:{self.port}>",
                    f"Call-ID: {time.monotonic_ns()}@{HOST}",
                    "CSeq: 1 OPTIONS",
                    "Max-Forwards: 70",
                    "Content-Length: 0",
                ]
                try:
                    agent.sendto(("\r\n".join([*lines, "", ""])).encode(), (HOST, self.port))
                    agent.recv(65536)
                    return
                except (TimeoutError, ConnectionRefusedError):
                    time.sleep(0.05)

    @property
    def pids(self) -> list[int]:
        """Its processes: the first one, and those that this one has started."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [self.process.pid, *map(int, children.split())]

    def end(self) -> None:
        """End it with all its processes."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, 9)
        self.process.wait()


@contextmanager
def kamailio(
    folder: Path,
    port: int,
    *,
    domain: str = "example.org",
    routes: str = _ROUTES,
    options: str = "",
) -> Iterator[Kamailio]:
    """A Kamailio that answers at ``port``; it is ended in any case."""
    server = Kamailio(folder, port, domain=domain, routes=routes, options=options)
    try:
        server.wait()
        yield server
    finally:
        server.end()
