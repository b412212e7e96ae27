"""The files between the host and the replay say inside what was meant outside."""

from __future__ import annotations

import io
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from remusnet.lab import script
from remusnet.lab.script import (
    Step,
    Terms,
    number_of,
    numbered,
    read_steps,
    written_steps,
)

times = st.integers(-(2**62), 2**62)
frames = st.binary(min_size=14, max_size=100)
steps = st.builds(Step, times, frames, st.just(False)) | st.builds(
    Step, times, st.just(b""), st.booleans()
)


@given(st.lists(steps))
def test_steps_come_back_as_they_were(given_steps: list[Step]) -> None:
    file = io.BytesIO(b"".join(written_steps(given_steps)))
    assert list(read_steps(file)) == given_steps


@given(st.lists(steps), st.integers(1, 40))
def test_steps_that_lie_across_two_reads_come_back_too(given_steps: list[Step], many: int) -> None:
    file = io.BytesIO(b"".join(written_steps(given_steps)))
    with mock.patch.object(script, "_MANY", many):
        assert list(read_steps(file)) == given_steps


@given(frames, st.integers(0, 2**32 - 1))
def test_a_frame_says_its_number_and_changes_in_nothing_else(frame: bytes, number: int) -> None:
    made = numbered(frame, number)
    assert number_of(made) == number
    assert (made[:6], made[12:]) == (frame[:6], frame[12:])


def test_a_frame_of_the_kernels_own_has_no_number() -> None:
    assert number_of(bytes.fromhex("333300000016 5254001234 56 86dd") + bytes(40)) is None


def test_terms_come_back_as_they_were() -> None:
    terms = Terms('name = "x"\n', "u32", 4_000, virtual=True)
    assert Terms.read(terms.text()) == terms
