"""What a policy becomes is the same in every process: sets never decide an order."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.lib.digests import REPOSITORY

_SEEDS = range(8)
_SECONDS = 120


@pytest.mark.slow
def test_plans_files_and_messages_are_the_same_under_every_hash_seed() -> None:
    """Each seed has a process of its own; two are at work at a time."""
    outputs: dict[str, list[int]] = {}
    for pair in zip(_SEEDS[::2], _SEEDS[1::2], strict=True):
        running = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.lib.digests"],
                cwd=REPOSITORY,
                env={**os.environ, "PYTHONHASHSEED": str(seed)},
                stdout=subprocess.PIPE,
                text=True,
            )
            for seed in pair
        ]
        for seed, process in zip(pair, running, strict=True):
            said, _ = process.communicate(timeout=_SECONDS)
            assert process.returncode == 0
            outputs.setdefault(said, []).append(seed)
    first, *others = (text.splitlines() for text in outputs)
    assert len(first) > 200
    assert [line for other in others for line in other if line not in first] == []
    assert len(outputs) == 1
