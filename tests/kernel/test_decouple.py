"""Held frames are copied by mirroring them to a sink, and nothing leaves by way of it.

`test_apply`, `test_faults` and `test_plan` have sinks too, since it is the default. Here is what is
special about them: what they copy, that they drop, and what becomes of frames where they are gone.
Xen's netback itself needs a Xen (tests/xen).
"""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count, pairwise

import pytest

from remusnet.errors import Conflict, RemusnetError
from remusnet.kernel.change.execute import Interrupted
from remusnet.kernel.change.steps import changes
from remusnet.kernel.state.observe import observe
from remusnet.kernel.state.receipt import Receipts
from remusnet.kernel.state.status import status
from remusnet.kernel.wire.codec import RTM_GETTFILTER
from remusnet.kernel.wire.messages import PlugAction
from remusnet.kernel.wire.netlink import Answer, Netlink
from remusnet.plan.plan import CLASSIFIERS, Plan
from remusnet.results.protection import Status
from tests.kernel.lab.bed import GUEST_END, VIF
from tests.kernel.lab.packets import Sender, stamped
from tests.kernel.lab.protection import (
    ARP_FRAME,
    BUFFER,
    LIMIT,
    SINK,
    TCP_FRAME,
    Killer,
    Site,
    failing,
    refusing,
    watched,
)
from tests.kernel.lab.wait import wait_until
from tests.kernel.lab.zero_copy import ZeroCopySender

pytestmark = pytest.mark.uml(timeout=120)

BEFORE, AFTER = b"as it was sent", b"written after!"


@pytest.fixture
def kills(site: Site, monkeypatch: pytest.MonkeyPatch) -> Killer:
    return Killer(site, monkeypatch)


def the_status(site: Site) -> Status:
    with site.bed.dom0.entered():
        (found,) = status(run_dir=site.run_dir)[0]
    return found


@pytest.mark.parametrize(("decouple", "payload"), [(True, BEFORE), (False, AFTER)])
def test_a_frame_that_is_held_does_not_keep_its_senders_pages(
    site: Site, decouple: bool, payload: bytes
) -> None:
    """Its sender writes to them while the frame waits: decoupled, what was sent leaves.

    Over lo, since a veth copies by itself.
    """
    site.bed.dom0.ip("link set lo up")
    site.apply(site.plan(vifs=["lo"], decouple=decouple))
    site.plug(PlugAction.BUFFER, "ifb-lo")
    sender = ZeroCopySender(site.bed.dom0, "lo")
    try:
        sender.send(TCP_FRAME + BEFORE)
        site.bed.wait_for_held("ifb-lo", 1)
        sender.overwrite(len(TCP_FRAME), AFTER)
        left: list[bytes] = []
        with site.bed.leaving("ifb-lo") as leaving:

            def has_left() -> bool:
                left.extend(each.frame for each in leaving.drain())
                return bool(left)

            site.plug(PlugAction.RELEASE_INDEFINITE, "ifb-lo")
            wait_until(has_left, "the frame released")
    finally:
        sender.close()
    assert left == [TCP_FRAME + payload]
    site.remove("lo")
    site.bed.dom0.ip("link set lo down")


def test_what_is_held_goes_to_the_sink_which_drops_it_and_what_bypasses_does_not(
    site: Site,
) -> None:
    site.apply(site.plan())
    site.plug(PlugAction.BUFFER)
    with site.bed.from_guest() as guest, site.bed.at_client() as client:
        guest.send([stamped(TCP_FRAME, number) for number in range(5)])
        guest.send([stamped(ARP_FRAME, number) for number in range(5, 12)])
        assert client.expect(7) == list(range(5, 12))
        site.bed.wait_for_held(BUFFER, 5)
        assert site.bed.qdisc(SINK).drops == 5
        found = the_status(site)
        assert (found.decouple, found.uncopied, found.held) == (True, 0, 5)
        site.remove()
        assert client.expect(5) == list(range(5)), "once, and nothing twice"


class Interrupting(Netlink):
    """Calls ``between`` ahead of a dump of filters: between that of the qdiscs and that one."""

    def __init__(self, between: Callable[[], None]) -> None:
        super().__init__()
        self._between = between

    def dump(self, request: bytes) -> list[tuple[int, bytes]]:
        """The same."""
        if int.from_bytes(request[4:6], sys.byteorder) == RTM_GETTFILTER:
            self._between()
        return super().dump(request)


