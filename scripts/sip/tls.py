"""Phones that speak TLS: Debian's sipp does not. A callee that registers, callers, registrations.

Each has one connection, as phones have, and opens it again where it ends. Nothing is sent twice
over it: what a server has lost, is lost.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count

from remusnet.sip.message import Framer, Request, Response, parse
from remusnet.sip.message.build import respond
from scripts.sip.sipp import HOST, LATEST, Figures

_numbers = count(1)
_AGAIN_S = 0.2


class Connection:
    """A TLS connection to the server. ``on_request`` answers what comes over it."""

    def __init__(
        self, port: int, context: ssl.SSLContext, on_request: Callable[[Request], list[Response]]
    ) -> None:
        self._port = port
        self._context = context
        self._on_request = on_request
        self._writer: asyncio.StreamWriter | None = None
        self._answers: dict[tuple[bytes, bytes], asyncio.Queue[Response]] = {}

    @property
    def place(self) -> str:
        """Its own address and port; empty while it is not open."""
        if self._writer is None:
            return ""
        host, port = self._writer.get_extra_info("sockname")[:2]
        return f"{host}:{port}"

    async def run(self, opened: Callable[[], object]) -> None:
        """Keep it open; ``opened`` is called each time it is."""
        while True:
            with suppress(OSError, ssl.SSLError):
                reader, self._writer = await asyncio.open_connection(
                    HOST, self._port, ssl=self._context
                )
                opened()
                framer = Framer()
                while data := await reader.read(65536):
                    for message in framer.feed(data):
                        self._heard(parse(message, stream=True))
            self._writer = None
            await asyncio.sleep(_AGAIN_S)

    def send(self, message: Request | Response) -> None:
        """Send it, if the connection is there."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(message.serialize())

    def request(self, method: str, uri: str, **headers: str) -> Request:
        """A request; ``headers`` take the places of those that it has anyway."""
        number = next(_numbers)
        fields = {
            "Via": f"SIP/2.0/TLS {self.place};branch=z9hG4bKtls{number}",
            "Max-Forwards": "70",
            "From": f"<sip:caller@example.org>;tag=t{number}",
            "To": f"<{uri}>",
            "Call-ID": f"tls{number}@{HOST}",
            "CSeq": f"1 {method}",
            "Contact": f"<sip:phone@{self.place};transport=tls>",
            **{name.replace("_", "-"): value for name, value in headers.items()},
            "Content-Length": "0",
        }
        made = Request(method.encode(), uri.encode(), [])
        for name, value in fields.items():
            made.add(name, value.encode())
        return made

    async def ask(self, asked: Request) -> Response:
        """Its final response. Raises TimeoutError where none comes in time."""
        key = (asked.call_id, b"%d %b" % asked.cseq)
        queue = self._answers[key] = asyncio.Queue()
        try:
            self.send(asked)
            async with asyncio.timeout(LATEST):
                while True:
                    response = await queue.get()
                    if response.status >= 200:
                        return response
        finally:
            del self._answers[key]

    def _heard(self, message: Request | Response) -> None:
        if isinstance(message, Response):
            queue = self._answers.get((message.call_id, b"%d %b" % message.cseq))
            if queue is not None:
                queue.put_nowait(message)
            return
        for response in self._on_request(message):
            self.send(response)


