"""Sixty messages that are hard to read, and what each gets (in the spirit of RFC 4475).

Each goes to a whole server, in virtual time. ``Case.gets``: the status of the response, `SILENCE`,
or `FORWARDED`: bob's phone gets it, and no error comes back. After each a good OPTIONS is answered.
"""

# ruff: noqa: E501  # a table: a line of it is a case

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from remusnet.actors.events import Change
from remusnet.sip.flows import Flow, Transport
from remusnet.sip.message import Request, Response
from remusnet.sip.settings import Settings
from tests.lib.sip_bench import phone, request
from tests.lib.sip_whole import ALICE, BOB, OPEN, WholeBench, answered, invited, opened, virtual

SILENCE = 0
FORWARDED = -1
TCP = phone("192.0.2.1", 40001, Transport.TCP)
NAT = phone("203.0.113.9", 40000)


@dataclass(frozen=True, slots=True)
class Case:
    """One message. ``section``: of RFC 3261, where no other RFC is named. ``has``: in the answer."""

    name: str
    section: str
    gets: int
    data: bytes
    flow: Flow = ALICE
    has: bytes = b""


def message(
    start: bytes, *lines: bytes, body: bytes = b"", without: tuple[bytes, ...] = ()
) -> bytes:
    """A message whose required headers ``lines`` replace by their names, or follow."""
    method = start.split()[0]
    fields = {
        b"via": b"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKtorture",
        b"max-forwards": b"Max-Forwards: 70",
        b"from": b"From: <sip:alice@example.org>;tag=a1",
        b"to": b"To: <sip:bob@example.org>",
        b"call-id": b"Call-ID: torture@192.0.2.1",
        b"cseq": b"CSeq: 10 " + method,
    }
    others = []
    for line in lines:
        name = line.partition(b":")[0].strip().lower()
        if name in fields and b"\0again" not in line:
            fields[name] = line
        else:
            others.append(line.replace(b"\0again", b""))
    for name in without:
        del fields[name]
    return b"\r\n".join([start, *fields.values(), *others, b"", body])


OPTIONS = b"OPTIONS sip:example.org SIP/2.0"
INVITE = b"INVITE sip:bob@example.org SIP/2.0"
MESSAGE = b"MESSAGE sip:bob@example.org SIP/2.0"
REGISTER = b"REGISTER sip:example.org SIP/2.0"
AGAIN = b"\0again"

