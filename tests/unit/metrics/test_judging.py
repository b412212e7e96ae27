"""`judge_frames` decides of many frames what `classify` decides of each."""

from __future__ import annotations

import struct
from ipaddress import ip_network
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.classify.columns import columns, group_rows
from remusnet.classify.reference import classify
from remusnet.frames import Frames
from remusnet.metrics.flows import judge_frames
from remusnet.policy.policy import UDP, Fragment, Link, Match, PayloadClass, Policy, PortRange, Rule
from remusnet.policy.presets import PRESETS
from remusnet.policy.verdict import Verdict
from tests.lib import layers
from tests.lib.framegen import generate
from tests.lib.policies import policies
from tests.lib.strategies import frames


def assert_equal(chosen: list[Policy], many: Frames) -> None:
    judgements = judge_frames(chosen, many, columns(many))
    assert [judgement.policy for judgement in judgements] == chosen
    for policy, judgement in zip(chosen, judgements, strict=True):
        assert len(judgement.hold) == len(many)
        for index in range(len(many)):
            decision = classify(policy, many.frame(index), int(many.length[index]))
            assert judgement.decision(index) == decision
            assert judgement.hold[index] == (decision.verdict is Verdict.HOLD)


@pytest.mark.slow
def test_every_kind_of_frame_gets_the_same_decisions_alone_and_among_others() -> None:
    raw = [sample.frame for sample in generate(8_000, 5)]
    assert_equal(list(PRESETS.values()), Frames.of(raw))


def test_frames_cut_by_a_snap_length_get_the_same_decisions() -> None:
    raw = [sample.frame for sample in generate(3_000, 6)]
    many = Frames.of([frame[:43] for frame in raw], length=[len(frame) for frame in raw])
    assert_equal(list(PRESETS.values()), many)


@given(st.lists(frames(), max_size=6), st.lists(policies(), max_size=3))
@pytest.mark.slow
def test_any_policy_decides_the_same_of_any_frames(raw: list[bytes], chosen: list[Policy]) -> None:
    assert_equal(chosen, Frames.of(raw))


def test_no_frames_are_no_decisions() -> None:
    none = Frames.of([])
    for judgement in judge_frames(list(PRESETS.values()), none, columns(none)):
        assert len(judgement.hold) == 0
        assert judgement.decisions == ()


# -- frames that differ in one thing ---------------------------------------------------------------


RTP, RTCP = (head + bytes(18) for head in (b"\x80\x08", b"\x80\xc8"))


def datagram(payload: bytes = RTP, sport: int = 5004, dport: int = 5006) -> bytes:
    return layers.udp(Random(1), payload, sport=sport, dport=dport)


def packet(data: bytes, flags: int = 0) -> bytes:
    """IPv4 whose random fields are always the same."""
    return layers.ipv4(Random(2), UDP, data, flags=flags)


def ethernet(payload: bytes, ethertype: int = layers.IPV4) -> bytes:
    return layers.ethernet(Random(3), ethertype, payload)


def differing(at: int) -> bytes:
    """`PLAIN` with another byte at ``at``."""
    frame = bytearray(PLAIN)
    frame[at] ^= 0x80
    return bytes(frame)


PLAIN = ethernet(packet(datagram()))
NEXT_HOP = layers.ipv6(Random(4), UDP, datagram())
TAGGED = frozenset({Link.TAGGED})
UDP_ONLY = frozenset({UDP})


@pytest.mark.parametrize(
    ("other", "match"),
    [
        (ethernet(layers.tag(Random(5), 0x0800) + packet(datagram()), 0x8100), Match(link=TAGGED)),
        (ethernet(NEXT_HOP, layers.IPV6), Match(ethertype=frozenset({0x86DD}))),
        (differing(23), Match(protocol=frozenset({UDP ^ 0x80}))),
        (differing(26), Match(source=(ip_network("138.0.0.0/8"),))),
        (differing(30), Match(destination=(ip_network("138.0.0.0/8"),))),
        (differing(15), Match(dscp=frozenset({PLAIN[15] >> 2 ^ 32}))),
        (ethernet(packet(datagram(), flags=1)), Match(fragment=frozenset({Fragment.FIRST}))),
        (
            ethernet(packet(datagram(sport=5010))),
            Match(protocol=UDP_ONLY, source_port=(PortRange(5010, 5010),)),
        ),
        (
            ethernet(packet(datagram(dport=5010))),
            Match(protocol=UDP_ONLY, destination_port=(PortRange(5010, 5010),)),
        ),
        (ethernet(packet(datagram(RTCP))), Match(payload=frozenset({PayloadClass.RTCP}))),
    ],
    ids=[
        "link", "ethertype", "protocol", "source", "destination", "dscp", "fragment",
        "source port", "destination port", "payload",
    ],
)  # fmt: skip
def test_what_one_condition_tells_apart_is_decided_apart(other: bytes, match: Match) -> None:
    policy = Policy("one", (Rule("one", Verdict.HOLD, match),), Verdict.BYPASS)
    many = Frames.of([PLAIN, other])
    (judgement,) = judge_frames([policy], many, columns(many))
    assert list(judgement.hold) == [False, True]


