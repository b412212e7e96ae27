"""The two things that can happen to a frame."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """What a policy says of a frame."""

    HOLD = "hold"
    """Kept in the buffer device until the checkpoint of its epoch commits."""
    BYPASS = "bypass"
    """Sent at once; a failover can not take it back."""
