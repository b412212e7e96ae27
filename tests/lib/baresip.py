"""A baresip without screen and sound card: it plays a sine, and hears into the void."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.sip.baresip import settings
from tests.lib.kamailio import free_port
from tests.lib.sip_agent import HOST

_SECONDS = 40.0


class Baresip:
    """One softphone. ``commands``: what it does when it is ready, as typed into its menu."""

    def __init__(
        self, folder: Path, name: str, account: str, *commands: str, authority: Path | None = None
    ) -> None:
        folder.mkdir()
        # TLS is on the next port.
        config = f"sip_listen {HOST}:{free_port(2)}\nnet_interface {HOST}\nrtp_stats yes\n"
        if authority is not None:
            config += f"sip_cafile {authority}\n"
        (folder / "config").write_text(config + settings(name))
        (folder / "accounts").write_text(account + "\n")
        self._screen = folder / "screen"
        words = [word for command in commands for word in ("-e", command)]
        with self._screen.open("wb") as screen:
            self._process = subprocess.Popen(
                ["baresip", "-f", str(folder), *words],
                stdin=subprocess.DEVNULL,
                stdout=screen,
                stderr=subprocess.STDOUT,
                cwd=folder,
            )

    @property
    def said(self) -> str:
        """What stands on its screen."""
        return self._screen.read_text(errors="replace")

    def wait(self, text: str) -> None:
        """Until it has said ``text``. Raises AssertionError with all that it said instead."""
        deadline = time.monotonic() + _SECONDS
        while text not in self.said:
            assert self._process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.05)

    def end(self) -> None:
        """Hang up and end."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def received(self) -> int:
        """How many packets of RTP it has received in its last call."""
        found = re.findall(r"packets:\s+(\d+)\s+(\d+)", self.said)
        return int(found[-1][1]) if found else 0


@contextmanager
def baresip(
    folder: Path, name: str, account: str, *commands: str, authority: Path | None = None
) -> Iterator[Baresip]:
    """One that runs; it is ended in any case."""
    phone = Baresip(folder, name, account, *commands, authority=authority)
    try:
        yield phone
    finally:
        phone.end()
