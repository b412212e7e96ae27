"""The relay passes on what comes to a published port to the program, and its answers back.

A process of its own. Its listening sockets are the host's; its others are of the namespace that it
is in. The program sees the gateway's address, and a port of its own for each client.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address

from remusnet.errors import Conflict, InvalidInput, NotPermitted, RemusnetError
from remusnet.live.orders import Published

_PIECE = 1 << 16
_QUIET_S = 180.0
"""After so long without a datagram a client of UDP is forgotten (RFC 4787, REQ-5: 2 minutes)."""
_MOST_CLIENTS = 10_000
_BACKLOG = 128
_CONNECT_S = 30.0


@dataclass(frozen=True, slots=True)
class Door:
    """A published port, open on the host."""

    published: Published
    socket: socket.socket


def open_doors(published: Sequence[Published]) -> list[Door]:
    """The host's sockets. Raises Conflict for a port in use, NotPermitted, or InvalidInput."""
    doors: list[Door] = []
    try:
        for each in published:
            kind = socket.SOCK_STREAM if each.transport == "tcp" else socket.SOCK_DGRAM
            made = socket.socket(socket.AF_INET, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
            doors.append(Door(each, made))
            if kind == socket.SOCK_STREAM:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((str(each.address), each.host))
            if kind == socket.SOCK_STREAM:
                made.listen(_BACKLOG)
    except OSError as error:
        for door in doors:
            door.socket.close()
        raise _unusable(doors[-1].published, error) from error
    return doors


def _unusable(published: Published, error: OSError) -> RemusnetError:
    if error.errno == errno.EADDRINUSE:
        return Conflict(
            f"--publish: {published} is in use by another program (ss -lnp shows which): "
            "end it, or publish another port"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return NotPermitted(f"--publish: only root may open {published}: take a port above 1023")
    if error.errno == errno.EADDRNOTAVAIL:
        return InvalidInput(f"--publish: this host has no address {published.address}")
    return InvalidInput(f"--publish: {published}: {error.strerror}")


def relay(doors: Sequence[Door], guest: IPv4Address) -> int:
    """The whole life of the relay's process; its exit code."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    asyncio.run(_relay(doors, str(guest)))
    return 0


async def _relay(doors: Sequence[Door], guest: str) -> None:
    loop = asyncio.get_running_loop()
    kept: list[object] = []
    for door in doors:
        port = door.published.guest
        if door.published.transport == "tcp":
            kept.append(await asyncio.start_server(_Streams(guest, port).serve, sock=door.socket))
        else:
            made = await loop.create_datagram_endpoint(
                lambda port=port: _Datagrams(loop, guest, port),  # type: ignore[misc]
                sock=door.socket,
            )
            kept.append(made)
    await asyncio.Event().wait()


class _Streams:
    """TCP: each connection to the host is one to the program."""

    def __init__(self, guest: str, port: int) -> None:
        self._guest, self._port = guest, port

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Both ways until both have ended."""
        try:
            inner_reader, inner_writer = await asyncio.wait_for(
                asyncio.open_connection(self._guest, self._port), _CONNECT_S
            )
        except OSError:  # TimeoutError is one
            writer.transport.abort()  # refused: the client sees a reset, as it would see it there
            return
        try:
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
        except OSError:
            inner_writer.transport.abort()
            writer.transport.abort()
        finally:
            inner_writer.close()
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_PIECE):
        writer.write(piece)
        await writer.drain()
    with suppress(OSError):
        writer.write_eof()


class _Datagrams(asyncio.DatagramProtocol):
    """UDP: each client has a socket to the program, until it has been quiet for 3 minutes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, guest: str, port: int) -> None:
        self._loop, self._guest, self._port = loop, guest, port
        self._clients: dict[object, _Client] = {}
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The host's socket is ready."""
        if isinstance(transport, asyncio.DatagramTransport):
            self._transport = transport
        self._loop.call_later(_QUIET_S / 4, self._forget)

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Takes a datagram from a client."""
        client = self._clients.get(addr)
        if client is None:
            if len(self._clients) >= _MOST_CLIENTS:
                return
            client = self._clients[addr] = _Client(self, addr)
            task = self._loop.create_task(self._connect(client))
            client.task = task
        client.send(data)

    def error_received(self, exc: Exception) -> None:
        """A client is gone: it will be quiet."""

    def answer(self, data: bytes, address: object) -> None:
        """Sends what came from the program to a client."""
        if self._transport is not None:
            self._transport.sendto(data, address)  # type: ignore[arg-type]

    async def _connect(self, client: _Client) -> None:
        with suppress(OSError):
            await self._loop.create_datagram_endpoint(
                lambda: client, remote_addr=(self._guest, self._port)
            )

    def _forget(self) -> None:
        now = self._loop.time()
        for address, client in list(self._clients.items()):
            if now - client.heard > _QUIET_S:
                client.close()
                del self._clients[address]
        self._loop.call_later(_QUIET_S / 4, self._forget)


class _Client(asyncio.DatagramProtocol):
    """A client's socket to the program."""

    def __init__(self, door: _Datagrams, address: object) -> None:
        self._door, self._address = door, address
        self._transport: asyncio.DatagramTransport | None = None
        self._early: list[bytes] = []
        self.task: asyncio.Task[None] | None = None
        self.heard = asyncio.get_running_loop().time()

    def send(self, data: bytes) -> None:
        """Sends to the program."""
        self.heard = asyncio.get_running_loop().time()
        if self._transport is None:
            self._early.append(data)
        else:
            self._transport.sendto(data)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is ready: passes on what has come meanwhile."""
        if isinstance(transport, asyncio.DatagramTransport):
            self._transport = transport
        early, self._early = self._early, []
        for each in early:
            self.send(each)

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Takes a datagram from the program."""
        self.heard = asyncio.get_running_loop().time()
        self._door.answer(data, self._address)

    def error_received(self, exc: Exception) -> None:
        """The program does not listen yet, or any more."""

    def close(self) -> None:
        """The client is forgotten."""
        if self._transport is not None:
            self._transport.close()


def start_relay(doors: Sequence[Door], guest: IPv4Address) -> int:
    """Forks the relay from this process; the number of its process, which dies with this one."""
    from remusnet.live.namespaces import die_with_parent

    parent = os.getpid()
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        die_with_parent(signal.SIGKILL, parent)
        code = relay(doors, guest)
    finally:
        os._exit(code)
