"""How many bytes a plug must be able to hold."""

from __future__ import annotations

SMALLEST_LIMIT = 256 * 1024
"""Four GSO frames of 64 KiB. The kernel's own default (48 kB on an IFB) drops even the first."""

LARGEST_LIMIT = 2**32 - 1
"""``struct tc_plug_qopt`` has 32 bits for it (include/uapi/linux/pkt_sched.h)."""


def plug_limit(rate_bits: int, interval_ns: int) -> int:
    """Bytes for a plug behind a link of ``rate_bits`` a second: 2 x rate x interval, rounded up.

    Twice, since it holds the open epoch and the one that waits for its commit. Never less than
    `SMALLEST_LIMIT`, nor more than the kernel can be told (`LARGEST_LIMIT`).

    >>> plug_limit(1_000_000_000, 200_000_000)
    50000000
    """
    needed = -(-2 * rate_bits * interval_ns // (8 * 1_000_000_000))
    return min(max(needed, SMALLEST_LIMIT), LARGEST_LIMIT)
