"""A SIP end on a UDP socket of loopback, which does what a test says, right or wrong."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable
from itertools import count
from types import TracebackType

from remusnet.sip.message import Malformed, Request, Response, parse
from remusnet.sip.message.build import ack, respond
from remusnet.sip.message.uri import read_address
from tests.lib.sip_digest import credentials

HOST = "127.0.0.1"
_numbers = count(1)
_SECONDS = 20.0  # for what must come: the machine may be busy


class Agent:
    """One end. ``name``: its user; ``domain``: where that is one."""

    def __init__(self, name: str = "alice", domain: str = "example.org") -> None:
        self.name = name
        self.domain = domain
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind((HOST, 0))
        self.port: int = self.socket.getsockname()[1]
        self.source = 0  # the port of what was received last

    def __enter__(self) -> Agent:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.close()

    @property
    def contact(self) -> str:
        """Where it is."""
        return f"<sip:{self.name}@{HOST}:{self.port}>"

    def request(self, method: str, uri: str, **headers: str) -> Request:
        """A whole request; ``headers`` replace some of it, empty ones are left out."""
        number = next(_numbers)
        fields = {
            "via": f"SIP/2.0/UDP {HOST}:{self.port};branch=z9hG4bK{self.port}n{number};rport",
            "max_forwards": "70",
            "from": f"<sip:{self.name}@{self.domain}>;tag=f{number}",
            "to": f"<{uri}>",
            "call_id": f"c{number}.{self.port}@{HOST}",
            "cseq": f"{number} {method}",
            "contact": self.contact,
            "content_length": "0",
            **headers,
        }
        made = Request(method.encode(), uri.encode(), [])
        for name, value in fields.items():
            if value:
                made.add(name.replace("_", "-").title(), value.encode())
        return made

    def send(self, message: Request | Response | bytes, port: int) -> None:
        """To a port of loopback."""
        data = message if isinstance(message, bytes) else message.serialize()
        self.socket.sendto(data, (HOST, port))

    def receive(self, seconds: float = _SECONDS) -> Request | Response | None:
        """The next message; None where none comes in time."""
        deadline = time.monotonic() + seconds
        while select.select([self.socket], [], [], max(deadline - time.monotonic(), 0))[0]:
            data, (_, self.source) = self.socket.recvfrom(65536)
            try:
                return parse(data)
            except Malformed as error:
                # An answer to a request that lacks a header lacks it too.
                if isinstance(error.message, Response):
                    return error.message
        return None

    def answer_to(
        self, asked: Request | bytes, port: int, seconds: float = _SECONDS, *, least: int = 200
    ) -> Response | None:
        """The response, of ``least`` status; None where none comes. Nothing is repeated."""
        self.send(asked, port)
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            found = self.receive(left)
            if isinstance(found, Response) and found.status >= least:
                if isinstance(asked, Request) and asked.method == b"INVITE" and least >= 200:
                    self._acknowledge(asked, found, port)
                return found
        return None

    def proven(self, made: Request, port: int, password: str) -> Response | None:
        """The final response to a request that is repeated with credentials when challenged."""
        found = self.answer_to(made, port)
        challenges = found.lines("www-authenticate") if found is not None else []
        header = "Authorization" if challenges else "Proxy-Authorization"
        if found is not None and not challenges:
            challenges = found.lines("proxy-authenticate")
        if not challenges:
            return found
        again = made.copy()
        number, method = made.cseq
        again.set("CSeq", b"%d %b" % (number + 1, method))
        via = f"SIP/2.0/UDP {HOST}:{self.port};branch=z9hG4bK{self.port}p{next(_numbers)};rport"
        again.set("Via", via.encode())
        proof = credentials(challenges[0], method.decode(), password, name=self.name)
        again.add(header, proof)
        return self.answer_to(again, port)

    def want(self, asked: Request | bytes, port: int, status: int) -> Response:
        """The final response, which must have ``status``."""
        found = self.answer_to(asked, port)
        assert found is not None, f"no answer to {asked!r}"
        assert found.status == status, found.serialize()
        return found

    def wait(self, fits: Callable[[Request | Response], bool]) -> Request | Response:
        """The next message that fits; others are passed over."""
        deadline = time.monotonic() + _SECONDS
        while (left := deadline - time.monotonic()) > 0:
            found = self.receive(left)
            if found is not None and fits(found):
                return found
        raise AssertionError("what was waited for has not come")

    def wait_for(self, method: str) -> Request:
        """The next request of that method."""
        found = self.wait(lambda each: isinstance(each, Request) and each.method == method.encode())
        assert isinstance(found, Request)
        return found

    def answer(self, asked: Request, status: int, **headers: str) -> Response:
        """Respond to what came last."""
        response = respond(asked, status, tag=f"t{self.port}")
        for value in asked.lines("record-route"):
            response.add("Record-Route", value)
        for name, text in {"contact": self.contact, **headers}.items():
            response.add(name.title(), text.encode())
        self.send(response, self.source)
        return response

    def register(self, port: int, **headers: str) -> Response:
        """REGISTER at a server; its response, of whatever status."""
        fields = {"to": f"<sip:{self.name}@{self.domain}>", "expires": "600", **headers}
        found = self.answer_to(self.request("REGISTER", f"sip:{self.domain}", **fields), port)
        assert found is not None, "no answer to a REGISTER"
        return found

    def within(self, invite: Request, ok: Response, method: str, number: int) -> Request:
        """A request in the dialog that a 2xx to its INVITE has made (12.2.1.1)."""
        contact = read_address(ok.values("contact")[0])
        assert contact is not None
        return self.request(
            method,
            contact.uri.text.decode(),
            to=(ok.get("to") or b"").decode(),
            call_id=invite.call_id.decode(),
            cseq=f"{number} {method}",
            route=", ".join(value.decode() for value in reversed(ok.values("record-route"))),
            **{"from": (invite.get("from") or b"").decode()},
        )

    def _acknowledge(self, invite: Request, final: Response, port: int) -> None:
        if final.status >= 300:
            self.send(ack(invite, final), port)
        else:
            self.send(self.within(invite, final, "ACK", invite.cseq[0]), port)
