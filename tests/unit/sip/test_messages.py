"""Messages: read, edited and written byte for byte; streams cut into them (RFC 3261, 7, 18.3, 20).

Nothing here needs a server.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from remusnet.sip.auth import Nonces, Result, check, make_user, parse_credentials
from remusnet.sip.message import Framer, Malformed, Request, Response, framing, parse, split_list
from remusnet.sip.message.build import respond
from remusnet.sip.message.framing import Unframed
from remusnet.sip.message.uri import _read_any_uri, is_address, read_address, read_uri
from remusnet.sip.message.via import came_from, read
from tests.lib.long import count

INVITE = (
    b"INVITE sip:bob@example.org SIP/2.0\r\n"
    b"v: SIP/2.0/UDP a.example;branch=z9hG4bKa,\r\n SIP/2.0/TCP b.example;branch=z9hG4bKb\r\n"
    b"Via : SIP/2.0/UDP c.example;branch=z9hG4bKc\r\n"
    b'f:  "A, B" <sip:alice@example.org>;tag=1\r\n'
    b"tO: <sip:bob@example.org>\r\n"
    b"i: 77@a.example\r\n"
    b"CSeq:\r\n\t9\r\n  INVITE\r\n"
    b"X-Ours: \xe9\xff kept\r\n"
    b"Route: <sip:p1;lr>, <sip:p2;lr>\r\n"
    b"l: 4\r\n"
    b"\r\n"
    b"v=0\n"
)


def invite() -> Request:
    message = parse(INVITE)
    assert isinstance(message, Request)
    return message


def with_lines(*lines: bytes, start: bytes = b"OPTIONS sip:example.org SIP/2.0") -> bytes:
    """A message whose required headers ``lines`` replace or follow (``Name:``: left out)."""
    fields = {
        b"via": b"Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1",
        b"from": b"From: <sip:alice@example.org>;tag=1",
        b"to": b"To: <sip:example.org>",
        b"call-id": b"Call-ID: 1",
        b"cseq": b"CSeq: 1 OPTIONS",
    }
    for line in lines:
        fields[line.partition(b":")[0].lower()] = line
    kept = [line for line in fields.values() if not line.endswith(b":")]
    return b"\r\n".join([start, *kept, b"", b""])


def verdict(data: bytes, *, stream: bool = False) -> tuple[int, str]:
    with pytest.raises(Malformed) as caught:
        parse(data, stream=stream)
    return caught.value.status, caught.value.reason


# Reading and writing.


def test_what_was_read_is_written_byte_for_byte() -> None:
    assert invite().serialize() == INVITE


def test_names_are_long_and_lower_case_and_values_unfolded() -> None:
    """RFC 3261, 7.3.1 and 7.3.3."""
    message = invite()
    assert message.get("from") == b'"A, B" <sip:alice@example.org>;tag=1'
    assert message.call_id == b"77@a.example"
    assert message.cseq == (9, b"INVITE")
    assert message.values("via") == [
        b"SIP/2.0/UDP a.example;branch=z9hG4bKa",
        b"SIP/2.0/TCP b.example;branch=z9hG4bKb",
        b"SIP/2.0/UDP c.example;branch=z9hG4bKc",
    ]
    assert len(message.lines("via")) == 2
    assert message.get("subject") is None
    assert not message.has("subject")


def test_bytes_behind_content_length_are_left_out_of_a_datagram() -> None:
    """RFC 3261, 18.3."""
    message = parse(INVITE + b"garbage")
    assert message.body == b"v=0\n"
    assert message.serialize() == INVITE


def test_line_feeds_alone_end_lines_and_empty_lines_may_come_first() -> None:
    """RFC 3261, 7.5."""
    message = parse(b"\r\n\r\n" + INVITE.replace(b"\r\n", b"\n"))
    assert message.cseq == (9, b"INVITE")
    assert message.body == b"v=0\n"


@pytest.mark.parametrize("status", [100, 199, 200, 404, 699])
def test_responses_are_read_with_any_reason(status: int) -> None:
    data = with_lines(start=b"SIP/2.0 %d \xe9t\xe9 de reason" % status)
    message = parse(data)
    assert isinstance(message, Response)
    assert (message.status, message.reason) == (status, b"\xe9t\xe9 de reason")
    assert message.serialize() == data
    empty = parse(with_lines(start=b"SIP/2.0 %d" % status))
    assert isinstance(empty, Response)
    assert empty.reason == b""


@pytest.mark.parametrize(
    "start",
    [
        b"OPTIONS sip:example.org SIP / 2.0",
        b"OPTIONS  \tsip:example.org  SIP/2.0  ",
        b"OPTIONS sip:example.org sip/2.0",
    ],
)
def test_a_start_line_may_have_blanks_and_any_case(start: bytes) -> None:
    message = parse(with_lines(start=start))
    assert message.start_line == b"OPTIONS sip:example.org SIP/2.0"


@pytest.mark.parametrize("name", [b"From", b"To", b"Call-ID", b"CSeq"])
def test_what_lacks_a_required_header_is_answered_400(name: bytes) -> None:
    """RFC 3261, 8.1.1."""
    status, reason = verdict(with_lines(name + b":"))
    assert (status, reason) == (400, f"no {name.decode()} header")


def test_what_has_no_via_can_not_be_answered() -> None:
    """RFC 3261, 18.2.2: the way back is what Via says."""
    assert verdict(with_lines(b"Via:"))[0] == 0


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"Call-ID: ", "an empty Call-ID"),
        (b"CSeq: one OPTIONS", "invalid CSeq"),
        (b"CSeq: 2147483648 OPTIONS", "invalid CSeq"),
        (b"CSeq: 1 INVITE", "CSeq names another method"),
        (b"From: no address", "an invalid From"),
        (b'To: "open <sip:example.org>', "an invalid To"),
        (b"To: <sip:example.org", "an invalid To"),
        (b"Content-Length: -1", "invalid Content-Length"),
        (b"Content-Length: 5", "a body shorter than its Content-Length"),
        (b"Broken", "a line that is no header"),
        (b"B(ad: 1", "a line that is no header"),
        (b"X: a\rVia: hidden", "a line that is no header"),
    ],
)
def test_what_a_header_may_not_be_is_answered_400(line: bytes, reason: str) -> None:
    assert verdict(with_lines(line)) == (400, reason)


@pytest.mark.parametrize("line", [b"f: <sip:x>;tag=2", b"T: <sip:x>", b"I: 2", b"CSEQ : 1 OPTIONS"])
def test_what_may_stand_once_may_not_stand_twice(line: bytes) -> None:
    """RFC 3261, 7.3.1; also under its compact name."""
    status, reason = verdict(with_lines(line))
    assert status == 400
    assert reason.endswith("stands twice")


@pytest.mark.parametrize("version", [b"SIP/1.0", b"SIP/2.1", b"SIP/7.0", b"SIP/2", b"sip/3.0"])
def test_another_version_is_answered_505(version: bytes) -> None:
    """RFC 3261, 21.5.6."""
    assert verdict(with_lines(start=b"OPTIONS sip:example.org " + version))[0] == 505


@pytest.mark.parametrize(
    "start",
    [
        b"OPTIONS <sip:example.org> extra SIP/2.0",
        b"OPTIONS sip:example.org",
        b"OPTIONS sip:a b@example.org SIP/2.0",
        b"OPTIONS sip:example.org SIP/two",
        b"OPTIONS sip:example.org SIP/2.0\r\n and so on",
    ],
)
def test_a_broken_request_line_is_answered_400(start: bytes) -> None:
    """RFC 3261, 25.1."""
    assert verdict(with_lines(start=start)) == (400, "an invalid request line")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"\0" * 40,
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        with_lines(start=b"SIP/2.0 20 OK"),
        with_lines(start=b"SIP/2.0 2000 OK"),
        with_lines(start=b"SIP/2.0 200 O\rK: hidden"),
        with_lines(start=b"SIP/2.0 200 O\r\n K"),
        with_lines(start=b"SIP/3.0 200 OK"),
        with_lines(b"Call-ID:", start=b"SIP/2.0 200 OK"),
        with_lines(b"Call-ID:", start=b"ACK sip:example.org SIP/2.0"),
    ],
)
def test_garbage_responses_and_acks_are_answered_by_nobody(data: bytes) -> None:
    assert verdict(data)[0] == 0


def test_a_stream_s_message_must_say_its_length() -> None:
    """RFC 3261, 18.3 and 20.14."""
    assert parse(with_lines()).body == b""
    assert verdict(with_lines(), stream=True) == (400, "no Content-Length in a stream")


# Edits.


def test_an_edited_copy_leaves_what_came_as_it_was() -> None:
    message = invite()
    copy = message.copy()
    copy.uri = b"sip:bob@192.0.2.2"
    copy.set("Max-Forwards", b"69")
    copy.pop("via")
    copy.remove("route")
    assert message.serialize() == INVITE
    assert copy.get("max-forwards") == b"69"


def test_pop_takes_the_topmost_value_also_out_of_a_list() -> None:
    copy = invite().copy()
    assert copy.pop("via") == b"SIP/2.0/UDP a.example;branch=z9hG4bKa"
    assert copy.headers[0].line == b"v: SIP/2.0/TCP b.example;branch=z9hG4bKb"
    assert copy.pop("via") == b"SIP/2.0/TCP b.example;branch=z9hG4bKb"
    assert copy.pop("via") == b"SIP/2.0/UDP c.example;branch=z9hG4bKc"
    assert copy.pop("via") is None


def test_push_puts_a_value_above_its_like_and_add_below_all() -> None:
    copy = invite().copy()
    copy.push("Route", b"<sip:p0;lr>")
    assert copy.values("route") == [b"<sip:p0;lr>", b"<sip:p1;lr>", b"<sip:p2;lr>"]
    copy.push("Path", b"<sip:top>")
    assert copy.headers[0].line == b"Path: <sip:top>"
    copy.add("X-Last", b"1")
    assert copy.headers[-1].line == b"X-Last: 1"


def test_set_leaves_one_header_in_the_place_of_the_first() -> None:
    copy = invite().copy()
    copy.set("Via", b"SIP/2.0/UDP z;branch=z9hG4bKz")
    assert copy.headers[0].line == b"Via: SIP/2.0/UDP z;branch=z9hG4bKz"
    assert copy.values("via") == [b"SIP/2.0/UDP z;branch=z9hG4bKz"]


def test_replace_top_changes_one_value_of_a_list() -> None:
    copy = invite().copy()
    copy.replace_top("Route", b"<sip:new;lr>")
    assert copy.values("route") == [b"<sip:new;lr>", b"<sip:p2;lr>"]


def test_a_response_copies_what_the_request_had_and_tags_to() -> None:
    """RFC 3261, 8.2.6.2."""
    made = respond(invite(), 486, tag="t")
    assert made.values("via") == invite().values("via")
    assert made.get("to") == b"<sip:bob@example.org>;tag=t"
    assert respond(invite(), 100, tag="t").get("to") == b"<sip:bob@example.org>"


# Lists.


@pytest.mark.parametrize(
    ("value", "elements"),
    [
        (b"", [b""]),
        (b"a", [b"a"]),
        (b" a ,b,, c", [b"a", b"b", b"c"]),
        (b",", []),
        (b'"a, \\", b" <sip:x>, c', [b'"a, \\", b" <sip:x>', b"c"]),
        (b"<sip:a,b>;x,<sip:c>", [b"<sip:a,b>;x", b"<sip:c>"]),
        # Nobody closes them: they hide the rest, and no byte of it is lost.
        (b'a, "b, c', [b"a", b'"b, c']),
        (b"a, <b, c", [b"a", b"<b, c"]),
        (b'a, "b, \\', [b"a", b'"b, \\']),
    ],
)
def test_lists_are_split_at_commas_that_nothing_hides(value: bytes, elements: list[bytes]) -> None:
    assert split_list(value) == elements


ELEMENT = st.one_of(
    st.binary(max_size=6).map(lambda text: bytes(c for c in text if c not in b',"<>\\')),
    st.just(b'"x, \\" y"'),
    st.just(b"<sip:a,b>"),
)


@given(st.lists(ELEMENT, max_size=6))
def test_elements_that_are_joined_are_the_elements_that_are_split(elements: list[bytes]) -> None:
    stripped = [text for element in elements if (text := element.strip())]
    # As `Header.value` gives it: without blanks around it.
    found = [text for text in split_list(b",".join(elements).strip()) if text]
    assert found == stripped


# Via.


def test_a_via_is_read_with_blanks_and_in_any_case() -> None:
    """RFC 3261, 20.42 and 25.1."""
    via = read(b'sip / 2.0 /\tudp  [2001:DB8::1] : 5070 ; Branch = z9hG4bKx ;rport;hidden="a;b"')
    assert via.transport == b"UDP"
    assert (via.host, via.port, via.branch) == (b"[2001:DB8::1]", 5070, b"z9hG4bKx")
    assert via.wants_rport
    assert via.rport is None
    assert via.received is None
    assert via.sent_by == b"[2001:db8::1]:5070"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"SIP/2.0/UDP",
        b"SIP/3.0/UDP a",
        b"HTTP/2.0/UDP a",
        b"SIP/2.0/UDP a:70000",
        b"SIP/2.0/UDP a:port",
        b"SIP/2.0/UDP a b",
        b"SIP/2.0/UDP a;branch=1;branch=2",
        b"SIP/2.0/UDP a;rport=x",
        b"SIP/2.0/UDP a;rport=65536",
        b"SIP/2.0/UDP a;;",
        b'SIP/2.0/UDP a;x="open',
    ],
)
def test_a_via_that_is_none_is_refused(value: bytes) -> None:
    with pytest.raises(Malformed):
        read(value)


@pytest.mark.parametrize(
    ("value", "marked"),
    [
        (b"SIP/2.0/UDP 192.0.2.1", b"SIP/2.0/UDP 192.0.2.1"),
        (b"SIP/2.0/UDP a;branch=1", b"SIP/2.0/UDP a;branch=1;received=192.0.2.1"),
        (
            b"SIP/2.0/UDP 192.0.2.1;rport;branch=1",
            b"SIP/2.0/UDP 192.0.2.1;rport=5062;branch=1;received=192.0.2.1",
        ),
        (
            b"SIP/2.0/UDP a;received=10.0.0.1;branch=1",
            b"SIP/2.0/UDP a;branch=1;received=192.0.2.1",
        ),
        (
            b"SIP/2.0/UDP a;RPORT=9;received=x",
            b"SIP/2.0/UDP a;rport=5062;received=192.0.2.1",
        ),
    ],
)
def test_the_source_is_written_into_via(value: bytes, marked: bytes) -> None:
    """RFC 3261, 18.2.1; RFC 3581, 4."""
    assert came_from(value, "192.0.2.1", 5062) == marked


# URIs.


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (
            b"sip:Al%69ce@ATLANTA.example;Transport=TCP",
            b"SIP:Alice@atlanta.example;transport=tcp",
            True,
        ),
        (b"sip:a@b;newparam=5", b"sip:a@b;security=on", True),
        (b"sip:a@b;x=1;y=2", b"sip:a@b;Y=2;X=1", True),
        (b"sip:a@b?Subject=x&To=y", b"sip:a@b?to=y&subject=x", True),
        (b"sip:a@b", b"sip:A@b", False),
        (b"sip:a@b", b"sips:a@b", False),
        (b"sip:a@b", b"sip:a@b:5060", False),
        (b"sip:a@b", b"sip:a@b;transport=udp", False),
        (b"sip:a@b", b"sip:a@b;user=phone", False),
        (b"sip:a@b;x=1", b"sip:a@b;x=2", False),
        (b"sip:a@b", b"sip:a@b?subject=x", False),
        (b"sip:a:secret@b", b"sip:a@b", False),
        (b"tel:+1", b"tel:+1", True),
        (b"tel:+1", b"tel:+2", False),
    ],
)
def test_uris_are_compared_by_what_they_mean(left: bytes, right: bytes, same: bool) -> None:
    """RFC 3261, 19.1.4."""
    one, other = read_uri(left), read_uri(right)
    assert one is not None
    assert other is not None
    assert one.same(other) is same
    assert other.same(one) is same


def test_a_user_may_have_a_question_mark() -> None:
    """RFC 3261, 25.1 (user-unreserved); what has another `@` in it is no URI."""
    found = read_uri(b"sip:crazy?,/;;*:&it+has=1@example.com;x=1?Subject=a%40b")
    assert found is not None
    assert (found.user, found.host) == (b"crazy?,/;;*", "example.com")
    assert (found.parameters, found.headers) == (((b"x", b"1"),), b"Subject=a%40b")
    assert found.without(b"x").text == b"sip:crazy?,/;;*:&it+has=1@example.com"
    assert read_uri(b"sip:alice@good.example?Route=x@evil.example") is None


@given(
    user=st.sampled_from(["", "bob@", "b%40b:pw@", "a?b;c@"]),
    host=st.sampled_from(["h.example", "192.0.2.1", "[2001:db8::1]"]),
    port=st.sampled_from(["", ":5060", ":1"]),
    names=st.lists(
        st.sampled_from(["maddr", "MADDR", "x", "lr", "transport"]), unique_by=str.lower
    ),
    headers=st.sampled_from(["", "?Subject=x", "?a=b&c=d"]),
)
def test_a_uri_without_some_parameters_has_all_the_others(
    user: str, host: str, port: str, names: list[str], headers: str
) -> None:
    parameters = "".join(f";{name}=1" if name != "lr" else ";lr" for name in names)
    whole = read_uri(f"sip:{user}{host}{port}{parameters}{headers}".encode())
    assert whole is not None
    less = whole.without(b"maddr", b"transport")
    gone = (b"maddr", b"transport")
    assert less.parameters == tuple(each for each in whole.parameters if each[0] not in gone)
    assert (less.user, less.password) == (whole.user, whole.password)
    assert (less.host, less.port, less.headers) == (whole.host, whole.port, b"")
    assert whole.without(port=False).port == 0


def test_escaped_bytes_are_bytes_also_zeros_and_latin_1() -> None:
    """RFC 3261, 19.1.2."""
    uri = read_uri(b"sip:null-%00-%E9@example.org;self=1;a%3d=%20")
    assert uri is not None
    assert uri.user == b"null-\0-\xe9"
    assert uri.parameter(b"self") == b"1"
    raw = read_uri(b"sip:\xe9@example.org")
    assert raw is not None
    assert raw.user == b"\xe9"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"bob",
        b"sip:",
        b"sip:@a",
        b"sip:a@",
        b"sip:a@b:0",
        b"sip:a@b:99999",
        b"sip:a@b c",
        b"sip:a b@c",
        b"sip:a\0@b",
        b"sip:a\r\nX:@b",
        b"tel:+1 2",
        b"sip:a@[::1",
        b"sip:\xe9.example",
    ],
)
def test_what_is_no_uri_is_none(text: bytes) -> None:
    assert read_uri(text) is None


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"<sip:a@b",
        b"sip:a@b>",
        b'"open <sip:a@b>',
        b'"a" b <sip:a@b>',
        b"<sip:a@b> junk",
        b"<sip:a b@c>",
        b"<sip:<a@b>",
        b"sip:a@b?Route=%3Csip:c%3E",
        b"sip:a@b,c",
        b"<sip:a@b>;=1",
    ],
)
def test_what_is_no_address_is_none(value: bytes) -> None:
    """RFC 3261, 20 and 20.10: what has a comma or a question mark needs brackets."""
    assert not is_address(value)
    assert read_address(value) is None


@pytest.mark.parametrize(
    ("value", "name", "uri"),
    [
        (b"sip:a@b;tag=1", b"", b"sip:a@b"),
        (b'  "q \\" <x>, " < sip:a@b;lr > ; tag = 1', b'q " <x>, ', b"sip:a@b;lr"),
        (b"The Boss<sip:a@b?x=y>;tag=1", b"The Boss", b"sip:a@b?x=y"),
    ],
)
def test_addresses_are_read_with_their_own_parameters(
    value: bytes, name: bytes, uri: bytes
) -> None:
    address = read_address(value)
    assert is_address(value)
    assert address is not None
    assert (address.name, address.uri.text) == (name, uri)
    assert address.parameter(b"tag") == b"1"


# Streams.

ONE = with_lines(b"Content-Length: 0")


def cut(*pieces: bytes) -> list[bytes]:
    framer = Framer()
    return [message for piece in pieces for message in framer.feed(piece)]


def test_a_message_may_be_split_at_every_byte() -> None:
    """RFC 3261, 18.3."""
    for place in range(len(INVITE) + 1):
        assert cut(INVITE[:place], INVITE[place:]) == [INVITE]


def test_messages_may_come_byte_by_byte_and_many_at_once() -> None:
    both = INVITE + b"\r\n" + ONE + INVITE
    assert cut(*(both[i : i + 1] for i in range(len(both)))) == [INVITE, ONE, INVITE]
    assert cut(both) == [INVITE, ONE, INVITE]


def test_keep_alives_are_counted_and_never_part_of_a_message() -> None:
    """RFC 5626, 3.5.1."""
    framer = Framer()
    assert list(framer.feed(b"\r\n\r\n")) == []
    assert framer.pings == 1
    assert list(framer.feed(b"\r\n\r")) == []
    assert list(framer.feed(b"\n" + ONE + b"\r\n\r\n")) == [ONE]
    assert framer.pings == 3
    assert framer.waiting == 0


def test_a_body_that_comes_byte_by_byte_has_its_headers_read_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each byte of a body was worth a search of 64 KB of headers to whoever sent it."""
    searched = []

    class Counted:
        def finditer(self, data: bytes, start: int, end: int) -> Iterator[re.Match[bytes]]:
            searched.append(end)
            return length.finditer(data, start, end)

    length = framing._LENGTH
    monkeypatch.setattr(framing, "_LENGTH", Counted())
    large = with_lines(*[b"X: y"] * 10_000, b"Content-Length: 500") + b"x" * 500
    head = len(large) - 500
    pieces = (large[:head], *(large[place : place + 1] for place in range(head, len(large))))
    assert cut(*pieces, INVITE) == [large, INVITE]
    assert len(searched) == 2


