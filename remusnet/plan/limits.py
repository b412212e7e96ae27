"""How many bytes a plug must be able to hold. Light."""

from __future__ import annotations

SMALLEST_LIMIT = 256 * 1024
"""Four GSO frames of 64 KiB. The kernel's own default (48 kB on an IFB) drops even the first."""

LARGEST_LIMIT = 2**32 - 1
"""``struct tc_plug_qopt`` has 32 bits for it (include/uapi/linux/pkt_sched.h)."""

MEMORY_COST = 12.5
"""Bytes of memory for each byte that a plug counts, in frames of 60 bytes, Ethernet's shortest.

sch_plug counts a frame's bytes (net/sched/sch_plug.c, plug_enqueue); the kernel pays for its
buffer, some 750 bytes whatever is in it: ``struct sk_buff``, and 512 bytes for head room, frame and
``struct skb_shared_info``.
"""

RUNT_COST = 55.0
"""The same for frames of 14 bytes, a bare Ethernet header: the least that netback and veth take."""


def memory_limit(budget: int) -> int:
    """The plug's limit for a memory budget, both in bytes: budget / 12.5, rounded down.

    >>> memory_limit(64_000_000)
    5120000
    """
    numerator, denominator = MEMORY_COST.as_integer_ratio()
    return budget * denominator // numerator


def memory_needed(limit: int, cost: float = MEMORY_COST) -> int:
    """Bytes of memory that frames of 60 bytes take where they fill ``limit``, rounded up.

    >>> memory_needed(50_000_000)
    625000000
    """
    numerator, denominator = cost.as_integer_ratio()
    return -(-limit * numerator // denominator)


def plug_limit(rate_bits: int, interval_ns: int) -> int:
    """Bytes for a plug behind a link of ``rate_bits`` a second: 2 x rate x interval, rounded up.

    Twice, since it holds the open epoch and the one that waits for its commit. Never less than
    `SMALLEST_LIMIT`, nor more than the kernel can be told (`LARGEST_LIMIT`).

    >>> plug_limit(1_000_000_000, 200_000_000)
    50000000
    """
    needed = -(-2 * rate_bits * interval_ns // (8 * 1_000_000_000))
    return min(max(needed, SMALLEST_LIMIT), LARGEST_LIMIT)


def explain_limit(
    limit: int, rate_bits: int | None, interval_ns: int | None, memory: int | None = None
) -> str:
    """Where a limit comes from, for a person: ``2 x 1gbit x 200ms``; as asked for without both.

    ``memory``: the budget in bytes that it was made from, if it was.

    >>> explain_limit(SMALLEST_LIMIT, 1_000_000, 40_000_000)
    'more than 2 x 1mbit x 40ms, for large frames'
    """
    from remusnet.units import format_duration, format_rate, format_size  # here: for people only

    if memory is not None:
        return f"{format_size(memory)} of memory / {MEMORY_COST}"
    if rate_bits is None or interval_ns is None:
        return "as asked for"
    product = f"2 x {format_rate(rate_bits)} x {format_duration(interval_ns)}"
    needed = -(-2 * rate_bits * interval_ns // (8 * 1_000_000_000))
    if limit > needed:
        return f"more than {product}, for large frames"
    return f"less than {product}, all that the kernel takes" if limit < needed else product
