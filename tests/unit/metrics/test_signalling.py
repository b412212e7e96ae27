"""SIP's text, out of datagrams and TCP segments."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.classify.columns import columns
from remusnet.frames import Frames
from remusnet.metrics.fragments import reassembled
from remusnet.metrics.signalling import MOST_BYTES, signalling_texts
from tests.unit.metrics import packets as make
from tests.unit.metrics.packets import SYN, Flow

SIP = Flow("10.0.0.1", 5060, "10.0.0.2", 5060)
TEXT = make.invite(make.sdp("10.0.0.1", 6000, ["111 opus/48000/2"]))


def texts(*frames: bytes) -> list[bytes]:
    captured = Frames.of(frames)
    return signalling_texts(captured, columns(captured))


def segments(text: bytes, size: int, first: int = 1000, flow: Flow = SIP) -> list[bytes]:
    return [make.tcp(text[n : n + size], first + n, flow) for n in range(0, len(text), size)]


def test_a_datagram_is_a_text() -> None:
    assert texts(make.udp(TEXT, SIP)) == [TEXT]


@pytest.mark.parametrize("size", [8, 100, 10_000])
def test_segments_are_put_together(size: int) -> None:
    assert texts(*segments(TEXT, size)) == [TEXT]


def test_segments_out_of_order_and_twice_are_put_together() -> None:
    parts = segments(TEXT, 50)
    assert texts(*reversed(parts), *parts) == [TEXT]


def test_sequence_numbers_may_wrap() -> None:
    assert texts(*segments(TEXT, 50, first=2**32 - 77)) == [TEXT]


@pytest.mark.parametrize(
    "flow",
    [
        Flow("2001:db8::1", 5060, "2001:db8::2", 5060),
        Flow("10.0.0.1", 5060, "10.0.0.2", 5060, tagged=True),
    ],
)
def test_ipv6_and_tags_are_no_obstacle(flow: Flow) -> None:
    assert texts(*segments(TEXT, 50, flow=flow)) == [TEXT]


def test_directions_are_texts_of_their_own_in_order_of_appearance() -> None:
    back = Flow("10.0.0.2", 5060, "10.0.0.1", 5060)
    answer = TEXT.replace(b"opus", b"OPUS")
    both = [*segments(TEXT, 100), *segments(answer, 100, flow=back)]
    assert texts(*both[::2], *both[1::2]) == [TEXT, answer]


def test_a_connection_that_reuses_ports_is_a_text_of_its_own() -> None:
    """Both begin near one sequence number: without the SYN, one would cover the other."""
    other = TEXT.replace(b"opus", b"OPUS")
    first = [make.tcp(b"", 999, SIP, SYN), *segments(TEXT, 100, 1000)]
    second = [make.tcp(b"", 1009, SIP, SYN), *segments(other, 100, 1010)]
    assert texts(*first, *second) == [TEXT, other]


def test_a_repeated_syn_begins_nothing() -> None:
    syn = make.tcp(b"", 999, SIP, SYN)
    assert texts(syn, *segments(TEXT, 100)[:1], syn, *segments(TEXT, 100)[1:]) == [TEXT]


def test_a_lost_segment_does_not_join_two_lines() -> None:
    assert reassembled([(0, b"a=rtpmap:9"), (20, b"6 x/8000")]) == b"a=rtpmap:9\n6 x/8000"


def test_flows_without_sip_are_left_alone() -> None:
    assert texts(make.tcp(b"GET / HTTP/1.1\r\n", 1, SIP), make.udp(b"m=video", SIP)) == []
    assert texts() == []


def test_sip_in_a_cut_frame_gives_what_was_captured() -> None:
    whole = make.udp(TEXT, SIP)
    cut = Frames.of([whole[:300]], length=[len(whole)])
    assert signalling_texts(cut, columns(cut)) == [TEXT[: 300 - 42]]


def test_frames_that_were_reordered_are_found_too() -> None:
    """`Frames.take` shares bytes: offsets then do not ascend."""
    captured = Frames.of([make.udp(b"x", SIP), make.udp(TEXT, SIP), make.udp(b"y", SIP)])
    turned = captured.take(np.array([2, 0, 1]))
    assert signalling_texts(turned, columns(turned)) == [TEXT]


@given(
    st.binary(min_size=1, max_size=60),
    st.lists(st.tuples(st.integers(0, 59), st.integers(1, 20)), max_size=20),
)
def test_any_cut_of_a_text_gives_the_text_back(text: bytes, cuts: list[tuple[int, int]]) -> None:
    parts = [(at, text[at : at + size]) for at, size in cuts if at < len(text)]
    assert reassembled([*parts, (0, text)]) == text


@given(st.lists(st.tuples(st.integers(-(2**31), 2**31), st.binary(max_size=9)), max_size=9))
def test_any_segments_give_at_most_their_bytes_and_the_gaps(parts: list[tuple[int, bytes]]) -> None:
    assert len(reassembled(parts)) <= sum(len(payload) + 1 for _, payload in parts)


V6 = Flow("2001:db8::1", 5060, "2001:db8::2", 5060)
TAGGED = Flow("10.0.0.1", 5060, "10.0.0.2", 5060, tagged=True)


@pytest.mark.parametrize("flow", [SIP, V6, TAGGED])
@pytest.mark.parametrize("size", [64, 200, 240])
def test_a_fragmented_datagram_is_a_text(flow: Flow, size: int) -> None:
    """RFC 791, 3.2; RFC 8200, 4.5: a large INVITE, with its SDP in another fragment than SIP."""
    parts = make.fragments(TEXT, flow, size)
    assert len(parts) > 1
    assert texts(*parts) == [TEXT]


@given(st.permutations(range(len(make.fragments(TEXT, SIP, 64)))), st.data())
def test_fragments_come_in_any_order_and_twice(order: list[int], data: st.DataObject) -> None:
    parts = make.fragments(TEXT, SIP, 64)
    again = data.draw(st.lists(st.sampled_from(parts), max_size=5))
    assert texts(*(parts[n] for n in order), *again) == [TEXT]


def test_a_lost_fragment_does_not_join_two_lines() -> None:
    parts = make.fragments(TEXT, SIP, 64)
    (text,) = texts(*parts[:3], *parts[4:])
    assert text == TEXT[: 3 * 64 - 8] + b"\n" + TEXT[4 * 64 - 8 :]


def test_datagrams_of_other_senders_and_other_times_are_apart() -> None:
    """An identification is used again; Linux waits 30 s for what is missing."""
    other = TEXT.replace(b"opus", b"OPUS")
    back = Flow("10.0.0.2", 5060, "10.0.0.1", 5060)
    first, second = make.fragments(TEXT, SIP, 200), make.fragments(other, back, 200)
    mixed = [part for pair in zip(first, second, strict=True) for part in pair]
    assert texts(*mixed) == [TEXT, other]
    late = make.fragments(other, SIP, 200)
    captured = Frames.of(
        [*first, *late],
        [n * 1_000_000 for n in range(len(first))]
        + [60_000_000_000 + n * 1_000_000 for n in range(len(late))],
    )
    assert signalling_texts(captured, columns(captured)) == [TEXT, other]


def test_what_is_no_sip_is_not_looked_at() -> None:
    noise = make.fragments(bytes(3000), Flow("10.9.9.9", 4000, "10.9.9.8", 4000), 800)
    parts = make.fragments(TEXT, SIP, 200)
    assert texts(*noise, *parts, *noise) == [TEXT]
    assert texts(*noise) == []


@given(st.integers(0, 3), st.integers(14, 60), st.integers(0, 255))
def test_damaged_fragments_never_raise(which: int, at: int, value: int) -> None:
    parts = make.fragments(TEXT, V6 if value % 2 else SIP, 200)
    damaged = bytearray(parts[which % len(parts)])
    damaged[at] = value
    cut = bytes(damaged)[: 40 + value]
    for bad in (bytes(damaged), cut):
        assert isinstance(texts(*parts[:1], bad, *parts[1:]), list)


def test_what_claims_to_be_far_off_is_not_waited_for() -> None:
    """Bounded: a sequence number gigabytes away is damage."""
    far = make.tcp(b"a=rtpmap:96 x/8000", 1000 + MOST_BYTES, SIP)
    assert texts(*segments(TEXT, 100), far) == [TEXT]
