"""Readings of protections that never were, for what reports them."""

from __future__ import annotations

from dataclasses import replace

from remusnet.results.monitoring import Reading
from remusnet.results.protection import Difference, Protected, ReceiptTerms, Status

TERMS = ReceiptTerms(
    policy="tcp-only",
    classifier="u32",
    limit=1_000_000,
    rate=1_000_000_000,
    interval_ns=200_000_000,
    phase="applied",
    version="0.1.0",
    decouple=True,
)
INGRESS_GONE = Difference("vif1.0", "ingress qdisc", "there", "gone: every frame bypasses")
PLUG_GONE = Difference("ifb-1.0", "root qdisc", "plug", "none: what should be held leaves at once")
VIF_GONE = Difference("vif1.0", "vif", "there", "gone")
QUEUE = Difference("ifb-1.0", "txqueuelen", "32", "1000: what was held is lost")


def status(**changes: object) -> Status:
    """Of vif1.0, whose plug holds 2 of the 12 packets that came."""
    found = Status(
        protected=Protected("ifb-1.0", ("vif1.0",), TERMS),
        held=12,
        bypassed=30,
        backlog=3000,
        waiting=2,
        overflowed=0,
        refused=0,
        decouple=True,
        uncopied=0,
        plug="buffering",
        driver=" by process 4711",
        warnings=(),
    )
    return replace(found, **changes)  # type: ignore[arg-type]  # the names are Status's own


def reading(*differences: Difference, **changes: object) -> Reading:
    """A reading of that, with ``differences`` and ``changes`` of its status."""
    found = status(**changes)
    return Reading(found.protected, found, differences)


UNPROTECTED = Reading(
    Protected("", ("vif9.0",), None),
    None,
    (Difference("vif9.0", "protection", "a protection", "none: every frame bypasses"),),
)
