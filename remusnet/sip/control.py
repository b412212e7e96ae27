"""The control socket: what runs tells about itself, and takes orders (a UNIX socket, 0600).

A line of JSON goes in, a line comes back: ``{"do": "status"}`` -> ``{"ok": ...}`` or
``{"error": "...", "exit_code": 2}``.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from remusnet.defaults import RUN_DIR
from remusnet.errors import (
    Conflict,
    InvalidInput,
    MissingDependency,
    NotPermitted,
    RemusnetError,
    quoted,
)

Handler = Callable[[dict[str, Any]], Awaitable[str]]

_LONGEST = 64 * 1024
_SECONDS = 5.0


def default_path() -> Path:
    """``$XDG_RUNTIME_DIR/remusnet/sip.sock``; without that variable, a folder of this user's."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return Path(runtime) / "remusnet" / "sip.sock"
    if os.geteuid() == 0:
        return Path(RUN_DIR, "sip.sock")
    return Path(f"/tmp/remusnet-{os.geteuid()}/sip.sock")


class Control:
    """Listens, and lets ``handler`` answer, in JSON."""

    def __init__(self, path: Path, handler: Handler) -> None:
        self.path = path
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._inode: int | None = None

    async def open(self) -> None:
        """Bind. Raises Conflict where another server has the socket, NotPermitted, InvalidInput."""
        folder = self.path.parent
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_folder(folder)
            if _answers(self.path):
                raise Conflict(f"another server has the control socket {quoted(str(self.path))}")
            with suppress(FileNotFoundError):
                if not stat.S_ISSOCK(self.path.lstat().st_mode):
                    raise Conflict(f"{quoted(str(self.path))} is there, and is no socket")
                self.path.unlink()
            bound = socket.socket(socket.AF_UNIX)
            # The folder is ours alone, so that no other user gets in between bind and chmod.
            bound.bind(str(self.path))
            self.path.chmod(0o600)
            self._inode = self.path.lstat().st_ino
            self._server = await asyncio.start_unix_server(self._serve, sock=bound, limit=_LONGEST)
        except PermissionError:
            raise NotPermitted(
                f"control socket {quoted(str(self.path))}: permission denied"
            ) from None
        except OSError as error:
            raise InvalidInput(
                f"control socket {quoted(str(self.path))}: {error.strerror or error}"
            ) from None

    def close(self) -> None:
        """Take the socket away, if it still is ours."""
        if self._server is not None:
            self._server.close()
        with suppress(OSError):
            if self.path.lstat().st_ino == self._inode:
                self.path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, ValueError):
            async with asyncio.timeout(_SECONDS):
                line = await reader.readline()
                writer.write((await self._answer(line)).encode() + b"\n")
                await writer.drain()
        writer.close()

    async def _answer(self, line: bytes) -> str:
        try:
            order = json.loads(line)
            if not isinstance(order, dict):
                raise InvalidInput("an order is a JSON object")
            return f'{{"ok": {await self._handler(order)}}}'
        except RemusnetError as error:
            return json.dumps({"error": str(error), "exit_code": error.exit_code})
        except (ValueError, RecursionError):  # the latter: brackets within brackets, thousands deep
            return json.dumps({"error": "no JSON", "exit_code": 2})


def ask(path: Path, order: dict[str, Any]) -> Any:
    """What the server behind ``path`` answers.

    Raises MissingDependency where none answers, or the error that it answers with.
    """
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_SECONDS)
            connection.connect(str(path))
            connection.sendall(json.dumps(order).encode() + b"\n")
            connection.shutdown(socket.SHUT_WR)
            data = b""
            while chunk := connection.recv(1 << 16):
                data += chunk
        answer = json.loads(data)
    except PermissionError:
        raise NotPermitted(f"{quoted(str(path))} belongs to another user's server") from None
    except (OSError, ValueError):
        raise MissingDependency(
            f"no server answers at {quoted(str(path))}: start one with remusnet sip serve, "
            "or name its --control"
        ) from None
    if "error" in answer:
        kinds = {kind.exit_code: kind for kind in (InvalidInput, NotPermitted, Conflict)}
        raise kinds.get(answer.get("exit_code"), RemusnetError)(answer["error"])
    return answer["ok"]


def _check_folder(folder: Path) -> None:
    """Others must not be able to put another socket in the place of ours."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise InvalidInput(f"{quoted(str(folder))} is no folder")
    if found.st_uid not in (0, os.geteuid()) or found.st_mode & 0o022:
        raise NotPermitted(f"others can write {quoted(str(folder))}: choose another --control")


def _answers(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            connection.connect(str(path))
            return True
    except OSError:
        return False
