"""The UML kernel has what remusnet uses, and its plug does what net/sched/sch_plug.c says."""

from __future__ import annotations

import platform

import pytest

from tests.kernel.lab.bed import VIF, Bed, QdiscState
from tests.kernel.lab.packets import stamped
from tests.kernel.lab.wait import wait_until

pytestmark = pytest.mark.uml

SIZE = 100
FRAME = (bytes.fromhex("ffffffffffff 020000000001 88b5") + bytes(86))[:SIZE]
FILTERS = {
    "u32": ["protocol", "0x88b5", "u32", "match", "u32", "0", "0"],
    "flower": ["protocol", "0x88b5", "flower"],
    # One instruction: return -1, a match.
    "bpf": ["protocol", "0x88b5", "bpf", "bytecode", "1,6 0 0 4294967295"],
    "matchall": ["protocol", "all", "matchall"],
}


def close_plug(bed: Bed, classifier: str = "matchall", limit: int = 1_000_000) -> None:
    """Send the guest's frames through ifb0 and its plug, which starts closed."""
    bed.add_ifb("ifb0")
    bed.dom0.tc(f"qdisc add dev ifb0 root plug limit {limit}")
    bed.dom0.tc(f"qdisc add dev {VIF} clsact")
    where = ["tc", "filter", "add", "dev", VIF, "ingress", "prio", "1"]
    action = ["action", "mirred", "egress", "redirect", "dev", "ifb0"]
    bed.dom0.run(*where, *FILTERS[classifier], *action)


def change_plug(bed: Bed, action: str) -> None:
    bed.dom0.tc(f"qdisc change dev ifb0 root plug {action}")


def test_the_kernel_is_a_uml_kernel_and_we_are_root() -> None:
    assert platform.node() == "uml"


@pytest.mark.parametrize("classifier", FILTERS)
def test_each_classifier_sends_frames_into_a_closed_plug(bed: Bed, classifier: str) -> None:
    close_plug(bed, classifier)
    with bed.from_guest() as guest, bed.at_client() as client:
        guest.send([stamped(FRAME, 1), stamped(FRAME, 2)])
        bed.wait_for_held("ifb0", 2)
        assert client.stamps() == []
        change_plug(bed, "release_indefinite")
        assert client.expect(2) == [1, 2]


def test_release_one_lets_out_the_buffered_epoch_and_no_more(bed: Bed) -> None:
    close_plug(bed)
    with bed.from_guest() as guest, bed.at_client() as client:
        guest.send([stamped(FRAME, 1), stamped(FRAME, 2)])
        bed.wait_for_held("ifb0", 2)
        change_plug(bed, "block")
        guest.send([stamped(FRAME, 3)])
        bed.wait_for_held("ifb0", 3)
        change_plug(bed, "release")
        assert client.expect(2) == [1, 2]
        bed.wait_for_held("ifb0", 1)
        assert client.stamps() == []


def test_release_indefinite_passes_what_waits_and_what_comes(bed: Bed) -> None:
    close_plug(bed)
    with bed.from_guest() as guest, bed.at_client() as client:
        guest.send([stamped(FRAME, 1)])
        bed.wait_for_held("ifb0", 1)
        change_plug(bed, "release_indefinite")
        guest.send([stamped(FRAME, 2)])
        assert client.expect(2) == [1, 2]
        assert bed.qdisc("ifb0").backlog == 0


def test_a_closed_plug_drops_what_exceeds_its_limit(bed: Bed) -> None:
    close_plug(bed, limit=3 * SIZE)
    with bed.from_guest() as guest, bed.at_client() as client:
        guest.send(stamped(FRAME, number) for number in range(5))
        full = QdiscState("plug", backlog=3 * SIZE, qlen=3, drops=2)
        wait_until(lambda: bed.qdisc("ifb0") == full, str(full))
        change_plug(bed, "release_indefinite")
        assert client.expect(3) == [0, 1, 2]


def test_held_frames_stay_charged_to_their_sender_until_they_leave(bed: Bed) -> None:
    """So a sender's buffer must take all that a plug holds of it, or the sender is stopped."""
    close_plug(bed, limit=100_000_000)
    with bed.from_guest() as guest:
        guest.send(stamped(FRAME, number) for number in range(5_000))
        bed.wait_for_held("ifb0", 5_000)
        assert guest.charged() > 5_000 * SIZE
        change_plug(bed, "release_indefinite")
        wait_until(lambda: guest.charged() < 5_000 * SIZE, "frames that leave are charged no more")


def test_a_capture_on_the_ifb_sees_a_frame_when_it_is_released(bed: Bed) -> None:
    close_plug(bed)
    with bed.from_guest() as guest, bed.leaving("ifb0") as released:
        guest.send([stamped(FRAME, 1)])
        bed.wait_for_held("ifb0", 1)
        assert released.stamps() == []
        change_plug(bed, "release_indefinite")
        assert released.expect(1) == [1]
