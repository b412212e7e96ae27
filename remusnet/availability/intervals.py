"""95 % intervals of ratios: from batches of a run, or from the cycles between renewals.

The variance of a ratio of means is the delta method's; Student's quantile is approximated by
Cornish and Fisher's expansion, within 0.1 % from 8 degrees of freedom on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from remusnet.availability.simulation import Chunk

_Z = NormalDist().inv_cdf(0.975)


def student(freedom: int) -> float:
    """The quantile of 97.5 % of Student's distribution with ``freedom`` degrees, 8 or more.

    >>> round(student(31), 3)
    2.04
    """
    z, n = _Z, freedom
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )


@dataclass(frozen=True, slots=True)
class Ratio:
    """A measure's mean over time, half the length of its interval, and how often it changed."""

    value: float
    half: float
    changes: int


def ratios(chunks: Sequence[Chunk]) -> tuple[Ratio, ...]:
    """Each measure's ratio, from independent ``chunks``; with fewer than 9, no interval (inf)."""
    lengths = np.array([each.length for each in chunks])
    integrals = np.array([each.integrals for each in chunks])
    changes = np.array([each.changes for each in chunks]).sum(axis=0)
    count, mean = len(chunks), lengths.mean()
    found = []
    for column, changed in zip(integrals.T, changes, strict=True):
        value = float(column.sum() / lengths.sum())
        half = float("inf")
        if count > 8:
            spread = float(np.sqrt(((column - value * lengths) ** 2).sum() / (count - 1) / count))
            half = student(count - 1) * spread / float(mean)
        found.append(Ratio(value, half, int(changed)))
    return tuple(found)
