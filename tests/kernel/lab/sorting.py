"""Which frames a vif's filters hold: sent by the guest, seen on the IFB or not, by the thousand."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import NamedTuple

from remusnet.classify.filters import Classification
from remusnet.plan.operations import AddFilter
from tests.kernel.lab.bed import VIF, Bed
from tests.kernel.lab.packets import stamped
from tests.kernel.lab.wait import wait_until

# Fewer than the backlog of a CPU takes (net.core.netdev_max_backlog is 1000 by default): a veth
# drops what does not fit there.
_AT_ONCE = 500
_IFB, _SINK = "ifb0", "ifb1"


class Sorted(NamedTuple):
    """Indices of frames by what became of them.

    ``held``: redirected to the IFB; ``passed``: reached the client without it; ``lost``: neither.
    """

    held: frozenset[int]
    passed: frozenset[int]
    lost: frozenset[int]


def sort_frames(bed: Bed, frames: Sequence[bytes], *, ifb: str) -> Sorted:
    """Send ``frames`` (14 bytes or more each) as the guest, and sort them by the way they took.

    What comes to ``ifb`` has to leave it at once. Raises AssertionError if a frame arrives twice,
    or is lost although it is not `too_short`.
    """
    sure = [not too_short(frame) for frame in frames]
    held: list[int] = []
    arrived: list[int] = []
    came = 0
    with bed.from_guest() as guest, bed.leaving(ifb) as buffer, bed.at_client() as client:
        for first in range(0, len(frames), _AT_ONCE):
            batch = range(first, min(first + _AT_ONCE, len(frames)))
            expected = sum(sure[: batch.stop])
            guest.send(stamped(frames[index], index) for index in batch)

            def all_arrived(expected: int = expected) -> bool:
                nonlocal came
                new = client.stamps()
                arrived.extend(new)
                came += sum(sure[index] for index in new)
                return came >= expected

            wait_until(all_arrived, f"{expected} frames at the client")
            held += buffer.stamps()
    assert len(arrived) == len(set(arrived)), "a frame arrived twice"
    assert len(held) == len(set(held)), "a frame was held twice"
    passed = frozenset(arrived).difference(held)
    lost = frozenset(range(len(frames))).difference(held, passed)
    return Sorted(frozenset(held), passed, lost)


def sort_by(bed: Bed, classification: Classification, frames: Sequence[bytes]) -> Sorted:
    """Sort ``frames`` by these filters, given to tc as remusnet's plans do, and an open IFB."""
    bed.add_ifb(_IFB)
    # Its own queue takes 32 frames (drivers/net/ifb.c) and drops more. A busy kernel leaves a burst
    # to ksoftirqd, which takes 300 frames to the IFB before the IFB passes on the first.
    bed.dom0.tc(f"qdisc add dev {_IFB} root pfifo limit {_AT_ONCE}")
    bed.add_ifb(_SINK)
    bed.dom0.tc(f"qdisc add dev {_SINK} root pfifo limit 0")
    bed.dom0.tc(f"qdisc add dev {VIF} ingress")
    lines = [
        shlex.join(command.arguments)
        for each in classification.filters
        for command in AddFilter(VIF, _IFB, each, sink=_SINK).commands
    ]
    bed.dom0.run("tc", "-batch", "-", input_text="\n".join([*lines, ""]))
    return sort_frames(bed, frames, ifb=_IFB)


def too_short(frame: bytes) -> bool:
    """Whether the kernel may drop ``frame``, whatever the filters say of it.

    Before the filters: net/core/skbuff.c, skb_vlan_untag(). Behind them, where the module
    br_netfilter is loaded: net/bridge/br_netfilter_hooks.c, br_nf_pre_routing().
    """
    ethertype, payload = frame[12:14], frame[14:]
    if ethertype in (b"\x81\x00", b"\x88\xa8"):
        if len(payload) < 6:
            return True
        ethertype, payload = payload[2:4], payload[4:]
    least = {b"\x81\x00": 4, b"\x88\x64": 8}.get(ethertype, 0)
    return len(payload) < least