def test_what_comes_while_status_looks_does_not_count_as_uncopied(site: Site) -> None:
    site.apply(site.plan())
    site.plug(PlugAction.BUFFER)
    with site.bed.from_guest() as guest:

        def between() -> None:
            guest.send([stamped(TCP_FRAME, number) for number in range(5)])
            site.bed.wait_for_held(BUFFER, 5)

        with site.bed.dom0.entered():
            netlink = Interrupting(between)
        with netlink:
            ((found,), _) = status([VIF], run_dir=site.run_dir, netlink=netlink)
    assert found.uncopied == 0
    site.remove()


@contextmanager
def redirecting(site: Site) -> Iterator[Sender]:
    """A sender whose frames something in the guest redirects before they come to the vif."""
    guest = site.bed.guest
    for words in (
        "link add in0 type veth peer name in1",
        "link set in0 addrgenmode none up",
        "link set in1 addrgenmode none up",
    ):
        guest.ip(words)
    guest.tc("qdisc add dev in1 ingress")
    redirect = f"action mirred egress redirect dev {GUEST_END}"
    guest.tc(f"filter add dev in1 parent ffff: protocol all matchall {redirect}")
    with Sender(guest, "in0") as sender:
        yield sender
    guest.ip("link delete in0")


def test_a_frame_that_was_redirected_before_does_not_leave_by_the_sink(site: Site) -> None:
    """An IFB sends such a frame back to the device that it came from, behind the filters.

    Only the sink's qdisc keeps it: without, that is what happens, and verify says so.
    """
    plan = site.plan()
    site.apply(plan)
    site.plug(PlugAction.BUFFER)
    with redirecting(site) as guest, site.bed.at_client() as client:
        guest.send([stamped(TCP_FRAME, 1), stamped(ARP_FRAME, 2)])
        assert client.expect(1) == [2]
        site.bed.dom0.tc(f"qdisc delete dev {SINK} root")
        guest.send([stamped(TCP_FRAME, 3)])
        assert client.expect(1) == [3], "there is nothing to guard against any more"
        (found,) = site.verify()
        assert "leaves at once" in found.differences[0].current
        site.apply(plan)
        guest.send([stamped(TCP_FRAME, 4), stamped(ARP_FRAME, 5)])
        assert client.expect(1) == [5]
        site.bed.wait_for_held(BUFFER, 3)
    site.remove()


@pytest.mark.parametrize("change", ["link set {0} down", "link delete {0}"])
def test_without_its_sink_a_frame_is_held_uncopied(site: Site, change: str) -> None:
    plan = site.plan()
    site.apply(plan)
    site.plug(PlugAction.BUFFER)
    site.bed.dom0.ip(change.format(SINK))
    with site.bed.from_guest() as guest, site.bed.at_client() as client:
        guest.send([stamped(TCP_FRAME, 1), stamped(TCP_FRAME, 2), stamped(ARP_FRAME, 3)])
        assert client.expect(1) == [3]
        site.bed.wait_for_held(BUFFER, 2)
        found = the_status(site)
        assert (found.decouple, found.uncopied, found.refused) == (False, 2, 0)
        (verified,) = site.verify()
        (difference,) = verified.differences
        assert "what is held keeps the guest's pages" in difference.current
        site.apply(plan)
        assert site.agrees()
        guest.send([stamped(TCP_FRAME, 4)])
        site.bed.wait_for_held(BUFFER, 3)
        assert the_status(site).decouple
        site.remove()
        assert client.expect(3) == [1, 2, 4]


def test_a_sink_that_is_all_that_is_left_is_removed(site: Site) -> None:
    """By its mark: buffer device, filters and receipt are gone."""
    site.apply(site.plan())
    site.bed.dom0.tc(f"qdisc delete dev {VIF} ingress")
    site.bed.dom0.ip(f"link delete {BUFFER}")
    (site.run_dir / f"{BUFFER}.json").unlink()
    (found,) = site.verify()
    assert found.protected.vifs == (VIF,)
    assert site.remove().vifs == (VIF,)


def test_a_device_of_somebody_else_with_the_sinks_name_is_a_conflict(site: Site) -> None:
    site.bed.dom0.ip(f"link add {SINK} type ifb")
    before = site.looks()
    with pytest.raises(Conflict, match=rf"{SINK} exists and is not remusnet's sink \(kind ifb"):
        site.apply(site.plan())
    assert site.looks() == before
    site.apply(site.plan(decouple=False))  # needs none
    site.remove()
    assert site.looks() == before
    site.bed.dom0.ip(f"link delete {SINK}")


