"""What takes operations back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from remusnet.plan.operations import AddFilter, AddIngress, DeleteFilters, Operation


def undo_of(done: Sequence[Operation]) -> Iterator[Operation]:
    """What takes ``done`` back, in reverse order.

    A filter goes with the ingress qdisc that was added for it; where that was there before, all of
    its preference go at once.
    """
    ingress = {each.device for each in done if isinstance(each, AddIngress)}
    gone: set[DeleteFilters] = set()
    for each in reversed(done):
        if isinstance(each, AddFilter) and each.device not in ingress:
            what = each.filter
            deletion = DeleteFilters(each.device, what.pref, what.protocol, each.shared)
            if deletion not in gone:
                gone.add(deletion)
                yield deletion
        else:
            yield from each.undo
