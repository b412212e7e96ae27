"""The test bed itself: if it lost, changed or invented frames, no kernel test would mean much."""

from __future__ import annotations

import os
import socket
import time

import pytest

from tests.kernel.lab.bed import IPV4, IPV6, UPLINK, VIF, Bed, open_bed
from tests.kernel.lab.namespace import Namespace
from tests.kernel.lab.packets import stamp_of, stamped
from tests.kernel.lab.wait import wait_until

FRAME = bytes.fromhex("ffffffffffff 020000000001 88b5") + bytes(range(50))
TAG = bytes.fromhex("8100 e005")
SERVICE_TAG = bytes.fromhex("88a8 2006")


@pytest.mark.usefixtures("kernel")
class TestOnBothKernels:
    def test_ten_thousand_frames_arrive_once_and_in_order(self, bed: Bed) -> None:
        with bed.from_guest() as guest, bed.at_client() as client:
            arrived = []
            for first in range(0, 10_000, 100):
                guest.send(stamped(FRAME, number) for number in range(first, first + 100))
                arrived += client.expect(100)
            assert arrived == list(range(10_000))

    @pytest.mark.parametrize("tags", [b"", TAG, SERVICE_TAG + TAG], ids=["none", "one", "two"])
    def test_a_frame_arrives_as_it_was_with_its_tags(self, bed: Bed, tags: bytes) -> None:
        frame = stamped(FRAME[:12] + tags + FRAME[12:], 7)
        with bed.from_guest() as guest, bed.at_client() as client:
            before = time.time_ns()
            guest.send([frame])
            (captured,) = wait_until(client.drain, "the frame")
        assert captured.frame == frame
        assert captured.length == len(frame)
        assert before <= captured.time_ns <= time.time_ns()

    @pytest.mark.parametrize("size", [14, 15, 33, 1514])
    def test_frames_of_any_length_arrive(self, bed: Bed, size: int) -> None:
        frame = stamped(FRAME[:14] + bytes(1500), 1)[:size]
        with bed.from_guest() as guest, bed.at_client() as client:
            guest.send([frame])
            assert client.expect(1) == [1]

    def test_a_quiet_bed_sends_nothing_of_its_own(self, bed: Bed) -> None:
        with bed.at_client() as client:
            # Router solicitations come within a second, multicast reports too.
            time.sleep(2)
            assert client.drain() == []

    def test_both_ends_can_talk_ip_where_asked(self) -> None:
        with open_bed(addresses=True) as bed:
            for family, index in ((socket.AF_INET, 0), (socket.AF_INET6, 1)):
                guest_address, client_address = (IPV4, IPV6)[index]
                with bed.client.entered():
                    server = socket.create_server((client_address, 7), family=family)
                with server, bed.guest.entered():
                    there = socket.create_connection((client_address, 7), timeout=10)
                with there:
                    assert there.getsockname()[0] == guest_address

    def test_no_namespace_and_no_device_is_left(self, bed: Bed) -> None:
        before = set(os.listdir("/run/netns"))
        with open_bed() as second:
            second.add_ifb("ifb1")
            assert len(set(os.listdir("/run/netns")) - before) == 3
        assert set(os.listdir("/run/netns")) == before
        assert os.listdir("/sys/class/net") == ["lo"]

    def test_a_program_in_a_namespace_sees_its_devices_in_sys(self, bed: Bed) -> None:
        shown = bed.dom0.run("ls", "/sys/class/net").split()
        assert {VIF, UPLINK} <= set(shown)

    def test_a_failing_command_says_what_and_why(self, bed: Bed) -> None:
        with pytest.raises(AssertionError, match=r"tc .*nosuch.*Cannot find device"):
            bed.dom0.tc("qdisc add dev nosuch ingress")

    def test_a_thread_comes_back_from_a_namespace(self, bed: Bed) -> None:
        here = os.readlink("/proc/thread-self/ns/net")
        with bed.client.entered():
            assert os.readlink("/proc/thread-self/ns/net") != here
        assert os.readlink("/proc/thread-self/ns/net") == here

    def test_a_capture_that_ran_over_says_so(self, bed: Bed) -> None:
        with bed.from_guest() as guest, bed.at_client() as client:
            client.limit_buffer(4096)
            guest.send(stamped(FRAME, number) for number in range(1000))
            received = "/sys/class/net/eth0/statistics/rx_packets"
            wait_until(lambda: int(bed.client.run("cat", received)) >= 1000, "all frames")
            with pytest.raises(AssertionError, match=r"lost \d+ frames"):
                client.drain()


def test_a_stamp_is_read_back_and_nothing_else_is_one() -> None:
    assert stamp_of(stamped(FRAME, 2**32 - 1)) == 2**32 - 1
    assert stamp_of(FRAME) is None
    assert stamped(FRAME, 5)[12:] == FRAME[12:]


def test_entering_a_namespace_that_is_not_there_raises() -> None:
    with pytest.raises(FileNotFoundError), Namespace("no-such-namespace").entered():
        pass
