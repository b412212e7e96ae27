"""What session descriptions say of payload types."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.metrics.payload_types import STATIC, Encoding, Medium, common_clock_rate
from remusnet.metrics.sdp import Media, media_map, parse_sdp
from tests.unit.metrics import packets as make

OPUS, EVENT = Encoding("opus", 48000), Encoding("telephone-event", 8000)


def number(address: str) -> int:
    parsed = ip_address(address)
    return int(parsed) if parsed.version == 6 else 0xFFFF << 32 | int(parsed)


HERE, THERE = (number("10.0.0.1"), 6000), (number("10.0.0.2"), 7000)


def test_a_body_gives_endpoint_and_encodings() -> None:
    body = make.sdp("10.0.0.1", 6000, ["111 opus/48000/2", "101 telephone-event/8000"])
    assert parse_sdp(body) == [Media(*HERE, {111: OPUS, 101: EVENT})]


def test_a_body_is_found_behind_sip_headers_and_before_the_next_message() -> None:
    body = make.sdp("2001:db8::1", 6000, ["111 opus/48000/2"])
    text = make.invite(body) + b"ACK sip:bob@10.0.0.2 SIP/2.0\r\nc=no line of SDP\r\n\r\n"
    assert parse_sdp(text) == [Media(number("2001:db8::1"), 6000, {111: OPUS})]


def test_the_connection_of_a_section_is_stronger_than_the_session_s() -> None:
    body = make.sdp("10.0.0.9", 6000, ["111 opus/48000"]).replace(
        b"a=sendrecv", b"c=IN IP4 10.0.0.1/127\r\nm=audio 7000 RTP/SAVPF 101"
    )
    first, second = parse_sdp(body + b"a=rtpmap:101 telephone-event/8000\n")
    assert first == Media(*HERE, {111: OPUS})
    assert second == Media(number("10.0.0.9"), 7000, {101: EVENT})


def test_a_new_description_forgets_the_connection_of_the_last() -> None:
    first = make.sdp("10.0.0.1", 6000, ["111 opus/48000"])
    second = b"v=0\r\nm=audio 6002 RTP/AVP 111\r\n"
    assert [media.address for media in parse_sdp(first + second)] == [HERE[0], None]


@pytest.mark.parametrize(
    "line",
    [
        b"a=rtpmap:111",
        b"a=rtpmap:111 opus",
        b"a=rtpmap:111 opus/0",
        b"a=rtpmap:111 opus/999999999999999999999999",
        b"a=rtpmap:300 opus/48000",
        b"a=rtpmap:-1 opus/48000",
        b"a=rtpmap:111 op\xffus/48000",
        b"c=IN IP4 10.0.0.256",
        b"c=IN IP4 a.host.name",
    ],
)
def test_lines_that_make_no_sense_are_skipped(line: bytes) -> None:
    session, section = b"v=0\r\nc=IN IP4 10.0.0.1\r\n", b"m=audio 6000 RTP/AVP 111\r\n"
    end = b"a=rtpmap:101 x/8000\r\n"
    expected = [Media(*HERE, {101: Encoding("x", 8000)})]
    assert parse_sdp(session + section + line + b"\r\n" + end) == expected
    assert parse_sdp(session + line + b"\r\n" + section + end) == expected


def test_sections_that_are_no_rtp_are_skipped() -> None:
    text = b"v=0\r\nm=image 6000 udptl t38\r\na=rtpmap:111 opus/48000\r\n"
    assert parse_sdp(text) == []


@given(st.binary(max_size=400), st.integers(0, 400), st.integers(0, 400))
def test_damage_raises_nothing(noise: bytes, start: int, stop: int) -> None:
    body = make.sdp("10.0.0.1", 6000, ["111 opus/48000/2", "101 telephone-event/8000"])
    for media in parse_sdp(body[:start] + noise + body[stop:]):
        assert all(0 <= kind < 128 and e.clock_rate > 0 for kind, e in media.encodings.items())


def test_the_receiver_says_what_a_type_means() -> None:
    """Both use 96 for something else; a packet's type is its receiver's (RFC 3264, 5.1)."""
    speex = Encoding("speex", 16000)
    known = media_map([Media(*HERE, {96: OPUS}), Media(*THERE, {96: speex})])
    assert known.encoding(96, source=HERE, destination=THERE) == speex
    assert known.encoding(96, source=THERE, destination=HERE) == OPUS


def test_the_sender_s_own_words_count_where_the_receiver_has_said_nothing() -> None:
    elsewhere = Media(number("192.0.2.1"), 1234, {96: EVENT})
    known = media_map([Media(*HERE, {96: OPUS}), elsewhere])
    assert known.encoding(96, source=HERE, destination=THERE) == OPUS


def test_behind_a_nat_counts_what_all_descriptions_agree_on() -> None:
    elsewhere = (number("192.0.2.1"), 1234), (number("192.0.2.2"), 1234)
    agreed = media_map([Media(*HERE, {96: OPUS}), Media(*THERE, {96: OPUS, 97: EVENT})])
    assert agreed.encoding(96, *elsewhere) == OPUS
    assert agreed.encoding(97, *elsewhere) == EVENT
    split = media_map([Media(*HERE, {96: OPUS}), Media(*THERE, {96: EVENT})])
    assert split.encoding(96, *elsewhere) is None


def test_a_later_description_replaces_an_earlier_one() -> None:
    known = media_map([Media(*HERE, {96: EVENT, 97: EVENT}), Media(*HERE, {96: OPUS})])
    assert known.encoding(96, THERE, HERE) == OPUS
    assert known.encoding(97, THERE, HERE) == EVENT


def test_g722_has_a_clock_of_8000() -> None:
    """It samples at 16000 Hz; RFC 3551, 4.5.2 says why the clock doesn't."""
    assert STATIC[9] == Encoding("G722", 8000)


