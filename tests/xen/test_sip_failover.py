"""A SIP server under xl remus loses its primary in mid-call, and the calls go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.xen.lab import arrivals, sip_guest
from tests.xen.lab.build import Lab
from tests.xen.lab.calls import Survival, completed, share, spread, still_there
from tests.xen.lab.job import Done
from tests.xen.lab.places import TOP
from tests.xen.lab.takeover import Takeover

pytestmark = [pytest.mark.xen, pytest.mark.slow]

DUMB = Path("/lib/terminfo/d/dumb")
"""sipp wants a terminal that is described; Dom0 has none. Every Debian has this one."""
SCENARIOS = TOP / "scripts" / "sip"
TRANSPORTS = ("udp", "tcp")
HELD = {"tcp-only": ("tcp",), "real-time": TRANSPORTS, "stock": TRANSPORTS}
"""By the way to buffer: the transports whose answers wait for the checkpoint that has them."""


class Column:
    """One way to buffer, in the table."""

    def __init__(self, out: Path) -> None:
        self.takeover = Takeover.read(out)
        self.fenced_ns = self.takeover.fenced_ns
        self.sip = {each: Survival.read(out, each, self.fenced_ns) for each in TRANSPORTS}
        begin, _ = arrivals.windows(out / "windows")["calls"]
        seen = arrivals.streams(out / "bridge.pcap", out / "vif.pcap")[arrivals.RTP]
        self.protected = seen.within(begin, arrivals.windows(out / "windows")["fence"][0])

    def cells(self) -> dict[str, str]:
        """What the table says of it, by row."""
        mean, largest = self.protected.jitter_ms()
        made = {}
        for name, seen in self.sip.items():
            made[f"{name.upper()}: calls up that hung up well"] = share(
                completed(seen.up()), seen.up()
            )
            made[f"{name.upper()}: calls being set up, the same"] = share(
                completed(seen.under_way()), seen.under_way()
            )
            made[f"{name.upper()}: calls begun afterwards, the same"] = share(
                completed(seen.later()), seen.later()
            )
            made[f"{name.upper()}: registrations still there"] = share(
                still_there(seen.registered()), seen.registered()
            )
            made[f"{name.upper()}: set-up p50 / max (ms)"] = spread(seen.set_up_ms())
        made["RTP silent (s)"] = f"{self.takeover.silence_s(arrivals.RTP):.1f}"
        made["RTP jitter before, mean / max (ms)"] = f"{mean:.1f} / {largest:.1f}"
        made["RTP hold before, p50 (ms)"] = spread(list(self.protected.hold_ms())).split(" / ")[0]
        return made


@pytest.fixture(scope="module")
def columns() -> Iterator[dict[str, Column]]:
    """What has been seen, by the way to buffer; printed as one table at the end."""
    seen: dict[str, Column] = {}
    yield seen
    print("\n" + "\n".join(table(seen)))


def table(seen: dict[str, Column]) -> list[str]:
    """For a person."""
    cells = {way: column.cells() for way, column in seen.items()}
    made = [f"{'':44}" + "".join(f"{way:>16}" for way in cells)]
    rows = next(iter(cells.values()), {})
    made += [f"{row:44}" + "".join(f"{each[row]:>16}" for each in cells.values()) for row in rows]
    return made


@pytest.mark.parametrize("way", HELD)
def test_calls_and_registrations_survive_the_loss_of_the_primary(
    way: str, lab: Lab, in_dom0: Callable[..., Done], columns: dict[str, Column]
) -> None:
    brings = {
        f"{name}.xml": (SCENARIOS / f"{name}.xml").read_bytes()
        for name in ("answer", "enrol", "held", "register")
    }
    brings["terminfo/d/dumb"] = DUMB.read_bytes()
    brings["programs"] = sip_guest.archive(lab, print)
    done = in_dom0("sip_failover", brings, WAY=way)
    assert done.status == 0, done.said[-20:]
    column = columns[way] = Column(done.out)
    for transport, seen in column.sip.items():
        # A call a second, for twenty seconds before the loss.
        assert len(seen.up()) >= 5
        assert len(seen.registered()) >= 5
        # The server keeps nothing of a call that is up: its route is in the BYE.
        assert len(completed(seen.up())) == len(seen.up())
        if transport in HELD[way]:
            # Nobody has been told of a registration that the backup does not know.
            assert len(still_there(seen.registered())) == len(seen.registered())
    assert not column.takeover.late()