def test_another_root_qdisc_of_the_sink_is_a_conflict(site: Site) -> None:
    site.apply(site.plan())
    site.bed.dom0.tc(f"qdisc replace dev {SINK} root handle 7: bfifo")
    for run in (lambda: site.apply(site.plan()), site.remove):
        with pytest.raises(Conflict, match=r"no pfifo but bfifo \(handle 7:\)"):
            run()
    site.bed.dom0.tc(f"qdisc delete dev {SINK} root")
    site.remove()


class TestUpdate:
    """From coupled to decoupled and back, on a busy vif whose plug is closed."""

    def plans(self, site: Site, classifier: str = "u32") -> Iterator[Plan]:
        for decouple in (False, True, False, True):
            yield site.plan(classifier=classifier, decouple=decouple)

    @pytest.mark.parametrize("classifier", CLASSIFIERS)
    def test_no_held_frame_leaves_between_any_two_messages(
        self, site: Site, classifier: str
    ) -> None:
        first, *others = self.plans(site, classifier)
        site.apply(first)
        site.plug(PlugAction.BUFFER)
        numbers = count(1)
        with site.bed.from_guest() as guest, site.bed.at_client() as client:

            def send() -> None:
                guest.send([stamped(TCP_FRAME, next(numbers))])

            for plan in others:
                with watched(site, send) as netlink:
                    site.apply(plan, netlink)
                assert site.agrees()
                assert the_status(site).decouple is bool(plan.protections[0].sink)
            held = next(numbers) - 1
            site.bed.wait_for_held(BUFFER, held)
            assert client.stamps() == []
            site.remove()
            assert client.expect(held) == list(range(1, held + 1))

    def steps(self, site: Site, plan: Plan) -> int:
        with site.bed.dom0.entered(), Netlink() as netlink:
            seen = observe(netlink, [VIF])
        receipts = Receipts(site.run_dir).read()[0]
        return len(list(changes(plan, seen, receipts, {BUFFER: LIMIT})))

    def test_a_signal_that_comes_when_the_sink_is_gone_brings_it_back(self, site: Site) -> None:
        """Another one, with another number."""
        coupled, decoupled, *_ = self.plans(site)
        site.apply(decoupled)
        before, files = site.looks(), site.files()

        def interrupt(send: Callable[[], Answer]) -> Answer:
            answer = send()
            assert SINK not in site.bed.dom0.ip("link show")
            signal.raise_signal(signal.SIGTERM)
            return answer

        with (
            failing(site, self.steps(site, coupled), interrupt) as netlink,
            pytest.raises(Interrupted),
        ):
            site.apply(coupled, netlink)
        assert (site.looks(), site.files()) == (before, files)
        assert site.agrees()
        site.remove()

    def test_a_failure_of_any_operation_brings_back_what_was(self, site: Site) -> None:
        for old, new in pairwise(list(self.plans(site))[:3]):
            site.apply(old)
            before, files = site.looks(), site.files()
            for at in range(1, self.steps(site, new) + 1):
                with (
                    failing(site, at, refusing(errno.ENOMEM)) as netlink,
                    pytest.raises(RemusnetError, match="injected"),
                ):
                    site.apply(new, netlink)
                assert (site.looks(), site.files()) == (before, files)
                assert site.agrees()
        site.remove()

    def test_a_kill_leaks_nothing_and_can_be_repaired(self, site: Site, kills: Killer) -> None:
        """To the one or to the other, in turn."""
        coupled, decoupled, *_ = self.plans(site)
        numbers = count(1)
        for first, then in ((coupled, decoupled), (decoupled, coupled)):
            with site.bed.from_guest() as guest, site.bed.at_client() as client:
                site.apply(first)
                site.plug(PlugAction.BUFFER)
                begin = next(numbers) + 1
                for at in kills(partial(site.apply, then)):
                    guest.send([stamped(TCP_FRAME, next(numbers))])
                    assert not site.agrees()
                    site.apply((first, then)[at % 2])
                    guest.send([stamped(TCP_FRAME, next(numbers))])
                    site.apply(first)
                    assert site.agrees()
                end = next(numbers)
                site.bed.wait_for_held(BUFFER, end - begin)
                assert client.stamps() == []
                site.remove()
                assert client.expect(end - begin) == list(range(begin, end))
