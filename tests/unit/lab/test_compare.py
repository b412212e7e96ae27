"""What a replay in virtual time makes of the clock's own steps."""

from __future__ import annotations

import numpy as np

from remusnet.lab.compare import STEP_NS, in_steps


def test_a_read_of_the_clock_more_or_less_makes_no_difference_and_early_stays_early() -> None:
    late_ns = np.array([0, 256, 512, 1_999, 2_000, 2_001, 100_001, -256], np.int64)
    assert in_steps(late_ns).tolist() == [0, *4 * [STEP_NS], 4_000, 102_000, -256]