class TlsPhones(threading.Thread):
    """What a `Sipp` is over UDP and TCP: ``name`` is callee, call or register."""

    transport = "tls"

    def __init__(self, what: str, port: int, authority: str, *, rate: float, most: int) -> None:
        super().__init__(daemon=True)
        self.name = what
        self._port = port
        self._context = ssl.create_default_context(cafile=authority)
        self._rate = rate
        self._most = most
        self._placed = self._good = 0
        self._slowest: float | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over = asyncio.Event()
        self.ready = threading.Event()
        self.start()

    def run(self) -> None:
        """Do it all, in a loop of its own."""
        asyncio.run(self._run())

    def wait(self, seconds: float) -> int | None:
        """0 where it has come to its end; None where it had to be ended."""
        self.join(seconds)
        if not self.is_alive():
            return 0
        self.kill()
        return None

    def kill(self) -> None:
        """End it."""
        if self._loop is not None and self.is_alive():
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._over.set)
        self.join(5)

    def figures(self) -> Figures:
        """What it counted until now."""
        return Figures(self._placed, self._good, self._slowest)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        connection = Connection(self._port, self._context, self._answer)
        first = asyncio.Event()
        tasks = set()

        def opened() -> None:
            if self.name == "callee":
                tasks.add(asyncio.ensure_future(self._enrol(connection)))
            else:
                first.set()

        keeping = asyncio.ensure_future(connection.run(opened))
        over = asyncio.ensure_future(self._over.wait())
        work = (
            over if self.name == "callee" else asyncio.ensure_future(self._load(connection, first))
        )
        await asyncio.wait([work, over], return_when=asyncio.FIRST_COMPLETED)
        left = {keeping, over, work, *tasks}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _enrol(self, connection: Connection) -> None:
        contact = f"<sip:callee@{connection.place};transport=tls>"
        to = "<sip:callee-tls@example.org>"
        asked = connection.request("REGISTER", "sip:example.org", To=to, Contact=contact)
        if (await connection.ask(asked)).status == 200:
            self.ready.set()

    def _answer(self, asked: Request) -> list[Response]:
        if asked.method == b"ACK":
            return []
        made = []
        for status in (180, 200) if asked.method == b"INVITE" else (200,):
            response = respond(asked, status, tag="tls")
            for value in asked.lines("record-route"):
                response.add("Record-Route", value)
            response.add("Contact", b"<%b>" % asked.uri)
            made.append(response)
        return made

    async def _load(self, connection: Connection, first: asyncio.Event) -> None:
        await first.wait()
        loop = asyncio.get_running_loop()
        begun = loop.time()
        work = self._call if self.name == "call" else self._register
        async with asyncio.TaskGroup() as group:
            for number in range(self._most):
                await asyncio.sleep(max(begun + number / self._rate - loop.time(), 0))
                self._placed += 1
                group.create_task(self._one(work(connection, number)))

    async def _one(self, work: Awaitable[bool]) -> None:
        with suppress(TimeoutError):
            good = await work  # not in one line: that would add to what it was before
            self._good += good

    async def _call(self, connection: Connection, number: int) -> bool:
        del number
        loop = asyncio.get_running_loop()
        begun = loop.time()
        invite = connection.request("INVITE", "sip:callee-tls@example.org")
        answer = await connection.ask(invite)
        if answer.status != 200:
            return False
        self._took(loop.time() - begun)
        connection.send(self._within(connection, invite, answer, "ACK", 1))
        await asyncio.sleep(0.5)
        bye = self._within(connection, invite, answer, "BYE", 2)
        return (await connection.ask(bye)).status == 200

    async def _register(self, connection: Connection, number: int) -> bool:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        to = f"<sip:user-tls-{number}@example.org>"
        asked = connection.request("REGISTER", "sip:example.org", To=to, Expires="600")
        if (await connection.ask(asked)).status != 200:
            return False
        self._took(loop.time() - begun)
        await asyncio.sleep(1)
        again = connection.request("REGISTER", "sip:example.org", To=to, Contact="")
        again.remove("contact")
        return bool((await connection.ask(again)).values("contact"))

    @staticmethod
    def _within(
        connection: Connection, invite: Request, answer: Response, method: str, number: int
    ) -> Request:
        made = connection.request(
            method,
            answer.values("contact")[0].decode().strip("<>"),
            From=(invite.get("from") or b"").decode(),
            To=(answer.get("to") or b"").decode(),
            Call_ID=invite.call_id.decode(),
            CSeq=f"{number} {method}",
        )
        for route in answer.values("record-route")[::-1]:
            made.add("Route", route)
        return made

    def _took(self, seconds: float) -> None:
        self._slowest = max(self._slowest or 0.0, seconds * 1000)
