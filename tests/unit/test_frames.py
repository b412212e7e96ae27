from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.frames import Frames, numbers, stretches

three = [b"first", b"", b"the third"]


@given(st.lists(st.binary(max_size=40)))
def test_frames_give_back_the_bytes_they_were_made_of(frames: list[bytes]) -> None:
    made = Frames.of(frames)
    assert [made.frame(i) for i in range(len(made))] == frames
    assert made.length.tolist() == made.caplen.tolist() == [len(frame) for frame in frames]


def test_no_frames_are_frames_too() -> None:
    assert len(Frames.of([])) == 0
    assert Frames.of([]).data.size == 0


def test_frames_without_times_are_a_millisecond_apart() -> None:
    assert [b - a for a, b in pairwise(Frames.of(three).time_ns.tolist())] == [10**6, 10**6]


def test_times_and_lengths_are_kept_as_they_are_given() -> None:
    """Times need not ascend, and a frame that a snap length cut is longer than what is here."""
    made = Frames.of(three, time_ns=[9, 5, 2**62], length=[5, 60, 1514])
    assert made.time_ns.tolist() == [9, 5, 2**62]
    assert made.length.tolist() == [5, 60, 1514]
    assert made.caplen.tolist() == [5, 0, 9]


@given(st.data(), st.lists(st.binary(max_size=20), min_size=1))
def test_taking_frames_takes_all_columns_and_copies_no_bytes(
    data: st.DataObject, frames: list[bytes]
) -> None:
    """In any order, repeated or not."""
    made = Frames.of(frames)
    indices = data.draw(st.lists(st.integers(0, len(frames) - 1)))
    taken = made.take(np.asarray(indices, np.int64))
    assert [taken.frame(i) for i in range(len(taken))] == [frames[i] for i in indices]
    assert taken.time_ns.tolist() == [int(made.time_ns[i]) for i in indices]
    assert taken.data is made.data


def test_frames_at_other_times_are_the_same_frames() -> None:
    made = Frames.of(three)
    moved = made.at(made.time_ns + 7)
    assert moved.time_ns.tolist() == [7, 10**6 + 7, 2 * 10**6 + 7]
    assert [moved.frame(i) for i in range(3)] == three
    assert made.time_ns.tolist() == [0, 10**6, 2 * 10**6]


def test_columns_of_different_lengths_are_refused() -> None:
    made = Frames.of(three)
    with pytest.raises(ValueError, match="columns of different lengths"):
        made.at(np.zeros(2, np.int64))


def test_frames_cannot_be_changed() -> None:
    made = Frames.of(three)
    with pytest.raises(AttributeError):
        made.data = made.data  # type: ignore[misc]  # what is being tested


@given(st.binary(max_size=12), st.lists(st.integers(-3, 15), max_size=6))
@pytest.mark.parametrize("size", [1, 2, 4, 6])
def test_numbers_are_big_endian_wherever_they_begin(
    size: int, data: bytes, places: list[int]
) -> None:
    """A place from which no whole number can be read gives one all the same, and no error."""
    found = numbers(np.frombuffer(data, np.uint8), np.asarray(places, np.int64), size)
    assert len(found) == len(places)
    for place, number in zip(places, found.tolist(), strict=True):
        if 0 <= place <= len(data) - size:
            assert number == int.from_bytes(data[place : place + size], "big")
        assert 0 <= number < 256**size


@given(st.binary(min_size=3, max_size=12))
def test_stretches_overlap(data: bytes) -> None:
    found = stretches(np.frombuffer(data, np.uint8), 3)
    assert [each.tobytes() for each in found] == [data[i : i + 3] for i in range(len(data) - 2)]
