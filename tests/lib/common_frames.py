"""Frames of the links that classifiers look into; `tests.lib.framegen.generate` has few of them."""

from __future__ import annotations

import itertools
from random import Random

from tests.lib.damage import DAMAGES, NONE
from tests.lib.framegen import NETWORKS, NO_TRANSPORT, NON_IP, TRANSPORTS, Sample, build

_KINDS = [
    *itertools.product(("plain", "tag", "priority"), NETWORKS, TRANSPORTS),
    *itertools.product(("plain", "tag"), NON_IP, [NO_TRANSPORT]),
]
_MORE = [
    *itertools.product(("plain", "tag"), ("ipv4", "ipv6"), ("rtp", "rtcp", "neighbour", "icmp")),
    *itertools.product(("plain", "tag"), ("arp",), [NO_TRANSPORT]),
]


def common_frames(count: int, seed: int, *, shortest: int = 0) -> list[Sample]:
    """Untagged and tagged frames of at least ``shortest`` bytes: half of all kinds, half of those
    that policies let bypass; a third is damaged.
    """
    rng = Random(seed)
    damages = [*[NONE] * 2 * len(DAMAGES), *DAMAGES]
    samples = []
    for _ in range(count):
        kind = rng.choice(rng.choice((_KINDS, _MORE)))
        sample = build(rng, *kind, rng.choice(damages))
        samples.append(sample._replace(frame=sample.frame.ljust(shortest, b"\0")))
    return samples
