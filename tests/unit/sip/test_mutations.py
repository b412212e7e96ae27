"""Mutated messages and garbage, in datagrams and in streams, into a whole server.

No actor fails, nothing grows for good, and a good OPTIONS is answered after each batch. Some 2,000
of them here, 200,000 under ``scripts/test --long``. ``REMUSNET_SEED`` repeats a run by its seed.
"""

# ruff: noqa: E501  # tables of tokens

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

import pytest

from remusnet.actors.events import Change
from remusnet.actors.virtual import run
from remusnet.sip.auth import make_user
from remusnet.sip.flows import Endpoint, Flow, Transport
from remusnet.sip.message import Request
from remusnet.sip.message.build import respond
from remusnet.sip.presets import RESILIENT, THESIS, Preset
from remusnet.sip.settings import Settings
from remusnet.sip.signals import Bytes
from tests.lib.long import count
from tests.lib.long import seed as chosen
from tests.lib.sip_bench import SERVER, phone, request
from tests.lib.sip_whole import BOB, WholeBench, opened
from tests.unit.sip.test_torture import CASES

_BATCH = 100
# As long as a request keeps anything: timer C, and all that comes after it.
_ALL_TIMERS_S = 60.0 * 10
_TOKENS = [
    b"\r\n", b"\n", b"\r", b"\r\n ", b"\0", b" ", b"\t", b",", b";", b":", b"<", b">", b'"', b"\\", b"@",
    b"%", b"%00", b"?", b"=", b"*", b"/", b"[", b"]", b"-1", b"0", b"4294967296", b"9" * 30, b"\xff",
    b"\xc3\xa9", b"SIP/2.0", b"SIP/3.0", b"sip:", b"sips:", b"tel:", b"lr", b"transport=tcp", b"maddr=1",
    b";tag=", b"z9hG4bK", b"INVITE", b"ACK", b"CANCEL", b"BYE", b"REGISTER", b"OPTIONS", b"a" * 3000,
    b"Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\n", b"Route: <sip:192.0.2.100;lr>\r\n", b"\r\n\r\n",
    b"Content-Length: 7\r\n", b"Proxy-Require: x\r\n", b"Max-Breadth: 0\r\n", b"Contact: *\r\n",
]  # fmt: skip


def seeds() -> list[bytes]:
    """What is mutated: good requests and responses of every kind, and the tortuous ones."""
    udp = phone("192.0.2.1")
    good = [request(method, "sip:bob@example.org", udp) for method in ("INVITE", "MESSAGE", "BYE")]
    good += [request("OPTIONS", "sip:example.org", udp), request("ACK", "sip:bob@example.org", udp)]
    invite = good[0]
    digest = 'Digest username="alice", realm="example.org", nonce="n", uri="sip:x", response="0"'
    good += [
        request(
            "REGISTER", "sip:example.org", udp, contact="<sip:a@192.0.2.1>;q=0.5, <sip:b@192.0.2.1>"
        ),
        request("REGISTER", "sip:example.org", udp, contact="*", expires="0"),
        request("REGISTER", "sip:example.org", udp, authorization=digest),
        request("INVITE", "sip:bob@example.org", udp, proxy_authorization=digest),
        request(
            "MESSAGE",
            "sip:192.0.2.100;lr",
            udp,
            route="<sip:192.0.2.100;lr>, <sip:bob@example.org>",
        ),
        request("CANCEL", "sip:bob@example.org", udp, via=(invite.get("via") or b"").decode()),
    ]
    responses = [respond(invite, status, tag="b") for status in (180, 200, 302, 486, 603)]
    return [each.serialize() for each in [*good, *responses]] + [case.data for case in CASES]