@pytest.mark.parametrize(
    ("measured", "rate"),
    [
        (8000, 8000),
        (7700, 8000),
        (11_300, 11_025),
        (11_700, 12_000),
        (22_500, 22_050),
        (23_500, 24_000),
        (45_800, 44_100),
        (65_000, 64_000),
        (15_900, 16000),
        (44_200, 44100),
        (47_000, 48000),
        (89_000, 90000),
    ],
)
def test_a_pace_is_rounded_to_a_common_clock_rate(measured: float, rate: int) -> None:
    assert common_clock_rate(measured) == rate


@pytest.mark.parametrize(
    "measured",
    [-8000, 0, 1000, 7000, 10_000, 14_000, 19_000, 27_000, 38_000, 56_000, 70_000, 10**9],
)
def test_a_pace_that_fits_nothing_says_nothing(measured: float) -> None:
    assert common_clock_rate(measured) is None


BODY = make.sdp("192.0.2.10", 20000, ["110 SILK/24000", "101 telephone-event/8000"])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"", b""),
        (b"\r\n", b"\n"),
        (b"c=IN IP4 192.0.2.10", b"c=IN IP4 pbx.example.com"),
        (b"c=IN IP4 192.0.2.10", b"c=IN IP4 0.0.0.0"),
        (b"a=rtpmap", b"A=rtpmap"),
        (b"RTP/AVP", b"rtp/avp"),
        (b"RTP/AVP", b"UDP/TLS/RTP/SAVPF"),
        (b"RTP/AVP", b"TCP/DTLS/RTP/SAVP"),
        (b"rtpmap:110 SILK", b"rtpmap:110  SILK"),
        (b"SILK/24000", b"SILK/24000 "),
        (b"SILK/24000", b"SILK/24000/1"),
        (b"m=audio 20000", b"m=audio  20000/2"),
    ],
)
def test_devices_write_sdp_in_many_ways_and_mean_the_same(old: bytes, new: bytes) -> None:
    found = media_map(parse_sdp(BODY.replace(old, new) if old else BODY))
    seen = found.encoding(110, (1, 1), (2, 2))
    assert seen == Encoding("SILK", 24000)


@pytest.mark.parametrize("name", ["AMR-WB+", "SILK+x", "x-my_codec.2", "!#$%&'*^`{|}~"])
def test_a_name_is_any_token(name: str) -> None:
    """RFC 8866, section 9; AMR-WB+ is RFC 4352's."""
    body = make.sdp("192.0.2.10", 20000, [f"97 {name}/72000"])
    assert media_map(parse_sdp(body)).encoding(97, (1, 1), (2, 2)) == Encoding(name, 72000)


@pytest.mark.parametrize("name", ["a b", "a(b)", "a@b", "a\u00e9"])
def test_what_is_no_token_is_no_name(name: str) -> None:
    body = make.sdp("192.0.2.10", 20000, [f"97 {name}/72000"])
    assert media_map(parse_sdp(body)).encoding(97, (1, 1), (2, 2)) is None


def test_a_section_says_which_medium_it_is() -> None:
    for name in ("audio", "video", "text"):
        body = BODY.replace(b"m=audio", b"m=" + name.encode())
        seen = media_map(parse_sdp(body)).encoding(110, (1, 1), (2, 2))
        assert seen == Encoding("SILK", 24000, Medium(name))
    odd = media_map(parse_sdp(BODY.replace(b"m=audio", b"m=smell")))
    assert odd.encoding(110, (1, 1), (2, 2)) == Encoding("SILK", 24000, None)
