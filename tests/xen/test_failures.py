"""What can go wrong under xl remus, on a real Xen: what xl says, arrives, and mends it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.xen.lab import arrivals
from tests.xen.lab.job import Done

pytestmark = [pytest.mark.xen, pytest.mark.slow]

EVERY_RTP = (arrivals.RTP, arrivals.RTP6, arrivals.RTP_TAGGED)
EVERY_TCP = (arrivals.TCP, arrivals.TCP6, arrivals.TCP_TAGGED, arrivals.TCP6_TAGGED)
FEWEST = {**dict.fromkeys(EVERY_RTP, 50), **dict.fromkeys(EVERY_TCP, 10)}
"""In a window of 6 seconds come 300 RTP packets of a stream and 100 lines of a flow, less what
tcpdump takes to start. A busy emulated machine sends late, but at least a tenth of it."""
NOTHING = "no domain is under Remus\n"


@dataclass(frozen=True)
class Left:
    """What a job left in its folder."""

    out: Path
    statuses: dict[str, list[int]]

    @classmethod
    def of(cls, done: Done) -> Left:
        """Of a job that came to its end."""
        assert done.status == 0, done.said[-30:]
        found: dict[str, list[int]] = {}
        for line in (done.out / "statuses").read_text("utf-8").splitlines():
            name, status = line.split()
            found.setdefault(name, []).append(int(status))
        return cls(done.out, found)

    def text(self, name: str) -> str:
        """A file."""
        return (self.out / name).read_text("utf-8", "replace")

    def arrived(self, name: str, streams: Iterable[int]) -> dict[int, int]:
        """How many different records of ``streams`` a window brought."""
        seen = arrivals.streams(self.out / f"{name}.pcap")
        return {each: len(seen[each].number) if each in seen else 0 for each in streams}

    def goes_on(self, name: str, streams: Iterable[int] = FEWEST) -> None:
        """Fails where records of one of ``streams`` do not arrive in a window."""
        found = self.arrived(name, streams)
        assert all(count >= FEWEST[each] for each, count in found.items()), (name, found)

    def mended(self, name: str) -> None:
        """Fails where recover did not end well, or status shows anything after it."""
        assert self.statuses[f"recover-{name}"] == [0], self.text(f"recover-{name}")
        assert self.text(f"after-{name}") == NOTHING


SETUPS = {
    "no-sch-plug": (
        "remusnet-netbuf: error: could not add plug on ifb-1.0: this kernel has no sch_plug",
        "exited with error status 3",
    ),
    "foreign-filter": (
        "remusnet-netbuf: error: vif1.0 has an ingress qdisc with filters that are not remusnet's",
        "exited with error status 5",
    ),
    "too-slow": ("killing execution of /tmp/too-slow setup because of timeout",),
    "no-plug": ("plug qdisc is not installed on ifb-1.0",),
}
"""Modes of jobs/failures-setup.sh in which xl remus ends, and what it says besides FAILED."""
FAILED = "Remus: failed to setup device"
RESUMING = "Remus: Backup failed? resuming domain at primary."


def test_a_setup_that_fails_ends_xl_with_the_reason_and_the_guest_goes_on(
    in_dom0: Callable[..., Done],
) -> None:
    left = Left.of(in_dom0("failures-setup"))
    for name, lines in SETUPS.items():
        said = left.text(f"xl-{name}.log")
        for each in (*lines, FAILED, RESUMING):
            assert each in said, (name, said)
        assert left.statuses[name][-1] == 1
    # Somebody else's qdisc is not deleted, and recover says which it is.
    assert left.statuses["refused-no-plug"] == [5]
    assert "is no plug but pfifo" in left.text("refused-no-plug")
    # A file that can't be read holds everything, and says so where xl does.
    said = left.text("xl-bad-file.log")
    assert "remusnet-netbuf: warning: every frame of vif1.0 is held" in said
    assert "hold-all" in left.text("left-bad-file")
    for name in (*SETUPS, "bad-file"):
        left.goes_on(name)
        left.mended(name)
        assert f"works-again-{name}" in left.statuses


def test_a_killed_xl_stalls_what_is_held_until_recover_and_the_next_one_works(
    in_dom0: Callable[..., Done],
) -> None:
    """A domain that is destroyed too: with frames that are copied, and with ones that are not."""
    left = Left.of(in_dom0("failures-xl"))
    for name in ("KILL", "TERM"):
        assert "left over  no xl remus runs for guest" in left.text(f"left-{name}")
        left.goes_on(f"held-{name}", EVERY_RTP)
        assert set(left.arrived(f"held-{name}", EVERY_TCP).values()) == {0}
        assert "released" in left.text(f"recover-{name}")
        left.mended(name)
        left.goes_on(name)
    for name in ("coupled", "destroyed"):
        assert "Remus: Primary domain has been destroyed." in left.text(f"xl-{name}.log")
        left.mended(name)
    # Pages that frames keep, keep the domain; recover lets both go.
    assert "left over  domain 1 is gone" in left.text("left-coupled")
    assert "(null)" in left.text("list-coupled")
    assert "dropped" in left.text("recover-coupled")
    assert "(null)" not in left.text("list-after-coupled")
    # Copied frames keep nothing, and libxl's teardown, at once or late, nothing to recover.
    assert "left over  domain 2 is gone" in (shown := left.text("left-destroyed")) or (
        shown == NOTHING
    )
    assert "(null)" not in left.text("list-destroyed")
    assert left.text("recover-destroyed") == "nothing is left over\n"
    left.goes_on("destroyed")
    assert "works-again-destroyed" in left.statuses


def test_two_vifs_are_set_up_at_once_and_torn_down_twice_at_once(
    in_dom0: Callable[..., Done],
) -> None:
    left = Left.of(in_dom0("failures-vifs"))
    for number in (0, 1):
        assert f"buffer     ifb-1.{number}" in left.text("left-vifs")
        assert f'netbuf/{number}/hotplug-status = "connected"' in left.text("store-vifs")
    left.goes_on("vifs")
    assert left.statuses["teardown"] == [0, 0, 0, 0]
    assert left.text("teardown") == ""
    left.mended("vifs")
    assert left.text("recover-vifs") == "nothing is left over\n"
    assert "ifb-" not in left.text("links")
    assert "sink-" not in left.text("links")
    assert "ingress" not in left.text("qdiscs")
    left.goes_on("torn-down")
    assert "works-again-vifs" in left.statuses
