"""Large counts and random choices: how many a test takes, and from which seed.

``scripts/test --long`` runs large counts whole, every other run a sample of each. pytest's header
says which of both, and the seed.
"""

from __future__ import annotations

import os
import secrets

VARIABLE = "REMUSNET_LONG"
SEED_VARIABLE = "REMUSNET_SEED"


def count(*, sample: int, long: int) -> int:
    """``long`` under ``scripts/test --long``, else ``sample``."""
    return long if os.environ.get(VARIABLE) == "1" else sample


def seed() -> int:
    """The seed of this run, for a ``Random`` of the test's own: another in each run.

    `SEED_VARIABLE` in the environment repeats one; whoever asks first sets it there, so that
    workers and labs have the same.
    """
    return int(os.environ.setdefault(SEED_VARIABLE, str(secrets.randbelow(2**32))))


def told() -> str:
    """Both, as pytest's header shows them."""
    counts = count(sample=0, long=1)
    return (
        f"counts: {'all' if counts else f'a sample ({VARIABLE}=1: all)'}; "
        f"seed: {seed()} ({SEED_VARIABLE}={seed()} repeats it)"
    )
