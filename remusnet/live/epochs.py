"""What the driver did and when: a file without a name that both processes have, a row a checkpoint.

The runner writes each entry before anything else can go wrong, so the reader has all that happened
whatever became of the runner. All times are CLOCK_REALTIME in ns, which the taps use too.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass

import numpy as np

from remusnet.frames import Int64s

_COLUMNS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Epochs:
    """n checkpoints that have committed: int64[n] each.

    ``suspend_ns``: the program was told to stop; ``frozen_ns``: it stood; ``mark_ns``: what was
    sent later belongs to the next epoch; ``resume_ns``: it ran again; ``commit_ns``: just before
    the release was ordered.
    """

    suspend_ns: Int64s
    frozen_ns: Int64s
    mark_ns: Int64s
    resume_ns: Int64s
    commit_ns: Int64s

    def __len__(self) -> int:
        return len(self.suspend_ns)


class EpochLog:
    """The file. One process writes, another reads."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="remusnet-", buffering=0)  # noqa: SIM115

    def write(
        self, suspend_ns: int, frozen_ns: int, mark_ns: int, resume_ns: int, commit_ns: int
    ) -> None:
        """One checkpoint. A full disk loses rows, no checkpoint."""
        row = np.array([suspend_ns, frozen_ns, mark_ns, resume_ns, commit_ns], np.int64)
        self._file.write(row.tobytes())

    def read(self) -> Epochs:
        """All rows so far."""
        size = os.fstat(self._file.fileno()).st_size
        whole = size - size % (8 * _COLUMNS)
        rows = np.frombuffer(os.pread(self._file.fileno(), whole, 0), np.int64)
        return Epochs(*rows.reshape(-1, _COLUMNS).T.copy())

    def close(self) -> None:
        """The file is gone."""
        self._file.close()
