"""TLS connections that are not open yet, over real sockets."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest
import trustme

from remusnet.sip.transport.handshakes import Handshakes

LOUD, QUIET = "127.0.0.2", "127.0.0.1"


class Lab:
    """A listener that takes four handshakes at a time, and those who connect to it."""

    def __init__(self) -> None:
        authority = trustme.CA()
        self.served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(self.served)
        self.trusting = ssl.create_default_context()
        authority.configure_trust(self.trusting)
        self.bound = socket.create_server(("127.0.0.1", 0))
        self.bound.setblocking(False)
        self.blocked: set[str] = set()
        self.refused = 0
        self.opened = 0
        self.silent: list[socket.socket] = []
        self.handshakes = Handshakes(
            self.bound, self.served, self._make, self.blocked.__contains__, self._refuse, most=4
        )

    def _make(self) -> asyncio.Protocol:
        lab = self

        class Opened(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                lab.opened += 1
                assert isinstance(transport, asyncio.Transport)
                transport.close()

        return Opened()

    def _refuse(self) -> None:
        self.refused += 1

    def say_nothing(self, count: int, host: str = LOUD) -> None:
        for _ in range(count):
            each = socket.create_connection(self.bound.getsockname(), source_address=(host, 0))
            self.silent.append(each)

    async def connect(self) -> None:
        """Handshake, as a phone does."""
        host, port = self.bound.getsockname()
        reader, writer = await asyncio.wait_for(
            asyncio.open_connection(host, port, ssl=self.trusting, local_addr=(QUIET, 0)), 30
        )
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()

    async def close(self) -> None:
        self.handshakes.abort()
        for each in self.silent:
            each.close()
        await asyncio.sleep(0.05)  # what is closed has its last turn


def test_who_opens_many_connections_and_says_nothing_keeps_nobody_out() -> None:
    async def run() -> Lab:
        lab = Lab()
        lab.say_nothing(50)
        for _ in range(6):
            await lab.connect()
        await lab.close()
        return lab

    lab = asyncio.run(run())
    assert lab.opened == 6
    # All but four, and for each phone that came one more.
    assert lab.refused >= 47


def test_where_nobody_has_more_than_others_who_comes_waits_for_its_turn() -> None:
    """Phones that come back all at once after a break are no flood: none is refused."""

    async def run() -> Lab:
        lab = Lab()
        for number in range(2, 6):
            lab.say_nothing(1, f"127.0.0.{number}")
        waits = asyncio.ensure_future(lab.connect())
        await asyncio.sleep(0.3)
        assert not lab.opened
        lab.silent.pop().close()
        await waits
        await lab.close()
        return lab

    lab = asyncio.run(run())
    assert (lab.opened, lab.refused) == (1, 0)


def test_who_is_kept_out_gets_no_handshake() -> None:
    async def run() -> Lab:
        lab = Lab()
        lab.blocked.add(QUIET)
        with pytest.raises(ConnectionError):
            await lab.connect()
        await lab.close()
        return lab

    lab = asyncio.run(run())
    assert (lab.opened, lab.refused) == (0, 1)
