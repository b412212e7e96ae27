"""The judges of the Xen lab, on recordings made by hand: they find what is wrong in them."""

from __future__ import annotations

import itertools
import struct
from pathlib import Path

import numpy as np
import pytest
from scapy.layers.inet import TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether

from tests.xen.lab import arrivals
from tests.xen.lab.arrivals import (
    BUFFER,
    RELEASE_INDEFINITE,
    RELEASE_ONE,
    Order,
    Record,
    Stream,
)
from tests.xen.lab.document import Command, File, alike, steps
from tests.xen.lab.takeover import Takeover

MS = 1_000_000


def pcap(path: Path, frames: list[tuple[int, bytes]]) -> Path:
    """A nanosecond capture."""
    data = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1)
    for time_ns, frame in frames:
        data += struct.pack("<4I", *divmod(time_ns, 10**9), len(frame), len(frame)) + frame
    path.write_bytes(data)
    return path


def record(stream: int, number: int, sent_ns: int) -> bytes:
    return struct.pack(">4sIQQ", b"RNET", stream, number, sent_ns).ljust(64, b".")


def order(action: int, *, kind: bytes = b"plug\0\0\0\0", flags: int = 1) -> bytes:
    """RTM_NEWQDISC as an nlmon device records it, for the device of index 7."""
    options = struct.pack("<HHiI", 12, 2, action, 0)
    body = struct.pack("<BxHiIII", 0, 0, 7, 0, 0xFFFFFFFF, 0)
    body += struct.pack("<HH", 4 + len(kind), 1) + kind + options
    return bytes(16) + struct.pack("<IHHII", 16 + len(body), 36, flags, 1, 0) + body


def stream(*times: tuple[int, int]) -> Stream:
    """Records that entered and arrived at these milliseconds."""
    entered, arrived = np.array(times, dtype=np.int64).T * MS
    return Stream(np.arange(len(times)), entered, entered, arrived)


ORDERS = [
    Order(100 * MS, BUFFER, 7),
    Order(105 * MS, RELEASE_ONE, 7),
    Order(200 * MS, BUFFER, 7),
    Order(205 * MS, RELEASE_ONE, 7),
]


def test_what_leaves_after_its_commit_is_not_early() -> None:
    assert not len(arrivals.early(stream((90, 106), (99, 105), (101, 205), (150, 300)), ORDERS))


def test_what_leaves_with_the_epoch_before_is_early() -> None:
    judged = arrivals.early(stream((90, 104), (101, 106), (150, 204), (150, 206)), ORDERS)
    assert list(judged) == [0, 1, 2]


def test_what_leaves_before_its_epoch_ends_is_early() -> None:
    assert list(arrivals.early(stream((210, 211)), ORDERS)) == [0]


def test_a_plug_that_is_opened_for_good_commits_what_it_holds() -> None:
    ends = [*ORDERS[:3], Order(205 * MS, RELEASE_INDEFINITE, 7)]
    assert list(arrivals.early(stream((150, 206), (150, 204)), ends)) == [1]


def test_records_are_found_in_frames_by_their_first_sight(tmp_path: Path) -> None:
    both = record(11, 1, 5) + record(11, 2, 6)
    vif = pcap(tmp_path / "vif", [(10, b"x" * 54 + both), (20, b"x" * 54 + record(11, 3, 7))])
    bridge = pcap(
        tmp_path / "bridge",
        [(30, b"x" * 54 + both), (40, b"x" * 58 + both), (50, record(12, 1, 9))],
    )
    # The third never arrived; the one of stream 12 was not seen at the vif.
    (found,) = arrivals.streams(bridge, vif).items()
    assert found[0] == 11
    assert found[1].number.tolist() == [1, 2]
    assert found[1].sent_ns.tolist() == [5, 6]
    assert found[1].entered_ns.tolist() == [10, 10]
    assert found[1].arrived_ns.tolist() == [30, 30]
    assert arrivals.streams(bridge)[12].hold_ms().tolist() == [0]


def segment(at: int, data: bytes, port: int = 5000, *, tagged: bool = False) -> bytes:
    """Of TCP over IPv6, with the options that Linux sends."""
    times = [("NOP", None), ("NOP", None), ("Timestamp", (port << 16 | 5001, 7))]
    tcp = TCP(sport=port, dport=5001, seq=at % 2**32, flags="A", options=times)
    link = Ether(src="00:16:3e:00:00:01", dst="00:16:3e:00:00:02")
    link = link / Dot1Q(vlan=0) if tagged else link
    return bytes(link / IPv6(src="fd00::1", dst="fd00::2") / tcp / data)


ORDERS_OF_THREE = list(itertools.permutations(range(3)))
CUTS = [(5, 70), (20, 80), (23, 60), (24, 64), (64, 90), (40, 75), (30, 91)]


@pytest.mark.parametrize(
    ("order", "cuts"),
    # Within a record there are two cuts only where its pieces come in order.
    [*itertools.product(ORDERS_OF_THREE, CUTS), ((0, 1, 2), (1, 3)), ((0, 1, 2), (70, 75))],
)
@pytest.mark.parametrize("tagged", [False, True])
def test_a_record_that_segments_share_is_seen_with_the_last_of_them(
    tmp_path: Path, order: tuple[int, ...], cuts: tuple[int, int], tagged: bool
) -> None:
    text, begin = record(11, 1, 5) + record(11, 2, 6), 2**32 - 40
    pieces = [(0, cuts[0]), cuts, (cuts[1], len(text))]
    when = {piece: 10 * (turn + 1) for turn, piece in enumerate(order)}
    frames = [
        (when[piece], segment(begin + pieces[piece][0], text[slice(*pieces[piece])], tagged=tagged))
        for piece in order
    ]
    # Another connection has the same numbers.
    frames.insert(1, (11, segment(begin + cuts[0], b"." * (len(text) - cuts[0]), port=5002)))
    expected = set()
    for number, sent_ns, at in ((1, 5, 0), (2, 6, 64)):
        of = [when[i] for i, (a, b) in enumerate(pieces) if a < at + 24 and b > at]
        expected.add((max(of), Record(11, number, sent_ns)))
    found = arrivals.sightings(pcap(tmp_path / "bridge", frames))
    assert (set(found), len(found)) == (expected, 2)


