from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.emulator.network.link import Link, Losses
from remusnet.frames import Int64s
from remusnet.scenario.scenario import Network

RNG = np.random.default_rng
# Delays are drawn before losses in a stretch, so that with both the chances differ.
NETWORKS = st.one_of(
    st.builds(Network, delay_ns=st.integers(0, 50), jitter_ns=st.integers(0, 90)),
    st.builds(
        Network, delay_ns=st.integers(0, 50), jitter_ns=st.integers(0, 90), reorder=st.just(True)
    ),
    st.builds(Network, delay_ns=st.integers(0, 50), loss_percent=st.sampled_from([10.0, 100.0])),
)


def by_frame(link: Link, left_ns: list[int]) -> list[int | None]:
    return [link.frame(each, 100, "flow") for each in left_ns]


def by_stretch(link: Link, left_ns: Int64s, gone: list[bool] | None = None) -> list[int | None]:
    absent = None if gone is None else np.array(gone, np.bool_)
    arrived_ns, kept = link.stretch(left_ns, absent)
    came = range(len(left_ns)) if kept is None else kept.tolist()
    return [int(arrived_ns[at]) if at in set(came) else None for at in range(len(left_ns))]


@given(NETWORKS, st.lists(st.integers(0, 500), max_size=30), st.data())
def test_a_stretch_arrives_as_its_frames_do_wherever_it_is_cut(
    network: Network, times: list[int], data: st.DataObject
) -> None:
    left_ns = sorted(times)
    at = data.draw(st.integers(0, len(left_ns)))
    link = Link(network, RNG(3))
    found = [
        each
        for piece in (left_ns[:at], left_ns[at:])
        for each in by_stretch(link, np.array(piece, np.int64))
    ]
    assert found == by_frame(Link(network, RNG(3)), left_ns)


@given(st.lists(st.tuples(st.integers(0, 500), st.booleans()), max_size=30))
def test_packets_that_left_out_of_order_arrive_in_the_order_of_leaving(
    packets: list[tuple[int, bool]],
) -> None:
    left_ns = np.array([time for time, _ in packets], np.int64)
    network = Network(delay_ns=5, jitter_ns=100)
    found = by_stretch(Link(network, RNG(5)), left_ns, [gone for _, gone in packets])
    assert [each is None for each in found] == [gone for _, gone in packets]
    came = [(left, each) for left, each in zip(left_ns.tolist(), found, strict=True) if each]
    arrivals = [each for _, each in sorted(came, key=lambda pair: pair[0])]
    assert arrivals == sorted(arrivals)


def test_no_packet_comes_before_it_left() -> None:
    left_ns = np.arange(1000, dtype=np.int64) * 1000
    arrival_ns, kept = Link(Network(delay_ns=5, jitter_ns=1000), RNG(1)).stretch(left_ns)
    assert kept is None
    assert (arrival_ns >= left_ns).all()
    assert (arrival_ns > left_ns + 5).any()


@pytest.mark.parametrize("burst", [1.0, 4.0])
@pytest.mark.parametrize("percent", [1.0, 10.0, 30.0])
def test_losses_have_their_share_and_their_bursts(percent: float, burst: float) -> None:
    losses = Losses(Network(loss_percent=percent, loss_burst=burst), RNG(7))
    lost = np.concatenate([losses.next(10_000) for _ in range(40)])
    assert 100 * lost.mean() == pytest.approx(percent, rel=0.06)
    runs = np.diff(np.flatnonzero(np.diff(lost.astype(int), prepend=0, append=0)))[::2]
    # Independent losses at share p make runs of 1 / (1 - p).
    expected = burst if burst > 1 else 1 / (1 - percent / 100)
    assert runs.mean() == pytest.approx(expected, rel=0.06)


def test_all_or_nothing_is_lost_at_the_ends_of_the_scale() -> None:
    for percent, share in ((0.0, 0.0), (100.0, 1.0)):
        lost = Losses(Network(loss_percent=percent, loss_burst=3.0), RNG(1)).next(100)
        assert lost.mean() == share


def test_a_full_queue_drops_the_last_to_come_and_has_room_as_frames_leave() -> None:
    """1000 bytes take 1 ms; one is being sent, two may wait."""
    link = Link(Network(rate=8_000_000, queue=2), RNG(1))
    assert [link.frame(0, 1000, None) for _ in range(4)] == [1_000_000, 2_000_000, 3_000_000, None]
    assert link.frame(1_000_000, 1000, None) == 4_000_000
    assert link.frame(1_000_000, 1000, None) is None