def ipv6(source: int = 1, destination: int = 1) -> bytes:
    """No next header; only the high halves of the addresses differ."""
    halves = struct.pack("!QQQQ", source, 7, destination, 7)
    return ethernet(struct.pack("!IHBB", 6 << 28, 0, 59, 64) + halves, layers.IPV6)


@pytest.mark.parametrize(
    ("frame", "other", "match"),
    [
        (
            ethernet(layers.ipv4(Random(2), 47, bytes(8))),
            ethernet(layers.ipv4(Random(2), 50, bytes(8))),
            Match(protocol=frozenset({50})),
        ),
        (
            ethernet(packet(datagram(sport=53))),
            ethernet(packet(datagram(sport=53), flags=1)),
            Match(fragment=frozenset({Fragment.FIRST})),
        ),
        (ipv6(), ipv6(source=2), Match(source=(ip_network("0:0:0:2::/64"),))),
        (ipv6(), ipv6(destination=2), Match(destination=(ip_network("0:0:0:2::/64"),))),
        (
            ethernet(layers.ipv4(Random(6), 1, bytes(8))),
            ethernet(layers.ipv4(Random(6), 1, b"\x08" + bytes(7))),
            Match(protocol=frozenset({1}), icmp_type=frozenset({8})),
        ),
    ],
    ids=["protocol", "fragment", "source", "destination", "icmp type"],
)
def test_what_nothing_else_tells_apart_is_decided_apart(
    frame: bytes, other: bytes, match: Match
) -> None:
    policy = Policy("one", (Rule("one", Verdict.HOLD, match),), Verdict.BYPASS)
    many = Frames.of([frame, other])
    (judgement,) = judge_frames([policy], many, columns(many))
    assert list(judgement.hold) == [False, True]


def test_a_payload_that_is_of_no_class_and_one_that_was_cut_are_decided_apart() -> None:
    quic = ethernet(packet(datagram(b"\xc0" + bytes(19))))
    match = Match(payload=frozenset({PayloadClass.RTP}))
    policy = Policy("one", (Rule("one", Verdict.HOLD, match),), Verdict.BYPASS)
    many = Frames.of([quic, PLAIN[:43]], length=[len(quic), len(PLAIN)])
    (judgement,) = judge_frames([policy], many, columns(many))
    assert list(judgement.hold) == [False, True]


# -- groups of equal rows --------------------------------------------------------------------------

MULTIPLIER = 0x9E3779B97F4A7C15


def hashed(row: tuple[int, ...]) -> int:
    """The hash of `group_rows`, in Python's numbers."""
    mixed = 0
    for value in row:
        mixed = (mixed ^ value) * MULTIPLIER % 2**64
        mixed ^= mixed >> 29
    return mixed


def colliding() -> list[tuple[int, int]]:
    """Rows with the same hash: the second number makes good for the first."""

    def after_first(first: int) -> int:
        mixed = first * MULTIPLIER % 2**64
        return mixed ^ mixed >> 29

    return [(first, after_first(first) ^ after_first(1) ^ 5) for first in (1, 2, 3)]


def assert_groups(rows: list[tuple[int, ...]]) -> None:
    keys = [np.array(key, np.uint64) for key in zip(*rows, strict=True)]
    first, group = group_rows(keys)
    assert first.dtype == group.dtype == np.int64
    assert list(first) == sorted(first), "groups come in the order of their first rows"
    expected: dict[tuple[int, ...], int] = {}
    for index, row in enumerate(rows):
        number = expected.setdefault(row, len(expected))
        assert group[index] == number
        if number == len(first) - 1 and index == first[number]:
            assert rows[first[number]] == row
    assert [rows[index] for index in first] == list(expected)


def test_rows_whose_hashes_collide_are_still_told_apart() -> None:
    rows: list[tuple[int, ...]] = [*colliding(), (7, 7), *colliding()[::-1]]
    assert len({hashed(row) for row in rows}) == 2, "the rows no longer collide: craft others"
    assert_groups(rows)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)), min_size=1))
def test_equal_rows_share_a_group_and_others_do_not(rows: list[tuple[int, ...]]) -> None:
    assert_groups(rows)


@pytest.mark.parametrize("dtype", [np.bool_, np.int64, np.uint64])
def test_keys_may_be_truths_signed_or_unsigned(dtype: type[np.generic]) -> None:
    key = np.array([1, 0, 1, 0]).astype(dtype)
    first, group = group_rows([key, np.array([-1, -1, -1, 3])])
    assert list(first) == [0, 1, 3]
    assert list(group) == [0, 1, 0, 2]