def mutated(random_: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """Changes, mostly one: bytes, tokens, lines and halves of other messages."""
    changed = bytearray(data)
    for _ in range(random_.choice((1, 1, 1, 1, 2, 6))):
        place = random_.randrange(len(changed) + 1)
        end = min(place + random_.choice((1, 1, 2, 8, 40)), len(changed))
        kind = random_.randrange(8)
        if kind == 0 and place < len(changed):
            changed[place] = random_.randrange(256)
        elif kind == 1:
            del changed[place:end]
        elif kind == 2:
            changed[place:end] = random_.choice(_TOKENS)
        elif kind == 3:
            changed[place:place] = random_.choice(_TOKENS)
        elif kind == 4:
            changed[place:place] = changed[place:end] * random_.choice((1, 2, 100))
        elif kind == 5:
            lines = changed.split(b"\r\n")
            del changed[:]
            random_.shuffle(lines[1:])
            chosen = random_.randrange(len(lines))
            lines[chosen : chosen + 1] = [lines[chosen]] * random_.choice((0, 2))
            changed += b"\r\n".join(lines)
        elif kind == 6:
            other = random_.choice(others)
            changed[place:] = other[random_.randrange(len(other) + 1) :]
        else:
            lines = changed.split(b"\r\n")
            chosen = random_.randrange(len(lines))
            name, colon, _value = lines[chosen].partition(b":")
            lines[chosen] = name + colon + b" " + random_.choice(_TOKENS)
            changed = bytearray(b"\r\n".join(lines))
    return bytes(changed[:65_000])


def messages(random_: random.Random) -> Iterator[bytes]:
    """Mutated messages, and now and then bytes of nothing. Branches and calls are new ones."""
    known = seeds()
    good = known[: -len(CASES)]
    for number in range(2**62):
        if random_.random() < 0.05:
            yield random_.randbytes(random_.choice((1, 4, 60, 1500)))
            continue
        data = random_.choice(good if random_.random() < 0.7 else known)
        if random_.random() < 0.7:
            # Else it would be a repetition, which is absorbed before it is looked at.
            data = data.replace(b"branch=z9hG4bK", b"branch=z9hG4bK%d." % number)
        yield data if random_.random() < 0.1 else mutated(random_, data, known)


def pieces(random_: random.Random, data: bytes) -> Iterator[bytes]:
    """A stream's bytes as the network may bring them: slowly, halved, all at once."""
    sizes = random_.choice(((1,), (1, 3, 50), (100, 700), (70_000,)))
    if sizes == (1,) and len(data) > 2_000:
        sizes = (50, 700)
    while data:
        size = random_.choice(sizes)
        yield data[:size]
        data = data[size:]


class Rig:
    """A server, and how it is hurt."""

    def __init__(self, random_: random.Random, preset: Preset, *, authenticate: bool) -> None:
        settings = Settings(authenticate=authenticate, min_expires=1, use_dns=False)
        self.random = random_
        self.bench = WholeBench(settings, preset)
        self.checks = 0
        self.largest = 0

    async def prepare(self) -> None:
        """A user to ask for, and a phone that is registered."""
        await opened(self.bench)
        await self.bench.store.put_user(make_user("alice", "example.org", "secret"))
        await self.bench.register("bob", BOB)

    async def datagrams(self, batch: list[bytes]) -> None:
        for data in batch:
            host, port = f"192.0.2.{self.random.randint(1, 9)}", self.random.choice((5060, 40000))
            flow = Flow(Transport.UDP, SERVER, Endpoint(host, port))
            self.tell(data, flow)
            if self.random.random() < 0.1:
                await self.bench.settle()

    async def stream(self, batch: list[bytes]) -> None:
        """One connection for a few, pipelined; then its end, also in the middle of one."""
        while batch:
            taken, batch = batch[:5], batch[5:]
            data = b"".join(self.lengthened(each) for each in taken)
            if self.random.random() < 0.3:
                data = data[: self.random.randrange(len(data) + 1)]
            flow = phone("192.0.2.7", 41000, Transport.TCP)
            for piece in pieces(self.random, data):
                self.tell(piece, flow)
                if self.random.random() < 0.02:
                    await self.bench.settle()
            self.tell(b"", flow)
            await self.bench.settle()
            framer = self.bench.sockets.framers.pop(flow.connection, None)
            assert framer is None or framer.waiting < 2**21

    def lengthened(self, data: bytes) -> bytes:
        """With a Content-Length that is right, most times: what lacks one ends its stream."""
        head, end, body = data.partition(b"\r\n\r\n")
        if self.random.random() < 0.1 or b"\nContent-Length" in head or not end:
            return data
        return head + b"\r\nContent-Length: %d" % len(body) + end + body

    def tell(self, data: bytes, flow: Flow) -> None:
        receiver = self.bench.wiring.receiver
        assert receiver is not None
        receiver.tell(Bytes(data, flow))

    async def answer_some(self) -> None:
        """What bob's phone got, it answers now and then, oddly; others' answers are lost."""
        for sent in self.bench.sent():
            if isinstance(sent, Request) and sent.method != b"ACK" and self.random.random() < 0.3:
                status = self.random.choice((100, 180, 200, 302, 401, 486, 503, 603))
                answer = respond(sent, status, tag="bob").serialize()
                if self.random.random() < 0.5:
                    answer = mutated(self.random, answer, [answer])
                self.tell(answer, BOB)
        await self.bench.settle()
        self.bench.sent()
        del self.bench.sockets.raw[:]

    async def check(self) -> None:
        """It is as well as before."""
        self.checks += 1
        bench = self.bench
        self.largest = max(self.largest, len(bench.wiring.table))
        failed = [event for event in bench.events if event.change is Change.FAILED]
        assert failed == []
        good = phone("192.0.2.99")
        bench.sent()
        options = request(
            "OPTIONS", "sip:example.org", good, **{"from": "<sip:x@elsewhere.example>;tag=1"}
        )
        await bench.receive(options, good)
        assert 200 in bench.statuses(), "a good OPTIONS is not answered"

    async def all_timers(self) -> None:
        """After them only calls that somebody accepted may be left."""
        await asyncio.sleep(_ALL_TIMERS_S)
        await self.bench.settle()
        held = self.bench.held
        assert len(self.bench.wiring.table) == 0
        assert self.bench.wiring.table.same_request == {}
        assert [call for call in held.calls.calls.values() if not call.established] == []
        assert [call for call in held.calls.calls.values() if call.works] == []
        assert held.registrations.waiting == {}
        assert list(self.bench.system.find("transport/transactions").children) == []
        self.bench.sent()
        del self.bench.sockets.raw[:]
        del self.bench.events[:]


@pytest.mark.parametrize("transport", ["datagrams", "streams"])
@pytest.mark.parametrize(
    ("preset", "authenticate"), [(RESILIENT, False), (RESILIENT, True), (THESIS, False)],
    ids=["open", "authenticated", "thesis"],
)  # fmt: skip
def test_no_mutated_message_makes_an_actor_fail_or_the_server_grow(
    transport: str, preset: Preset, authenticate: bool
) -> None:
    seed = chosen()
    random_ = random.Random(seed)
    total = count(sample=2_000, long=200_000) // 6

    async def main() -> None:
        rig = Rig(random_, preset, authenticate=authenticate)
        await rig.prepare()
        source = messages(random_)
        for number in range(-(-total // _BATCH)):
            batch = [next(source) for _ in range(_BATCH)]
            await (rig.datagrams(batch) if transport == "datagrams" else rig.stream(batch))
            await rig.bench.settle()
            await rig.answer_some()
            await rig.check()
            if number % 10 == 9:
                await rig.all_timers()
                assert not [each for each in rig.bench.events if each.change is Change.FAILED]
        await rig.all_timers()
        counts = rig.bench.wiring.counts
        assert len(counts.requests) <= 101
        assert counts.malformed > 0
        print(f"{rig.checks * _BATCH} messages, {counts.malformed} malformed, table {rig.largest}")

    run(main())
