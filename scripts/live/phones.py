"""Two baresips without screen and sound card: one in a live run, one on the host that calls it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from remusnet.live.running import LiveRun
from scripts.sip.baresip import settings

SUBNET, PHONE = "10.77.0.0/24", "10.77.0.2"
_PORT = 5060
_PATIENCE_S = 20


def call(folder: Path, policy: str, options: Sequence[str], seconds: float) -> dict[str, Any]:
    """A call of so many seconds to a phone that runs under ``policy``: the run's result.

    SIP goes over TCP. ``folder`` gets ``live.pcapng``, what the run captured, and
    ``client.pcapng``, what came to the host's end of the network.
    """
    folder.mkdir()
    folder.chmod(0o777)  # dumpcap gives up the right to write where others own the folder
    program = _baresip(folder / "program", PHONE, "eth0", ";answermode=auto")
    run = LiveRun(
        program,
        [
            "--policy",
            policy,
            "--subnet",
            SUBNET,
            "--capture",
            str(folder / "live.pcapng"),
            *options,
        ],
    )
    with run, ExitStack() as ends:
        ready = time.monotonic()
        capture = _started(ends, folder / "dumpcap", *_dumpcap(run.address, folder))
        while "File:" not in (folder / "dumpcap").read_text() or time.monotonic() < ready + 1:
            if capture.poll() is not None or time.monotonic() > ready + _PATIENCE_S:
                raise RuntimeError((folder / "dumpcap").read_text())
            time.sleep(0.1)
        words = _baresip(folder / "caller", run.gateway, run.gateway)
        words += ["-e", f"/dial sip:program@{run.address}"]
        caller = _started(ends, folder / "screen", *words)
        time.sleep(seconds)
        if caller.poll() is not None:
            raise RuntimeError((folder / "screen").read_text(errors="replace"))
    return run.result


def _baresip(folder: Path, host: str, device: str, more: str = "") -> list[str]:
    """Its command line, after its files are written; ``device``: a name, or an address of it."""
    folder.mkdir()
    folder.chmod(0o777)
    place = f"sip_listen {host}:{_PORT}\nnet_interface {device}\n"
    (folder / "config").write_text(place + settings(folder.name))
    account = f"<sip:{folder.name}@{host};transport=tcp>;regint=0{more}\n"
    (folder / "accounts").write_text(account)
    return ["baresip", "-f", str(folder)]


def _dumpcap(address: str, folder: Path) -> list[str]:
    """That of the device by which this host reaches ``address``."""
    route = ["ip", "-j", "route", "get", address]
    told = json.loads(subprocess.run(route, capture_output=True, check=True).stdout)
    return ["dumpcap", "-q", "-i", told[0]["dev"], "-w", str(folder / "client.pcapng")]


def _started(ends: ExitStack, screen: Path, *words: str) -> subprocess.Popen[bytes]:
    """A process whose output goes to ``screen``, and which ends with the context."""
    with screen.open("wb") as out:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        )

    def end() -> None:
        process.terminate()
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    ends.callback(end)
    return process
