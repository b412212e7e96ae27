"""The virtual loop: hours in no time, the same each time."""

from __future__ import annotations

import asyncio
import socket
import time

from remusnet.actors.virtual import run


def test_an_hour_passes_at_once_and_exactly() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        rings: list[float] = []
        for delay in (3600.0, 0.001, 3599.999):
            loop.call_later(delay, lambda: rings.append(loop.time()))
        await asyncio.sleep(7200)
        return rings

    begun = time.monotonic()
    assert run(main()) == [0.001, 3599.999, 3600.0]
    # A thousandth of the virtual time: no machine is that slow.
    assert time.monotonic() - begun < 7.2


def test_real_sockets_work_in_virtual_time() -> None:
    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        with left, right:
            left.setblocking(False)
            right.setblocking(False)
            waiting = asyncio.ensure_future(loop.sock_recv(left, 10))
            await asyncio.sleep(0)
            await loop.sock_sendall(right, b"hello")
            return await waiting

    assert run(main()) == b"hello"
