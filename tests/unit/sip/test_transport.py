"""From a datagram to a core and back: receiver, coder, transactions, sender, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from remusnet.actors import Actor, Cell
from remusnet.actors.virtual import run
from remusnet.sip.message import Response
from remusnet.sip.message.build import respond
from remusnet.sip.presets import RESILIENT, THESIS, Preset
from remusnet.sip.signals import Incoming, Respond
from remusnet.sip.tree import Cores
from remusnet.sip.wiring import Wiring
from tests.lib.sip_bench import SipBench, phone, request


class Answers(Actor):
    """A core that answers each request at once."""

    def __init__(self, wiring: Wiring, status: int) -> None:
        self._wiring = wiring
        self._status = status

    def started(self) -> None:
        if self._wiring.proxy is None or self._wiring.proxy.name == self.context.name:
            self._wiring.proxy = self.context
        if self.context.name == "registrar":
            self._wiring.registrar = self.context

    def receive(self, message: object) -> None:
        if isinstance(message, Incoming):
            message.transaction.tell(Respond(respond(message.request, self._status, tag="t")))


def bench(status: int = 200, preset: Preset = RESILIENT) -> SipBench:
    def cores(wiring: Wiring) -> Cores:
        def make() -> Actor:
            return Answers(wiring, status)

        return Cores(registrar=make, location=make, proxy=make)

    return SipBench(cores, preset=preset)


def test_a_request_is_answered_once_and_its_repetition_by_the_transaction() -> None:
    async def main() -> None:
        server = bench()
        options = request("OPTIONS", "sip:example.org", phone())
        await server.receive(options, phone())
        await server.receive(options, phone())
        assert server.statuses() == [200, 200]
        assert len(server.wiring.table) == 1
        await asyncio.sleep(33)  # timer J: 64*T1
        assert len(server.wiring.table) == 0
        assert list(server.system.find("transport/transactions").children) == []

    run(main())


def test_responses_go_where_rport_or_via_say() -> None:
    """RFC 3261, 18.2.2; RFC 3581, 4."""

    async def main() -> None:
        server = bench()
        nat = phone("203.0.113.9", 40000)
        via = "SIP/2.0/UDP 10.0.0.5:5062;branch=z9hG4bKnat"
        await server.receive(request("OPTIONS", "sip:example.org", nat, via=via), nat)
        await server.receive(request("OPTIONS", "sip:example.org", nat, via=via + "2;rport"), nat)
        first, second = server.sockets.log
        assert str(first.target.remote) == "203.0.113.9:5062"
        assert str(second.target.remote) == "203.0.113.9:40000"
        assert first.message.get("via") == (via + ";received=203.0.113.9").encode()
        assert second.message.get("via") == (via + "2;rport=40000;received=203.0.113.9").encode()

    run(main())


def test_an_invite_is_tried_at_once_and_its_final_response_repeated_until_the_ack() -> None:
    """RFC 3261, 17.2.1: timer G doubles up to T2."""

    async def main() -> None:
        server = bench(486)
        invite = request("INVITE", "sip:bob@example.org", phone())
        await server.receive(invite, phone())
        await asyncio.sleep(11.6)  # 0.5, 1.5, 3.5, 7.5, 11.5
        assert server.statuses() == [100, 486, 486, 486, 486, 486, 486]
        ack = invite.copy()
        ack.method = b"ACK"
        ack.set("CSeq", b"%d ACK" % invite.cseq[0])
        await server.receive(ack, phone())
        await asyncio.sleep(40)
        assert server.statuses() == []
        assert len(server.wiring.table) == 0

    run(main())


@pytest.mark.parametrize(
    ("damage", "status"),
    [
        ((b"SIP/2.0\r\n", b"SIP/3.0\r\n"), 505),
        ((b"To: ", b"Too: "), 400),
        ((b" OPTIONS\r\n", b" REGISTER\r\n"), 400),
        ((b"Content-Length: 0", b"Content-Length: 9"), 400),
        ((b"Via: ", b"Vio: "), None),
    ],
)
def test_what_is_malformed_is_answered_where_that_is_possible(
    damage: tuple[bytes, bytes], status: int | None
) -> None:
    async def main() -> None:
        server = bench()
        data = request("OPTIONS", "sip:example.org", phone()).serialize()
        await server.receive(data.replace(*damage), phone())
        assert server.statuses() == ([] if status is None else [status])
        assert server.wiring.counts.malformed == 1
        assert not [event for event in server.events if event.change.value == "failed"]

    run(main())


KINDS = ["receiver", "coder", "transactions", "sender"]


@pytest.mark.parametrize("kind", KINDS)
def test_under_resilient_a_fault_at_any_message_costs_no_answer(kind: str) -> None:
    """Each actor fails at its n-th message, for every n that comes."""

    async def main(nth: int) -> bool:
        server = bench(486)
        seen = 0
        struck = False

        def strike(cell: Cell, message: object) -> None:
            nonlocal seen, struck
            if cell.path == f"transport/{kind}" and not struck:
                seen += 1
                if seen == nth:
                    struck = True
                    raise RuntimeError("struck")

        server.system.before = strike
        invite = request("INVITE", "sip:bob@example.org", phone())
        await server.receive(invite, phone())
        ack = invite.copy()
        ack.method = b"ACK"
        ack.set("CSeq", b"%d ACK" % invite.cseq[0])
        await server.receive(ack, phone())
        assert server.statuses() == [100, 486]
        assert len(server.wiring.table) == 1
        await asyncio.sleep(40)
        assert len(server.wiring.table) == 0
        return struck

    nth = 1
    while run(main(nth)):
        nth += 1
    assert nth > 2


def test_under_thesis_a_restarted_router_forgets_its_transactions() -> None:
    async def main() -> None:
        server = bench(180, THESIS)
        await server.receive(request("INVITE", "sip:bob@example.org", phone()), phone())
        assert len(server.wiring.table) == 1
        server.system.find("transport/transactions").crash(RuntimeError("a fault"))
        await server.settle()
        assert len(server.wiring.table) == 0
        assert list(server.system.find("transport/transactions").children) == []

    run(main())


def test_a_response_with_a_foreign_via_is_dropped() -> None:
    """RFC 3261, 18.1.2."""

    async def main() -> None:
        server = bench()
        options = request("OPTIONS", "sip:example.org", phone())
        stray = Response(200, b"OK", list(options.headers))
        await server.receive(stray, phone())
        assert server.sent() == []
        assert server.wiring.counts.stray == 1

    run(main())
