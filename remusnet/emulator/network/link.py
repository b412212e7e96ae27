"""One direction of the network, frame by frame: rate, delay, jitter, loss."""

from __future__ import annotations

from collections.abc import Hashable

from remusnet.emulator.machine.departure import Losses
from remusnet.emulator.traffic.rtp import generator
from remusnet.scenario.quantity import NS_PER_S
from remusnet.scenario.scenario import Network


class Link:
    """``direction``: 0 from the guest, 1 to it. Frames must leave in order of time.

    With a rate they stand in one queue that has no end. Jitter lets no frame overtake another of
    its flow, unless the network reorders.
    """

    def __init__(self, network: Network, seed: int, direction: int) -> None:
        self._network = network
        self._rng = generator(seed, "network", direction)
        self._losses = Losses(network, self._rng) if network.loss_percent else None
        self._free_ns = 0
        self._latest: dict[Hashable, int] = {}

    def arrival(self, left_ns: int, length: int, flow: Hashable) -> int | None:
        """When a frame of ``length`` bytes that left at ``left_ns`` comes; None where it's lost.

        What the network loses has used its rate before.
        """
        network = self._network
        out_ns = left_ns
        if network.rate is not None:
            out_ns = max(left_ns, self._free_ns) + length * 8 * NS_PER_S // network.rate
            self._free_ns = out_ns
        arrival_ns = out_ns + network.delay_ns
        if network.jitter_ns:
            arrival_ns += int(self._rng.standard_normal() * network.jitter_ns)
            arrival_ns = max(arrival_ns, out_ns)
        if self._losses is not None and self._losses.next(1)[0]:
            return None
        if not network.reorder:
            arrival_ns = max(arrival_ns, self._latest.get(flow, 0))
            self._latest[flow] = arrival_ns
        return arrival_ns
