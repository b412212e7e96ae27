"""What a protection has held, refused and let pass, from what the kernel counts.

A plug counts what it has let go, holds and has dropped, since it was made. act_mirred counts for
each filter that holds the frames that it took, and as overlimits those that could not be sent on:
the plug's drops, and what found the buffer device down or gone (net/sched/act_mirred.c). What was
purged with a plug shows nowhere else. New filters begin at 0: a receipt notes what went before.

A plug's limit can't be read, but its drops speak. It drops a frame only if that would exceed the
limit. So if all that has ever come would fit together, and some of it was dropped, somebody has
told the plug a smaller limit. That much can be proven while no more has come than the limit; later
a drop may also mean what it should.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from remusnet.kernel.state.observe import Seen
from remusnet.kernel.state.ownership import is_marked
from remusnet.kernel.state.receipt import Receipt, has_new_plug
from remusnet.kernel.wire.objects import Counters, SeenFilter
from remusnet.policy.verdict import Verdict

_HEADERS = 32
"""Bytes of a frame, at most, that a filter doesn't count and the plug does: Ethernet, and tags."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Packets: ``held`` by the plug since it was made (None without one), ``refused`` by a device
    down or gone, ``taken`` out of the way in all, whatever became of them.
    """

    held: int | None
    refused: int
    taken: int


def holding(vifs: Iterable[str], seen: Seen) -> Iterator[SeenFilter]:
    """The filters of ours at ``vifs`` that hold."""
    for vif in vifs:
        for each in seen.filters_of(vif):
            if each.verdict is Verdict.HOLD and is_marked(each):
                yield each


def counts(
    buffer: str,
    vifs: Iterable[str],
    receipt: Receipt | None,
    seen: Seen,
    later: Counters | None = None,
) -> Counts:
    """What ``vifs`` have sent to the plug of ``buffer``.

    ``later``: the plug's counters behind a look at the filters; what it dropped in between would
    count as refused.
    """
    holds = tuple(holding(vifs, seen))
    refused = sum(each.counters.overlimits for each in holds)
    taken = sum(each.counters.packets for each in holds)
    if receipt is not None:
        taken += receipt.taken
    root = seen.root(buffer)
    if root is None or root.kind != "plug":
        return Counts(None, refused + (receipt.refused if receipt else 0), taken)
    drops = (later or root.counters).drops
    if receipt is not None and receipt.handle == root.handle:
        drops -= receipt.drops  # those were counted by filters that are gone
    refused = max(0, refused - drops) + (receipt.refused if receipt else 0)
    held = root.counters.packets + root.counters.qlen
    # While filters were replaced some frames were counted by none that is left.
    return Counts(held, refused, max(taken, held + root.counters.drops + refused))


def dropped(receipt: Receipt, seen: Seen) -> int:
    """Frames that the plug has dropped since it was told its limit; 0 where that is unknown."""
    root = seen.root(receipt.buffer)
    if not receipt.handle or root is None or has_new_plug(receipt, seen):
        return 0
    return max(0, root.counters.drops - receipt.told)


def is_limit_less(receipt: Receipt, seen: Seen) -> bool:
    """Whether its limit is certainly less than the receipt says."""
    if not dropped(receipt, seen):
        return False
    came = receipt.held
    for each in holding(receipt.vifs, seen):
        came += each.counters.bytes + _HEADERS * each.counters.packets
    return came <= receipt.limit
