"""A server at which bob is registered, and what it sends, sorted."""

from __future__ import annotations

from collections.abc import Sequence

from remusnet.sip.flows import Endpoint, Flow, Transport
from remusnet.sip.message import Message, Request, Response
from remusnet.sip.settings import Route, Settings
from tests.lib.sip_bench import phone, request
from tests.lib.sip_whole import ALICE, BOB, OPEN, WholeBench, opened

CAROL = phone("192.0.2.3", 5080)
ROUTED = Settings(
    authenticate=False,
    min_expires=1,
    routes=(Route("next.example", Transport.UDP, Endpoint("192.0.2.50", 5060)),),
)


async def with_bob(settings: Settings = OPEN, **headers: str) -> WholeBench:
    bench = await opened(WholeBench(settings))
    await bench.register("bob", BOB, **headers)
    bench.sockets.log.clear()
    return bench


async def both(bench: WholeBench) -> WholeBench:
    """Bob's second phone."""
    fields = {"to": "<sip:bob@example.org>", "contact": f"<sip:bob@{CAROL.remote}>"}
    await bench.receive(request("REGISTER", "sip:example.org", CAROL, **fields), CAROL)
    bench.sent()
    return bench


def requests(messages: Sequence[Message]) -> list[Request]:
    return [each for each in messages if isinstance(each, Request)]


def statuses(messages: Sequence[Message]) -> list[int]:
    return [each.status for each in messages if isinstance(each, Response)]


def finals(messages: Sequence[Message]) -> list[int]:
    return [status for status in statuses(messages) if status >= 200]


async def asked(bench: WholeBench, made: Message, flow: Flow = ALICE) -> list[Request | Response]:
    await bench.receive(made, flow)
    return bench.sent()


def cancelling(invite: Request) -> Request:
    """The CANCEL of an INVITE."""
    wanted = invite.copy()
    wanted.method = b"CANCEL"
    wanted.remove("require")
    wanted.set("CSeq", b"%d CANCEL" % invite.cseq[0])
    return wanted
