"""What happens to packets on their way: the guest's pauses, the buffer, the network."""

from __future__ import annotations

import numpy as np

from remusnet.classify.columns import Bools
from remusnet.emulator.machine.checkpoints import Checkpoints
from remusnet.emulator.traffic.media import noise
from remusnet.frames import Int64s
from remusnet.scenario.scenario import Network

_LONG_AGO = np.iinfo(np.int64).min


def leave(due_ns: Int64s, checkpoints: Checkpoints, hold: bool) -> tuple[Int64s, Int64s]:
    """When packets that are due at ``due_ns`` (int64[n], ascending) are sent, and when they leave.

    What falls into a pause is sent at the resume; what is held leaves at the commit of the epoch
    that sent it. This is `replay` for packets in order: epochs are stretches of them, so each is
    looked up once and not once a packet.

    Raises IndexError where the last checkpoint comes before the last packet.
    """
    if len(due_ns) == 0 or len(checkpoints) == 0:
        return due_ns, due_ns
    suspend_ns = checkpoints.suspend_ns
    first, last = np.searchsorted(suspend_ns, due_ns[[0, -1]], side="right").tolist()
    if last >= len(checkpoints):
        raise IndexError("packets after the last checkpoint")
    # A packet at the moment of a suspend belongs to the next epoch.
    cuts = np.searchsorted(due_ns, suspend_ns[first:last], side="left")
    counts = np.diff(np.concatenate([[0], cuts, [len(due_ns)]]))
    before = checkpoints.resume_ns[first - 1] if first else _LONG_AGO
    resumes = np.concatenate([[before], checkpoints.resume_ns[first:last]])
    sent_ns = np.maximum(due_ns, np.repeat(resumes, counts))
    if not hold:
        return sent_ns, sent_ns
    return sent_ns, np.repeat(checkpoints.commit_ns[first : last + 1], counts)


def early(sent_ns: Int64s, left_ns: Int64s, checkpoints: Checkpoints) -> int:
    """How many held packets left before the commit that they had to wait for.

    As `output_commit` counts them, from times alone; ``sent_ns`` ascends.
    """
    if len(sent_ns) == 0 or len(checkpoints) == 0:
        return 0
    first, last = np.searchsorted(checkpoints.suspend_ns, sent_ns[[0, -1]], side="right").tolist()
    cuts = np.searchsorted(sent_ns, checkpoints.suspend_ns[first:last], side="left")
    counts = np.diff(np.concatenate([[0], cuts, [len(sent_ns)]]))
    needed_ns = np.repeat(checkpoints.commit_ns[first : last + 1], counts)
    return int(np.count_nonzero(left_ns < needed_ns))


def arrive(left_ns: Int64s, network: Network, rng: np.random.Generator) -> Int64s:
    """When packets that left at ``left_ns`` would come, had nothing before them: int64[n].

    The delay is never less than 0. Order is up to the caller.
    """
    arrival_ns = left_ns + network.delay_ns
    if network.jitter_ns:
        arrival_ns += noise(rng, len(left_ns), network.jitter_ns)
        np.maximum(arrival_ns, left_ns, out=arrival_ns)
    return arrival_ns


class Losses:
    """Which packets of one stream the network loses: alone, or several in a row.

    A two-state model: runs of kept and of lost packets take turns, both of geometric length
    (Gilbert's, as E-model people use it), so that ``loss_percent`` of all are lost.
    """

    def __init__(self, network: Network, rng: np.random.Generator) -> None:
        self.share = network.loss_percent / 100
        self.burst = network.loss_burst
        self.rng = rng
        self._left = np.zeros(0, np.bool_)

    def next(self, count: int) -> Bools:
        """For the next ``count`` packets, which are lost: bool[count]."""
        if self.burst <= 1 or self.share in (0.0, 1.0):
            return self.rng.random(count) < self.share
        kept = self.burst * (1 - self.share) / self.share
        while len(self._left) < count:
            turns = int(count / (kept + self.burst)) + 16
            runs = np.empty(2 * turns, np.int64)
            # A geometric run is at least 1 long; a share above a half needs shorter kept ones.
            runs[0::2] = self.rng.geometric(1 / max(kept, 1.0), turns)
            runs[1::2] = self.rng.geometric(1 / self.burst, turns)
            lost = np.repeat(np.arange(2 * turns) % 2 == 1, runs)
            self._left = np.concatenate([self._left, lost])
        found, self._left = self._left[:count], self._left[count:]
        return found
