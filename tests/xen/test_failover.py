"""A failover of xl remus on a real Xen: what the backup sends again, and what never leaves."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.xen.lab import arrivals
from tests.xen.lab.job import Done
from tests.xen.lab.takeover import Takeover

pytestmark = [pytest.mark.xen, pytest.mark.slow]

EVERY_TCP = (arrivals.TCP, arrivals.TCP6, arrivals.TCP_TAGGED, arrivals.TCP6_TAGGED)
EVERY_RTP = (arrivals.RTP, arrivals.RTP6, arrivals.RTP_TAGGED)
TABLE = (
    ("RTP", arrivals.RTP),
    ("RTP, IPv6", arrivals.RTP6),
    ("UDP", arrivals.PLAIN_UDP),
    ("TCP", arrivals.TCP),
    ("TCP, IPv6", arrivals.TCP6),
)


def failover(in_dom0: Callable[..., Done], fence: str) -> tuple[Done, Takeover]:
    """The job's recording, if the backup has taken over; its table is printed."""
    done = in_dom0("failover", FENCE=fence)
    assert done.status == 0, done.said[-20:]
    assert "migration target: Remus Failover for domain 2" in said(done, "receiver.log")
    seen = Takeover.read(done.out)
    print("\n".join(["", *seen.lines(TABLE)]))
    return done, seen


def said(done: Done, name: str) -> str:
    """A file that the job left."""
    return (done.out / name).read_text("utf-8", "replace")


def the_guest_goes_on(done: Done, seen: Takeover) -> None:
    """By its name in another domain; its connections have survived; it says where it is now."""
    assert domains(done, "protected") == {"guest": "1", "guest--incoming": "2"}
    assert domains(done, "settled") == {"guest": "2"}
    connections = said(done, "connections-protected")
    assert len(connections.splitlines()) == len(EVERY_TCP)
    assert said(done, "connections-settled") == connections
    assert said(done, "connections-again") == connections
    assert max(seen.announced) > seen.fenced_ns


def output_is_committed(seen: Takeover) -> None:
    """Nobody has seen a byte of TCP that the backup does not know of."""
    for stream in EVERY_TCP:
        assert seen.undone(stream)
        assert not seen.twice(stream)
        assert seen.missing(stream) == 0
    assert not seen.late()


def it_is_protected_again(done: Done) -> None:
    """The backup, by the policy of the guest's name."""
    state = said(done, "state-again")
    assert "guest (domain 2): vif2.0" in state
    assert "policy     tcp-only," in state
    window = arrivals.windows(done.out / "windows")["again"]
    orders = arrivals.orders(done.out / "netlink.pcap")
    near = [each for each in orders if each.time_ns >= window[0] - 30_000_000_000]
    seen = arrivals.streams(done.out / "bridge.pcap", done.out / "vif-backup.pcap")
    for stream in EVERY_TCP:
        records = seen[stream].within(*window)
        assert len(records.number) >= 50
        assert not len(arrivals.early(records, near))
    for stream in EVERY_RTP:
        records = seen[stream].within(*window)
        assert len(records.number) >= 50
        assert len(arrivals.early(records, near))


def domains(done: Done, when: str) -> dict[str, str]:
    """Name and number of those that xl listed, but for Domain 0."""
    listed = re.findall(r"^(\S+) +(\d+) +\d+ +\d+ +[a-z-]+ +", said(done, f"state-{when}"), re.M)
    return {name: number for name, number in listed if number != "0"}


def test_the_backup_takes_over_and_what_the_fenced_primary_held_never_leaves(
    in_dom0: Callable[..., Done],
) -> None:
    done, seen = failover(in_dom0, "pause")
    the_guest_goes_on(done, seen)
    output_is_committed(seen)
    # RTP has been seen. The backup's packets of the same numbers arrive as well, unless they are
    # lost while the guest's network driver connects.
    for stream in EVERY_RTP:
        assert seen.twice(stream) <= seen.undone(stream)
    # The primary's vif was there all the time, with frames in the plug.
    left = 'left over  no xl remus runs for guest-fenced: "remusnet xen recover" ends it'
    assert left in said(done, "state-taken-over")
    assert said(done, "dropped-status") == "0\n"
    assert said(done, "dropped").startswith(
        "guest-fenced: vif1.0 (buffer device ifb-1.0): removed; "
    )
    assert " held packets dropped\n" in said(done, "dropped")
    it_is_protected_again(done)


def test_a_primary_that_is_destroyed_leaves_nothing_behind_either(
    in_dom0: Callable[..., Done],
) -> None:
    done, seen = failover(in_dom0, "destroy")
    the_guest_goes_on(done, seen)
    output_is_committed(seen)
    assert "left over  domain 1 is gone" in said(done, "state-taken-over")
    assert said(done, "dropped-status") == "0\n"
    it_is_protected_again(done)
