"""A real PostgreSQL of our own: an ordinary user's, on a socket in a temporary folder."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SECONDS = 60.0
_READY = "ready to accept connections"


def program(name: str) -> str | None:
    """Where one of PostgreSQL's programs is: Debian has them in no folder of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


class Postgres:
    """A database server that can be killed and started again. ``url``: as `--store` takes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"postgresql://remusnet@/postgres?host={folder}"
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        # PostgreSQL refuses to run as root.
        self._user: int | None = None
        self._group: int | None = None
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._user, self._group = nobody.pw_uid, nobody.pw_gid
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        words = ["-D", str(folder / "data"), "-U", "remusnet", "-A", "trust", "-E", "UTF8"]
        self._run("initdb", *words, "--locale=C", "--no-sync").wait(_SECONDS)

    def _run(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        path = program(name)
        assert path is not None
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [path, *words],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self._user,
                group=self._group,
                extra_groups=None if self._user is None else [],
            )

    def start(self) -> None:
        """Until it takes connections: over its socket alone."""
        deadline = time.monotonic() + _SECONDS
        words = ["-D", str(self.folder / "data"), "-k", str(self.folder), "-c", "listen_addresses="]
        words += ["-c", "shared_buffers=16MB", "-c", "max_connections=40"]
        while True:
            before = self._log.read_text().count(_READY)
            process = self._process = self._run("postgres", *words)
            while process.poll() is None:
                if self._log.read_text().count(_READY) > before:
                    return
                assert time.monotonic() < deadline, self._log.read_text()
                time.sleep(0.02)
            # What a killed one has left is in use until its last child has ended.
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.1)

    def kill(self) -> None:
        """As a power cut would end it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it at once, with all its children."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(_SECONDS)
            self._process = None


@contextmanager
def running() -> Iterator[Postgres]:
    """A server with an empty database; its folder is gone afterwards."""
    # Short, for a socket's name may have 107 bytes; outside pytest's, which only root may enter.
    with tempfile.TemporaryDirectory(prefix="remusnet-pg-") as folder:
        server = Postgres(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()
