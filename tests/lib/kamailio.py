"""A real Kamailio on loopback, with a configuration of our own: a registrar and stateful proxy."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lib.sip_agent import HOST, Agent

# The property of a test's report that is a row of the table at the end of a run.
BESIDE_KAMAILIO = "beside kamailio"
_SECONDS = 30.0
_CONFIG = """\
debug=-1
log_stderror=yes
fork=yes
children=1
tcp_children=1
disable_tcp=no
auto_aliases=no
dns=no
rev_dns=no
alias="{domain}"
listen=udp:{host}:{port}
listen=tcp:{host}:{port}
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "path.so"
{sanity_module}
modparam("tm", "retr_timer1", 100)
modparam("tm", "retr_timer2", 800)
modparam("usrloc", "db_mode", 0)
modparam("registrar", "use_path", 1)
modparam("registrar", "path_mode", 0)

request_route {{
    if (!mf_process_maxfwd_header("70")) {{
        sl_send_reply("483", "Too Many Hops");
        exit;
    }}
{sanity_check}
    if (is_method("CANCEL")) {{
        if (t_check_trans()) t_relay();
        exit;
    }}
    if (has_totag()) {{
        if (loose_route()) {{
            route(RELAY);
        }} else if (is_method("ACK")) {{
            if (t_check_trans()) t_relay();
        }} else {{
            sl_send_reply("404", "Not Here");
        }}
        exit;
    }}
    t_check_trans();
    loose_route();
    if (is_method("INVITE|SUBSCRIBE")) record_route();
    if (is_method("REGISTER")) {{
        if (!save("location")) sl_reply_error();
        exit;
    }}
    if (uri == myself && is_method("OPTIONS") && $rU == $null) {{
        sl_send_reply("200", "Keepalive");
        exit;
    }}
{routes}
    if (uri != myself) {{
        route(RELAY);
        exit;
    }}
    if (!lookup("location")) {{
        sl_send_reply("404", "Not Found");
        exit;
    }}
    route(RELAY);
}}

route[RELAY] {{
    if (!t_relay()) sl_reply_error();
    exit;
}}
"""
_SANITY = """\
    if (!sanity_check("17895", "7")) exit;
"""


class Kamailio:
    """A Kamailio that runs. ``domain``: its own."""

    def __init__(self, folder: Path, domain: str, routes: str, *, sanity: bool) -> None:
        self.port = free_port()
        self.domain = domain
        self._log = folder / "log"
        config = _CONFIG.format(
            host=HOST,
            port=self.port,
            domain=domain,
            routes=routes,
            sanity_module='loadmodule "sanity.so"' if sanity else "",
            sanity_check=_SANITY if sanity else "",
        )
        (folder / "kamailio.cfg").write_text(config)
        command = ["kamailio", "-f", str(folder / "kamailio.cfg"), "-DD", "-E", "-m", "32"]
        command += ["-M", "4", "-Y", str(folder), "-P", str(folder / "pid")]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder
            )

    def wait(self) -> None:
        """Until it answers."""
        deadline = time.monotonic() + _SECONDS
        with Agent() as agent:
            while True:
                assert self._process.poll() is None, self.said
                assert time.monotonic() < deadline, self.said
                options = agent.request("OPTIONS", f"sip:{HOST}:{self.port}")
                if agent.answer_to(options, self.port, 0.1) is not None:
                    return

    @property
    def said(self) -> str:
        """Its log."""
        return self._log.read_text(errors="replace")

    def end(self) -> None:
        """End it, with its children."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def free_port(count: int = 1) -> int:
    """The first of ``count`` ports of loopback that nobody has now, over UDP and TCP.

    Of four digits: sipsak cuts off the fifth.
    """
    for port in range(5100 + time.monotonic_ns() % 3000, 9990):
        if all(_is_free(port + more) for more in range(count)):
            return port
    raise AssertionError("no port is free")


def _is_free(port: int) -> bool:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
    ):
        try:
            udp.bind((HOST, port))
            tcp.bind((HOST, port))
        except OSError:
            return False
    return True


@contextmanager
def kamailio(
    domain: str = "example.org", routes: str = "", *, sanity: bool = False
) -> Iterator[Kamailio]:
    """A Kamailio that answers. ``routes``: lines of its request route, before its own users."""
    if shutil.which("kamailio") is None:
        pytest.skip("not installed: kamailio (scripts/test installs it for root)")
    with tempfile.TemporaryDirectory(prefix="remusnet-kamailio-") as folder:
        server = Kamailio(Path(folder), domain, routes, sanity=sanity)
        try:
            server.wait()
            yield server
        finally:
            server.end()