CASES = [
    # What is odd, and valid.
    Case(
        "everything folded, compact and oddly spaced", "7.3.1", FORWARDED,
        b"INVITE sip:bob@example.org;unknown=1 SIP/2.0\r\nTO :\r\n sip:bob@example.org ;   x = 1\r\n"
        b'f  : "A \\\\\\" Lice"  <sip:alice@example.org>\r\n  ;\r\n  tag = 98\r\nMaX-fOrWaRdS: 0068\r\n'
        b"i: odd.torture@192.0.2.1\r\ncseq: 0009\r\n  INVITE\r\nv  : SIP  / 2.0\r\n  /UDP\r\n    192.0.2.1"
        b" ;branch\r\n = z9hG4bKodd\r\ns :\r\nNew:\r\n:;,:;\r\nl : 0\r\n\r\n".replace(b"New:\r\n:", b"New: :"),
    ),
    Case("a folded CSeq", "7.3.1", 200, message(OPTIONS, b"CSeq: 10\r\n\t OPTIONS")),
    Case("blanks within SIP / 2.0 of Via", "25.1", 200, message(OPTIONS, b"Via: SIP / 2.0 / UDP 192.0.2.1 ; branch=z9hG4bK1")),
    Case("blanks within SIP / 2.0 of the request line", "25.1", 200, message(b"OPTIONS sip:example.org SIP / 2.0")),
    Case("a version in lower case", "7.1", 200, message(b"OPTIONS sip:example.org sip/2.0")),
    Case("blank lines ahead", "7.5", 200, b"\r\n\r\n\r\n" + message(OPTIONS)),
    Case("line feeds alone", "7.5", 200, message(OPTIONS).replace(b"\r\n", b"\n")),
    Case("bytes behind Content-Length", "18.3", FORWARDED, message(MESSAGE, b"Content-Length: 2", body=b"hiMESSAGE sip:x SIP/2.0\r\n\r\n")),
    Case("another message behind Content-Length 0", "18.3", 200, message(OPTIONS, b"l: 0", body=message(INVITE))),
    Case("a method that nobody knows", "16.3", FORWARDED, message(b"!intere%ting-`~+* sip:bob@example.org SIP/2.0")),
    Case("escapes in the user", "19.1.2", FORWARDED, message(b"MESSAGE sip:%62%6f%62@EXAMPLE.org SIP/2.0")),
    Case("an escaped zero in the user", "19.1.2", 480, message(b"MESSAGE sip:null-%00@example.org SIP/2.0")),
    Case("an escaped zero in From and Contact", "19.1.2", 200, message(REGISTER, b"From: <sip:b%00b@example.org>;tag=1", b"Contact: <sip:%00%00@192.0.2.1>")),
    Case("a scheme in upper case", "19.1.4", 200, message(b"OPTIONS SIP:EXAMPLE.ORG SIP/2.0")),
    Case("a semicolon in the user", "19.1.1", 480, message(b"MESSAGE sip:bob;par=u%40x@example.org SIP/2.0")),
    Case("bytes of latin-1 in a name", "25.1", FORWARDED, message(MESSAGE, b'From: "Ren\xe9" <sip:alice@example.org>;tag=1')),
    Case("UTF-8 in a name and a subject", "7.3.1", FORWARDED, message(MESSAGE, "From: Grüße <sip:alice@example.org>;tag=1".encode(), "Subject: 中文".encode())),
    Case("bytes of no character set in an unknown header", "7.3.1", FORWARDED, message(MESSAGE, b"X-Bytes: \xff\xfe\x80\x00\x01")),
    Case("a body of zeros and line ends", "7.4", FORWARDED, message(MESSAGE, b"Content-Length: 8", body=b"\0\r\n\r\n\0\r\n")),
    Case("quotes that hide commas, brackets and semicolons", "20.10", FORWARDED, message(MESSAGE, b'From: "a, <b>; \\"c\\"" <sip:alice@example.org>;tag=1')),
    Case("an address without brackets, whose parameter is the header's", "20", FORWARDED, message(MESSAGE, b"To: sip:bob@example.org;unknown")),
    Case("a CSeq number just below 2**31", "8.1.1.5", 200, message(OPTIONS, b"CSeq: 2147483647 OPTIONS")),
    Case("a hundred and fifty values of Via", "16.3", FORWARDED, message(MESSAGE, b"Via" + AGAIN + b": " + b", ".join(b"SIP/2.0/TCP h%d;branch=z9hG4bKx%d" % (i, i) for i in range(150)))),
    Case("a Via of a transport that nobody knows below", "20.42", FORWARDED, message(MESSAGE, b"Via" + AGAIN + b": SIP/2.0/UNKNOWN host;branch=z9hG4bK2")),
    Case("a branch that is the cookie alone", "8.1.1.7", 200, message(OPTIONS, b"Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK")),
    Case("no branch and no tag, as RFC 2543 had it", "17.2.3", 200, message(OPTIONS, b"Via: SIP/2.0/UDP 192.0.2.1", b"From: <sip:alice@example.org>")),
    Case("no Max-Forwards", "16.3", FORWARDED, message(MESSAGE, without=(b"max-forwards",))),
    Case("an unreadable Expires", "20.19", 200, message(REGISTER, b"Expires: soon", b"Contact: <sip:alice@192.0.2.1>")),
    Case("an expiry of 2**32 and more", "20.19", 200, message(REGISTER, b"Contact: <sip:alice@192.0.2.1>;expires=99999999999999")),
    Case("a Contact of parameters in any case and order", "20.10", 200, message(REGISTER, b"m: Alice<sip:alice@192.0.2.1;OB>;Q=0.5 ; EXPIRES=60"), has=b"q=0.5;expires=60"),
    Case("a Date and a Warning that are none", "20.17", FORWARDED, message(MESSAGE, b"Date: yesterday", b"Warning: overload")),
    Case("rport asked for from behind a NAT", "RFC 3581, 4", 200, message(OPTIONS, b"Via: SIP/2.0/UDP 10.0.0.1;rport;branch=z9hG4bK1"), NAT, b"rport=40000"),
    # What can't be read, or must not be done.
    Case("no From", "8.1.1", 400, message(OPTIONS, without=(b"from",))),
    Case("no To", "8.1.1", 400, message(OPTIONS, without=(b"to",))),
    Case("no Call-ID", "8.1.1", 400, message(OPTIONS, without=(b"call-id",))),
    Case("no CSeq", "8.1.1", 400, message(OPTIONS, without=(b"cseq",))),
    Case("no Via", "18.2.2", SILENCE, message(OPTIONS, without=(b"via",))),
    Case("a Via of commas", "18.2.2", SILENCE, message(OPTIONS, b"Via: ,,")),
    Case("a Via that is none", "18.2.2", SILENCE, message(OPTIONS, b"Via: SIP/2.0 UDP 192.0.2.1")),
    Case("From, To, Call-ID and CSeq twice", "7.3.1", 400, message(OPTIONS, b"From" + AGAIN + b": <sip:eve@example.org>;tag=2", b"CSeq" + AGAIN + b": 5 INVITE")),
    Case("Content-Length twice", "7.3.1", 400, message(OPTIONS, b"l: 0", b"Content-Length: 0")),
    Case("a negative Content-Length", "20.14", 400, message(OPTIONS, b"Content-Length: -999")),
    Case("a Content-Length beyond the datagram", "18.3", 400, message(OPTIONS, b"Content-Length: 9999", body=b"short")),
    Case("no Content-Length over TCP", "18.3", 400, message(OPTIONS), TCP),
    Case("two Content-Lengths over TCP", "18.3", 400, message(OPTIONS, b"Content-Length: 0", b"l: 9"), TCP),
    Case("a body of 99 MB announced over TCP", "21.4.11", 413, message(OPTIONS, b"Content-Length: 99999999"), TCP),
    Case("a CSeq number of 2**31", "8.1.1.5", 400, message(OPTIONS, b"CSeq: 2147483648 OPTIONS")),
    Case("a CSeq number of forty digits", "8.1.1.5", 400, message(OPTIONS, b"CSeq: " + b"9" * 40 + b" OPTIONS")),
    Case("a CSeq of another method", "8.1.1.5", 400, message(OPTIONS, b"CSeq: 10 INVITE")),
    Case("Max-Forwards that is no number", "20.22", 400, message(MESSAGE, b"Max-Forwards: many")),
    Case("Max-Forwards of 0", "16.3", 483, message(MESSAGE, b"Max-Forwards: 0")),
    Case("version 7.0, and a CSeq of another method", "21.5.6", 505, message(b"OPTIONS sip:example.org SIP/7.0", b"CSeq: 1 INVITE")),
    Case("a scheme that nobody knows", "21.4.14", 416, message(b"OPTIONS nobody:bob SIP/2.0")),
    Case("a scheme that is known and not served", "21.4.14", 416, message(b"MESSAGE http://example.org SIP/2.0")),
    Case("a request URI in brackets", "25.1", 400, message(b"MESSAGE <sip:bob@example.org> SIP/2.0")),
    Case("blanks in the request URI", "25.1", 400, message(b"MESSAGE sip:bob@example.org; lr SIP/2.0")),
    Case("no version", "25.1", 400, message(b"MESSAGE sip:bob@example.org")),
    Case("a port beyond 65535", "19.1.1", 400, message(b"MESSAGE sip:bob@example.org:70000 SIP/2.0")),
    Case("Proxy-Require that nobody knows", "16.3", 420, message(MESSAGE, b"Proxy-Require: nothing, new"), has=b"Unsupported: nothing, new"),
    Case("Require that this server does not know", "8.2.2.3", 420, message(OPTIONS, b"Require: nothing"), has=b"Unsupported: nothing"),
    Case("Require that the registrar does not know", "10.3", 420, message(REGISTER, b"Require: nothing"), has=b"Unsupported: nothing"),
    Case("To with a quote that nobody closes", "25.1", 400, message(MESSAGE, b'To: "Mr. Bob <sip:bob@example.org>')),
    Case("a URI with headers that lacks its brackets", "20.10", 400, message(REGISTER, b"Contact: sip:alice@192.0.2.1?Route=%3Csip:x%3E")),
    Case("Contact * and an expiry", "10.3", 400, message(REGISTER, b"Contact: *", b"Expires: 60")),
    Case("a header hidden behind a lone CR", "25.1", 400, message(MESSAGE, b"X: a\rRoute: <sip:evil.example;lr>")),
    Case("a line without a colon", "25.1", 400, message(MESSAGE, b"no header at all")),
    Case("headers that never end", "7", 400, message(OPTIONS)[:-4]),
    Case("a response to nothing", "RFC 6026, 8.9", SILENCE, message(b"SIP/2.0 200 OK", b"CSeq: 1 INVITE")),
    Case("a response whose status is out of range", "25.1", SILENCE, message(b"SIP/2.0 4294967301 better", b"CSeq: 1 INVITE")),
    Case("an ACK without To", "17.1.1.3", SILENCE, message(b"ACK sip:bob@example.org SIP/2.0", without=(b"to",))),
    Case("a request of the web", "25.1", SILENCE, b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"),
]  # fmt: skip


def test_there_are_sixty_and_more() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 60


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@virtual
async def test_a_tortuous_message_gets_its_answer(case: Case) -> None:
    bench = await opened(WholeBench(OPEN))
    await bench.register("bob", BOB)
    await bench.receive(case.data, case.flow)
    sent = bench.sent()
    to_bob = [each for each in sent if isinstance(each, Request)]
    answers = [each for each in sent if isinstance(each, Response) and each.status > 100]
    if case.gets == FORWARDED:
        assert answers == []
        assert len(to_bob) == 1, f"{case.section}: {sent}"
        assert to_bob[0].uri == b"sip:bob@192.0.2.2:5070"
    elif case.gets == SILENCE:
        assert sent == [], case.section
    else:
        assert [each.status for each in answers] == [case.gets], case.section
        assert to_bob == []
        assert case.has in answers[0].serialize()
        source = bench.sockets.raw[-1][1].remote
        assert source is not None
        assert source.host == case.flow.remote.host
    good = phone("192.0.2.9")
    await bench.receive(request("OPTIONS", "sip:example.org", good), good)
    assert 200 in bench.statuses()
    assert [event for event in bench.events if event.change is Change.FAILED] == []


@virtual
async def test_what_is_unknown_goes_on_byte_for_byte() -> None:
    """RFC 3261, 16.6: all but what a proxy has to change stays as it is."""
    bench = await opened(WholeBench(OPEN))
    await bench.register("bob", BOB)
    odd = [b'X-Odd :\t \xff\xfe\r\n\t "folded\\', b"s:  compact ", b"Date: yesterday"]
    await bench.receive(message(MESSAGE, *odd, b"l: 3", body=b"\0\n\r"), ALICE)
    [forwarded] = [each for each in bench.sockets.raw if each[0].startswith(b"MESSAGE")]
    for line in odd:
        assert b"\r\n" + line + b"\r\n" in forwarded[0]
    assert forwarded[0].endswith(b"\r\n\r\n\0\n\r")


@virtual
async def test_a_broken_request_from_behind_a_nat_is_answered_where_it_came_from() -> None:
    """RFC 3261, 18.2.1; RFC 3581, 4: also 400 has `received` and `rport`."""
    bench = await opened(WholeBench(OPEN))
    via = b"Via: SIP/2.0/UDP 10.0.0.1:5062;rport;branch=z9hG4bK1"
    await bench.receive(message(OPTIONS, via, without=(b"to",)), NAT)
    [(data, target)] = bench.sockets.raw
    assert data.startswith(b"SIP/2.0 400 Bad Request: no To header\r\n")
    assert b"rport=40000;branch=z9hG4bK1;received=203.0.113.9" in data
    assert target.remote == NAT.remote


@pytest.mark.parametrize("lost", [b"no-length", b"too-long"])
@virtual
async def test_what_comes_before_an_unframed_message_is_done_and_then_the_stream_ends(
    lost: bytes,
) -> None:
    """RFC 3261, 18.3: nobody can tell where the next one begins."""
    bench = await opened(WholeBench(OPEN))
    flow = phone("192.0.2.1", 40001, Transport.TCP)
    good = request("OPTIONS", "sip:example.org", flow).serialize()
    length = () if lost == b"no-length" else (b"Content-Length: 99999999",)
    await bench.receive(good + message(OPTIONS, *length) + good, flow)
    assert sorted(bench.statuses()) == [200, 400 if lost == b"no-length" else 413]
    assert bench.sockets.ended == [flow]


@virtual
async def test_an_ack_of_no_call_is_not_relayed_to_strangers() -> None:
    """RFC 3261, 26.3.2: an ACK can't be challenged, so it must not lead anywhere else."""
    bench = await opened(WholeBench(Settings(authenticate=True, use_dns=False)))
    await bench.receive(message(b"ACK sip:victim@198.51.100.7 SIP/2.0"), ALICE)
    assert bench.sockets.raw == []
    assert bench.held.calls.calls == {}


@virtual
async def test_a_request_that_nobody_answers_is_forgotten_when_its_client_has_given_up() -> None:
    """RFC 4320, 4.2: no 408 goes back; what nobody waits for any more must not be kept either."""
    bench = await opened(WholeBench(OPEN))
    await bench.register("bob", BOB)
    await bench.receive(message(MESSAGE), ALICE)
    assert len(bench.sent()) == 1
    await asyncio.sleep(70)
    assert len(bench.wiring.table) == 0
    assert bench.statuses() == [100], "RFC 4320, 4.1: that it has come, and no more"


@virtual
async def test_an_invite_that_only_rings_is_forgotten_after_its_cancel_has_led_nowhere() -> None:
    """RFC 3261, 9.1 and 16.8: 64*T1 after the CANCEL nobody waits for a final response."""
    bench = await opened(WholeBench(OPEN))
    await bench.register("bob", BOB)
    _invite, [forwarded] = await invited(bench)
    await answered(bench, forwarded, 180)
    await asyncio.sleep(1000)
    assert 408 in bench.statuses()
    assert len(bench.wiring.table) == 0
    assert bench.held.calls.calls == {}


@virtual
async def test_headers_that_are_too_long_end_their_stream_and_are_not_answered() -> None:
    """A message whose headers have no end within 64 KB can't be answered: nobody has read its Via."""
    bench = await opened(WholeBench(OPEN))
    flow = phone("192.0.2.1", 40002, Transport.TCP)
    for _ in range(70):
        await bench.receive(b"X: " + b"y" * 1021 + b"\r\n", flow)
    assert bench.sockets.ended == [flow]
    assert bench.sockets.raw == []
    assert bench.wiring.counts.malformed == 1
