"""Whether a plug has the limit that it was told: the kernel can't be asked, but its drops speak.

A plug drops a frame only if it would exceed the limit. So if all that has ever come would fit
together, and some of it was dropped, somebody has told the plug a smaller limit. That much can be
proven while no more has come than the limit; later a drop may also mean what it should.
"""

from __future__ import annotations

from remusnet.kernel.state.counts import holding
from remusnet.kernel.state.receipt import Receipt, has_new_plug
from remusnet.kernel.wire.objects import Seen

_HEADERS = 32
"""Bytes of a frame, at most, that a filter doesn't count and the plug does: Ethernet, and tags."""


def dropped(receipt: Receipt, seen: Seen) -> int:
    """Frames that the plug has dropped since it was told its limit; 0 where that is unknown."""
    root = seen.root(receipt.buffer)
    if not receipt.handle or root is None or has_new_plug(receipt, seen):
        return 0
    return max(0, root.counters.drops - receipt.told)


def is_less(receipt: Receipt, seen: Seen) -> bool:
    """Whether its limit is certainly less than the receipt says."""
    if not dropped(receipt, seen):
        return False
    came = receipt.held
    for each in holding(receipt.vifs, seen):
        came += each.counters.bytes + _HEADERS * each.counters.packets
    return came <= receipt.limit
