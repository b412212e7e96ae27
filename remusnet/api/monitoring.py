"""What monitors ask: readings of all protections, as a file or at an address for Prometheus."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from remusnet.api.protection import Listing, status, verify
from remusnet.errors import Conflict, InvalidInput, NotPermitted, quoted
from remusnet.extras import lacking
from remusnet.results.monitoring import Reading
from remusnet.results.watching import WatchCounts

if TYPE_CHECKING:
    from types import ModuleType

_FILE_MODE = 0o644
"""The node exporter is another user."""


def readings(*vifs: str, run_dir: str | Path | None = None) -> Listing[Reading]:
    """The protections of ``vifs`` (none: of all), and for vifs without one that they have none.

    Changes nothing. Raises what `status` and `verify` raise.
    """
    counted = status(*vifs, run_dir=run_dir)
    compared = verify(*vifs, run_dir=run_dir)
    by_name = {(each.protected.buffer, each.protected.vifs): each for each in counted}
    found = [
        Reading(
            each.protected,
            by_name.get((each.protected.buffer, each.protected.vifs)),
            each.differences,
        )
        for each in compared
    ]
    return Listing(found, tuple(dict.fromkeys((*counted.notes, *compared.notes))))


def metrics_text(*vifs: str, run_dir: str | Path | None = None) -> bytes:
    """The metrics in Prometheus's text format.

    Raises MissingDependency without prometheus-client, and what `readings` raises.
    """
    return bytes(_prometheus().text(lambda: readings(*vifs, run_dir=run_dir)))


def write_metrics(file: Path, *vifs: str, run_dir: str | Path | None = None) -> None:
    """Put the metrics into ``file`` as one step: a reader finds the old ones or the new ones.

    Raises InvalidInput or NotPermitted where it can't be written, and what `metrics_text` raises.
    """
    content = metrics_text(*vifs, run_dir=run_dir)
    try:
        _replace(file, content)
    except PermissionError:
        raise NotPermitted(f"may not write {quoted(str(file))}") from None
    except OSError as error:
        raise InvalidInput(f"{quoted(str(file))}: {error.strerror}") from None


def serve_metrics(
    address: str,
    read: Callable[[], Sequence[Reading]] = readings,
    counts: WatchCounts | None = None,
) -> MetricsServer:
    """Serve the metrics at ``address`` ("127.0.0.1:9911", "[::1]:9911"; port 0 takes any).

    Each request reads the kernel, by ``read``; where that fails, ``remusnet_up`` is 0. ``counts``:
    of the watcher that serves them. Raises
    InvalidInput, MissingDependency, NotPermitted, or Conflict where the port is taken.
    """
    host, port = _parsed(address)
    registry = _prometheus().registry(read, counts)
    from prometheus_client import make_wsgi_app

    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        kind = type("_Server", (_Server,), {"address_family": family})
        return MetricsServer(make_server(host, port, make_wsgi_app(registry), kind, _Handler))
    except PermissionError:
        raise NotPermitted(f"metrics at {quoted(address)}: not permitted") from None
    except OSError as error:
        raise Conflict(f"metrics at {quoted(address)}: {error.strerror}") from None


class _Server(WSGIServer):
    def server_bind(self) -> None:
        """As the base does, but asks no resolver for this host's name."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()


class _Handler(WSGIRequestHandler):
    timeout = 10  # seconds: a client that says nothing keeps no other client waiting for long

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Nothing: a scrape is no news."""


class MetricsServer:
    """Answers in a thread of its own until it is closed; a context manager, too.

    ``address``: where, with the port that it has.
    """

    def __init__(self, server: WSGIServer) -> None:
        self._server = server
        host, port = server.server_name, server.server_port
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._thread = Thread(target=server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it: it answers no client any more, and the port is free."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _parsed(address: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port is None or parts.netloc != address or parts.username is not None:
        raise InvalidInput(
            f"invalid address: {quoted(address)}; expected one such as 127.0.0.1:9911 or [::1]:9911"
        )
    return host, port


def _prometheus() -> ModuleType:
    try:
        from remusnet.report import prometheus
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "prometheus_client":
            raise
        raise lacking("metrics need prometheus-client", "monitoring") from None
    return prometheus


def _replace(file: Path, content: bytes) -> None:
    """Puts a new file in its place as one step: a reader of .prom files may come at any time."""
    if file.exists() and not stat.S_ISREG(file.stat().st_mode):
        file.write_bytes(content)  # a pipe, /dev/stdout
        return
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.resolve().parent)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)
            os.fchmod(opened.fileno(), _FILE_MODE)
        os.replace(name, file.resolve())
    except BaseException:
        os.unlink(name)
        raise