def test_a_line_s_end_alone_is_no_half_of_a_message() -> None:
    framer = Framer()
    assert list(framer.feed(b"\r\n")) == []
    assert framer.waiting == 0
    assert list(framer.feed(b"OPT")) == []
    assert framer.waiting == 3


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (with_lines(), 400),
        (with_lines(b"Content-Length: many"), 400),
        (with_lines(b"Content-Length: 4", b"l: 8"), 400),
        (with_lines(b"Content-Length: 99999999"), 413),
        (with_lines(b"Content-Length: " + b"9" * 5000), 413),
    ],
)
def test_what_comes_before_an_unframed_message_is_whole_and_what_follows_is_nothing(
    data: bytes, status: int
) -> None:
    framer = Framer()
    messages = framer.feed(ONE + data + ONE)
    assert next(messages) == ONE
    with pytest.raises(Unframed) as caught:
        next(messages)
    assert (caught.value.status, caught.value.head) == (status, data)
    assert list(framer.feed(ONE)) == []
    assert framer.waiting == 0


@pytest.mark.parametrize("piece", [b"x" * 1024, b"X: y\r\n" * 200])
def test_headers_without_an_end_are_given_up_after_64_kilobytes(piece: bytes) -> None:
    framer = Framer()
    for _ in range(64 * 1024 // len(piece)):
        assert list(framer.feed(piece)) == []
    with pytest.raises(Unframed) as caught:
        list(framer.feed(piece))
    assert caught.value.status == 513
    assert framer.waiting == 0


# Nobody may stop the server with one datagram.

_SIZE = 60_000
_JUNK = [
    b"<", b'"', b'\\"', b'"\\', b" ", b",", b";", b"a;", b"=;", b"a..", b"a-", b"%00", b":", b"@",
    b"1", b"[", b"a", b"\t \r\n", b'a=""', b"a,", b"\r", b"\n", b"a:\r\n", b"a:\r\n ", b"\r\n ",
]  # fmt: skip
_BEFORE = {
    "list": [b"", b"a,", b"a,<", b'a,"'],
    "address": [
        b"",
        b"<",
        b"< ",
        b"<sip:",
        b"sip:",
        b"<sip:a@",
        b"<sip:a@b;",
        b"<sip:a@b>;",
        b'<a:b>;x="',
    ],
    "via": [b"", b"SIP/2.0/UDP ", b"SIP/2.0/UDP h", b"SIP/2.0/UDP h;", b'SIP/2.0/UDP h;x="'],
    "credentials": [b"Digest ", b"Digest a=", b'Digest a="'],
    "message": [b"", b"INVITE ", b"INVITE a ", b"SIP/2.0 ", b"INVITE a SIP/2.0\r\nCSeq: "],
}
_READERS: dict[str, Callable[[bytes], object]] = {
    "list": split_list,
    "address": read_address,
    "via": read,
    "credentials": parse_credentials,
    "message": parse,
}


@pytest.mark.parametrize("kind", _READERS)
def test_60_kilobytes_of_anything_are_read_at_once(kind: str) -> None:
    """Each expression looks at each byte a few times, and not once for every other byte.

    One second of processor time is more than ten times what the slowest takes here; 2,000 blanks in
    a request line once took nine.
    """
    for before in _BEFORE[kind]:
        for junk in _JUNK:
            for behind in (b"", b"\0", b"x>"):
                data = before + junk * (_SIZE // len(junk)) + behind
                begun = time.process_time()
                with suppress(Malformed):
                    _READERS[kind](data)
                taken = time.process_time() - begun
                assert taken < 1, f"{before!r} + {junk!r}... + {behind!r}: {taken:.1f} s"


def test_credentials_that_are_not_ascii_are_wrong_and_no_failure() -> None:
    """RFC 7616, 3.4: `response` is hexadecimal; what else came is bytes that nobody chose."""
    nonces = Nonces(lambda: 1.0)
    user = make_user("alice", "example.org", "secret")
    given = parse_credentials(b'Digest username="alice", nonce="\xe9", response="\xe9\xff"')
    assert given is not None
    assert check(given, user, "REGISTER", nonces) is Result.WRONG
    assert nonces.judge("\xe9" * 60, 1) is Result.STALE


@settings(max_examples=count(sample=300, long=20_000), deadline=None)
@given(
    st.from_regex(
        rb"\A(sip|sips|SIP|tel):([a-z0-9+._!%:-]{0,6}@)?([a-z0-9A-Z.-]{1,12}|[0-9]{1,3}(\.[0-9]{1,4}){2,4})"
        rb"(:[0-9]{0,6})?(;lr|;transport=[A-Za-z;-]{0,4})?\Z"
    )
)
@example(b"sip:a@b-:1")
def test_the_short_way_to_read_a_uri_finds_what_the_long_way_finds(text: bytes) -> None:
    assert read_uri(text) == _read_any_uri(text)


@pytest.mark.parametrize("rest", [b";", b";=", b";a=", b";a;", b";tag=1;"])
def test_a_parameter_that_breaks_off_is_no_address(rest: bytes) -> None:
    value = b"<sip:a@b.example>" + rest
    assert is_address(value) == (read_address(value) is not None)