def test_orders_are_requests_to_plugs(tmp_path: Path) -> None:
    capture = pcap(
        tmp_path / "netlink",
        [
            (1, order(BUFFER)),
            (2, order(BUFFER, flags=0)),  # the kernel's notice of it
            (3, order(RELEASE_ONE)),
            (4, order(RELEASE_ONE, kind=b"pfifo\0\0\0")),
        ],
    )
    assert arrivals.orders(capture) == [Order(1, BUFFER, 7), Order(3, RELEASE_ONE, 7)]


def test_what_is_no_capture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="nanosecond"):
        arrivals.streams(tmp_path / "text")


def test_lost_and_late_records_are_counted() -> None:
    found = stream((0, 1), (20, 21), (40, 141), (60, 161))
    found = Stream(np.array([5, 6, 7, 10]), found.sent_ns, found.entered_ns, found.arrived_ns)
    assert found.lost() == 2
    assert found.hold_ms().tolist() == [1, 1, 101, 101]
    assert arrivals.gaps_ms(found).tolist() == [20, 120, 20]
    # A clock that runs away: what counts is how late each is beside the fastest around it.
    drifting = Stream(found.number, found.sent_ns - 7 * MS, found.entered_ns, found.arrived_ns)
    assert arrivals.late_ms(drifting, [drifting]).tolist() == [0, 0, 100, 100]


DOCUMENT = """\
Not this:

    # reboot

<!-- lab -->

    # one
    said

      more

    # two

<!-- lab: until ready -->

    # three

<!-- lab: file /etc/some -->

```toml
key = 1
```
"""


def test_a_documents_steps_are_its_marked_blocks() -> None:
    assert list(steps(DOCUMENT)) == [
        Command("one", ("said", "", "  more")),
        Command("two"),
        Command("three", (), "until ready"),
        File("/etc/some", "key = 1\n"),
    ]


@pytest.mark.parametrize(
    ("printed", "shown", "is_alike"),
    [
        (["held 12 kB in 3 packets"], ["held 999 B in 12 packets"], True),
        (["a   1"], ["a 22"], True),
        (["held 12 kB"], ["holds 12 kB"], False),
        (["first", "any", "last"], ["first", "...", "last"], True),
        (["first", "last"], ["first", "...", "last"], False),
        (["first", "last", "more"], ["first", "last"], False),
        ([], [], True),
        (["error: no"], [], False),
        (["(a+b) [c]"], ["(a+b) [c]"], True),
        (["pbx 2 r----- 0.1"], ["pbx 1 -b---- 7.0"], True),
        (["pbx 2 --p--- 0.1"], ["pbx 1 -b---- 7.0"], False),
    ],
)
def test_output_is_what_is_shown_but_for_numbers(
    printed: list[str], shown: list[str], *, is_alike: bool
) -> None:
    assert alike(printed, tuple(shown)) is is_alike


def gratuitous(sender: bytes, target: bytes) -> bytes:
    ethernet = b"\xff" * 6 + b"\0\x16\x3e\0\0\1" + b"\x08\x06"
    return ethernet + struct.pack(">HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, b"", sender, b"", target)


def test_an_address_that_asks_for_itself_is_an_announcement(tmp_path: Path) -> None:
    ours, other = b"\x0a\0\0\2", b"\x0a\0\0\1"
    frames = [(MS, gratuitous(ours, other)), (2 * MS, gratuitous(ours, ours))]
    assert arrivals.announcements(pcap(tmp_path / "arp.pcap", frames)) == [2 * MS]


def takeover(*arrived: tuple[int, Record]) -> Takeover:
    """Fenced at 100 ms; 1 is of the checkpoint, 2 and 3 the primary sent after it."""
    primary = {Record(11, 1, 10), Record(11, 2, 20), Record(11, 3, 30)}
    backup = {Record(11, 1, 10), Record(11, 2, 200), Record(11, 3, 210), Record(11, 4, 220)}
    seen = [(time_ms * MS, record) for time_ms, record in arrived]
    return Takeover(100 * MS, frozenset(primary), frozenset(backup), seen, [])


def test_what_the_backup_sends_in_the_place_of_what_was_held_is_not_late() -> None:
    seen = takeover(
        (50, Record(11, 1, 10)),
        (150, Record(11, 1, 10)),  # TCP, that did not hear of its arrival
        (151, Record(11, 2, 200)),
        (152, Record(11, 3, 210)),
        (153, Record(11, 4, 220)),
    )
    assert seen.undone(11) == {2, 3}
    assert not seen.late()
    assert not seen.twice(11)
    assert seen.missing(11) == 0
    assert seen.silence_s(11) == 0.1


def test_what_the_fenced_primary_held_is_late_when_it_leaves() -> None:
    seen = takeover((50, Record(11, 1, 10)), (120, Record(11, 2, 20)), (150, Record(11, 2, 200)))
    assert seen.late() == {Record(11, 2, 20)}
    assert seen.twice(11) == {2}


def test_what_left_before_the_fence_and_was_undone_is_twice() -> None:
    seen = takeover((90, Record(11, 3, 30)), (150, Record(11, 4, 220)), (151, Record(11, 3, 210)))
    assert seen.twice(11) == {3}
    assert not seen.late()
