"""xl remus on a real Xen: what is held, what passes, and Xen's own script beside it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.xen.lab import arrivals
from tests.xen.lab.arrivals import BUFFER, RELEASE_ONE
from tests.xen.lab.job import Done
from tests.xen.lab.table import Recorded

EVERY_TCP = (arrivals.TCP, arrivals.TCP6, arrivals.TCP_TAGGED, arrivals.TCP6_TAGGED)
EVERY_RTP = (arrivals.RTP, arrivals.RTP6, arrivals.RTP_TAGGED)
HELD = 4
"""A held record waits for half an epoch of a second or more. What passes, for milliseconds (a
busy emulated machine's: tens of them): a ratio of the medians tells them apart on any machine."""


@pytest.mark.xen
def test_tcp_only_holds_tcp_until_libxl_releases_it_and_nothing_else(
    in_dom0: Callable[..., Done],
) -> None:
    done = in_dom0("compare", POLICIES="tcp-only")
    assert done.status == 0, done.said[-20:]
    seen = Recorded.read(done.out)
    print("\n".join(["", *seen.lines()]))

    actions = {each.action for each in seen.orders}
    assert {BUFFER, RELEASE_ONE} <= actions
    for stream in EVERY_TCP:
        assert len(seen.of(stream, "tcp-only").number) >= 50
        assert seen.early(stream, "tcp-only") == 0
        assert seen.delay_ms(stream, "tcp-only") > HELD * seen.delay_ms(arrivals.RTP, "tcp-only")
    # Xen's own script holds IPv4, calls too, and lets IPv6 and tagged frames pass.
    assert seen.delay_ms(arrivals.RTP, "stock") > HELD * seen.delay_ms(arrivals.RTP, "tcp-only")
    assert seen.delay_ms(arrivals.TCP, "stock") > HELD * seen.delay_ms(arrivals.TCP6, "stock")
    assert seen.early(arrivals.TCP6, "stock") > 0
    assert (done.out / "after-tcp-only").read_text("utf-8") == "no domain is under Remus\n"
