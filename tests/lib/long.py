"""Large counts: ``scripts/test --long`` runs them whole, every other run a sample of each."""

from __future__ import annotations

import os

VARIABLE = "REMUSNET_LONG"


def count(*, sample: int, long: int) -> int:
    """``long`` under ``scripts/test --long``, else ``sample``."""
    return long if os.environ.get(VARIABLE) == "1" else sample
