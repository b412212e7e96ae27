"""Phones on loopback that ask the server for its services, each once: what is lost, is lost.

None repeats a request, as phones over UDP would: then a probe tells how the server was at that
moment, not within the next half minute.
"""

from __future__ import annotations

import asyncio
from itertools import count

from remusnet.sip.message import Malformed, Request, Response, parse
from remusnet.sip.message.build import respond
from remusnet.sip.message.via import top

HOST = "127.0.0.1"
DOMAIN = "example.org"


class Phone(asyncio.DatagramProtocol):
    """A UDP socket that asks, and that answers every request with 200."""

    def __init__(self, name: str, server: int) -> None:
        self.name = name
        self._server = (HOST, server)
        self._transport: asyncio.DatagramTransport | None = None
        self._waiting: dict[bytes, asyncio.Future[Response]] = {}
        self._numbers = count(1)
        self.port = 0

    async def open(self) -> None:
        """Bind a port of loopback that is free."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, (HOST, 0))
        self.port = self._transport.get_extra_info("sockname")[1]

    def close(self) -> None:
        """Let the port go."""
        if self._transport is not None:
            self._transport.close()

    def request(self, method: str, uri: str, **headers: str) -> Request:
        """A request; ``headers`` take the places of those that it has anyway."""
        number = next(self._numbers)
        here = f"{HOST}:{self.port}"
        fields = {
            "Via": f"SIP/2.0/UDP {here};branch=z9hG4bK{self.port}n{number};rport",
            "Max-Forwards": "70",
            "From": f"<sip:{self.name}@{DOMAIN}>;tag={self.port}n{number}",
            "To": f"<{uri}>",
            "Call-ID": f"{self.port}n{number}@{HOST}",
            "CSeq": f"{number} {method}",
            "Contact": f"<sip:{self.name}@{here}>",
            "Content-Length": "0",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        made = Request(method.encode(), uri.encode(), [])
        for name, value in fields.items():
            made.add(name, value.encode())
        return made

    def send(self, message: Request | Response) -> None:
        """Send it once."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(message.serialize(), self._server)

    async def ask(self, asked: Request, patience_s: float) -> Response | None:
        """The final response; None where none comes in ``patience_s``."""
        branch = top(asked).branch
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._waiting[branch] = answer
        self.send(asked)
        try:
            async with asyncio.timeout(patience_s):
                found = await answer
        except TimeoutError:
            return None
        finally:
            del self._waiting[branch]
        if asked.method == b"INVITE" and found.status >= 300:
            self.send(self._ack(asked, found))
        return found

    def datagram_received(self, data: bytes, _source: object) -> None:
        """A response to what was asked, or a request to answer."""
        try:
            message = parse(data)
        except Malformed:
            return
        if isinstance(message, Response):
            waiting = self._waiting.get(top(message).branch)
            if waiting is not None and not waiting.done() and message.status >= 200:
                waiting.set_result(message)
        elif message.method != b"ACK":
            answer = respond(message, 200, tag=self.name)
            for value in message.lines("record-route"):
                answer.add("Record-Route", value)
            answer.add("Contact", f"<sip:{self.name}@{HOST}:{self.port}>".encode())
            self.send(answer)

    def error_received(self, _error: Exception) -> None:
        """Nobody is there: an answer that does not come says the same."""

    def _ack(self, invite: Request, answer: Response) -> Request:
        made = self.request(
            "ACK",
            invite.uri.decode(),
            Via=(invite.get("via") or b"").decode(),
            From=(invite.get("from") or b"").decode(),
            To=(answer.get("to") or b"").decode(),
            Call_ID=invite.call_id.decode(),
            CSeq=f"{invite.cseq[0]} ACK",
        )
        made.remove("contact")
        return made


class Call:
    """A call that ``caller`` has set up."""

    def __init__(self, caller: Phone, invite: Request, answer: Response) -> None:
        self._caller, self._invite, self._answer = caller, invite, answer
        self._numbers = count(invite.cseq[0] + 1)

    def acknowledge(self) -> None:
        """Send the ACK of the 200."""
        self._caller.send(self._within("ACK", self._invite.cseq[0]))

    async def ask(self, method: str, patience_s: float) -> Response | None:
        """The final response to a request within the call."""
        return await self._caller.ask(self._within(method, next(self._numbers)), patience_s)

    def _within(self, method: str, number: int) -> Request:
        contact = self._answer.values("contact")[0].decode().strip("<>")
        made = self._caller.request(
            method,
            contact,
            From=(self._invite.get("from") or b"").decode(),
            To=(self._answer.get("to") or b"").decode(),
            Call_ID=self._invite.call_id.decode(),
            CSeq=f"{number} {method}",
        )
        for route in self._answer.values("record-route")[::-1]:
            made.add("Route", route)
        return made


async def called(caller: Phone, user: str, patience_s: float) -> Call | None:
    """A call to ``user``, set up; None where that fails."""
    invite = caller.request("INVITE", f"sip:{user}@{DOMAIN}")
    answer = await caller.ask(invite, patience_s)
    if answer is None or answer.status >= 300:
        return None
    call = Call(caller, invite, answer)
    call.acknowledge()
    return call


async def registered(phone: Phone, user: str, patience_s: float, expires_s: int = 3600) -> bool:
    """Whether ``phone`` could be registered as ``user``."""
    address = f"<sip:{user}@{DOMAIN}>"
    asked = phone.request("REGISTER", f"sip:{DOMAIN}", To=address, Expires=str(expires_s))
    answer = await phone.ask(asked, patience_s)
    return answer is not None and answer.status == 200
