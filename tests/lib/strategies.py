"""Hypothesis strategies for frames: the kinds of `tests.lib.framegen`, and any bytes."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.lib.damage import DAMAGES, NONE
from tests.lib.framegen import COMBINATIONS, Sample, build


@st.composite
def samples(draw: st.DrawFn, damaged: bool = True) -> Sample:
    """A frame with its kind; every field is hypothesis's choice."""
    combination = draw(st.sampled_from(COMBINATIONS))
    damage = draw(st.sampled_from([NONE, *DAMAGES])) if damaged else NONE
    return build(draw(st.randoms()), *combination, damage)


def frames(damaged: bool = True) -> st.SearchStrategy[bytes]:
    """A frame's bytes: mostly structured, sometimes any bytes at all."""
    structured = samples(damaged).map(lambda sample: sample.frame)
    return st.one_of(structured, st.binary(max_size=120)) if damaged else structured
