"""The taps of a live run see each frame once, in order, as it was sent."""

from __future__ import annotations

import pytest

from remusnet.live.taps import Tap, Tapped, all_frames, open_tap
from tests.kernel.lab.bed import UPLINK, VIF, Bed
from tests.kernel.lab.packets import stamped
from tests.kernel.lab.wait import wait_until

pytestmark = pytest.mark.usefixtures("kernel")

_FRAME = bytes.fromhex("ffffffffffff 020000000001 88b5") + bytes(range(50))
_TAGS = {
    "none": b"",
    "one": bytes.fromhex("8100 e005"),
    "two": bytes.fromhex("88a8 2006 8100 e005"),
}


def _bytes_of(tapped: Tapped) -> list[bytes]:
    return [tapped.frames.frame(row) for row in range(len(tapped.frames))]


@pytest.mark.parametrize("tags", _TAGS.values(), ids=_TAGS)
def test_two_taps_see_every_frame_in_order_with_its_tags(bed: Bed, tags: bytes) -> None:
    """More than a block (128 KiB) of them: 1,200 of up to 1,464 bytes."""
    sent = [
        stamped(_FRAME[:12] + tags + _FRAME[12:] + bytes(number), number)
        for number in range(0, 1400, 7)
    ] * 6
    with bed.dom0.entered():
        taps = [Tap(open_tap(VIF, incoming_only=True)), Tap(open_tap(UPLINK))]
    seen: list[list[bytes]] = [[], []]

    def all_came() -> bool:
        for each, tap in zip(seen, taps, strict=True):
            each.extend(_bytes_of(tap.new()))
        return all(len(each) >= len(sent) for each in seen)

    try:
        for tap in taps:
            tap.start()
        with bed.from_guest() as guest:
            for first in range(0, len(sent), 50):
                guest.send(sent[first : first + 50])
        wait_until(all_came, "all frames at both taps")
        for tap in taps:
            tap.stop()
        assert seen == [sent, sent]
        inner, outer = all_frames(taps)
        assert [_bytes_of(inner), _bytes_of(outer)] == [sent, sent]
        assert inner.frames.length.tolist() == [len(frame) for frame in sent]
        assert not inner.outgoing.any()
        assert outer.outgoing.all()
        # Without tags to put back nothing has to be copied for both to be looked at together.
        assert (inner.frames.data is outer.frames.data) == (not tags)
        assert [tap.lost + tap.missed for tap in taps] == [0, 0]
    finally:
        for tap in taps:
            tap.close()


def test_taps_that_saw_nothing_have_no_frames(bed: Bed) -> None:
    with bed.dom0.entered():
        taps = [Tap(open_tap(VIF, incoming_only=True)), Tap(open_tap(UPLINK))]
    for tap in taps:
        tap.start()
    for tap in taps:
        tap.stop()
    assert [len(each.frames) for each in all_frames(taps)] == [0, 0]
    for tap in taps:
        tap.close()
