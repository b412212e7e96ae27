"""apply and remove when the kernel fails, when they are killed, and when others interfere."""

from __future__ import annotations

import errno
import shutil
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count

import pytest

from remusnet.errors import Conflict, KernelRefused, RemusnetError
from remusnet.kernel.change.execute import Interrupted
from remusnet.kernel.change.steps import changes
from remusnet.kernel.state.observe import observe
from remusnet.kernel.state.receipt import Receipts
from remusnet.kernel.wire.messages import PlugAction
from remusnet.kernel.wire.netlink import Answer, Netlink
from remusnet.plan.plan import CLASSIFIERS
from tests.kernel.lab.bed import VIF
from tests.kernel.lab.namespace import ip_batch
from tests.kernel.lab.packets import stamped
from tests.kernel.lab.protection import (
    ARP_FRAME,
    BUFFER,
    EACH,
    SINK,
    TCP_FRAME,
    FailingNetlink,
    Killer,
    Site,
    failing,
    refusing,
    watched,
)

pytestmark = pytest.mark.uml(timeout=240)


@pytest.fixture
def kills(site: Site, monkeypatch: pytest.MonkeyPatch) -> Killer:
    return Killer(site, monkeypatch)


@pytest.mark.parametrize(("policy", "classifier"), EACH)
def test_a_failure_of_any_operation_leaves_everything_as_before(
    site: Site, policy: str, classifier: str
) -> None:
    plan = site.plan(policy, classifier)
    before = site.looks()
    for at, operation in enumerate(plan.operations, start=1):
        with (
            failing(site, at, refusing(errno.ENOMEM)) as netlink,
            pytest.raises(RemusnetError, match=r"ENOMEM.*injected") as caught,
        ):
            site.apply(plan, netlink)
        assert operation.kind.replace("-", " ") in str(caught.value)
        assert (site.looks(), site.files()) == (before, set())
    print(f"{policy}, {classifier}: {len(plan.operations)} operations failed once each")


@pytest.mark.parametrize(("policy", "classifier"), EACH)
def test_a_kill_after_any_operation_can_be_repaired(
    site: Site, kills: Killer, policy: str, classifier: str
) -> None:
    plan = site.plan(policy, classifier)
    clean = site.looks()
    at = 0
    for at in kills(lambda netlink: site.apply(plan, netlink)):
        assert not site.agrees()
        if at % 2:
            site.apply(plan)
            assert site.agrees()
        site.remove()
        assert (site.looks(), site.files()) == (clean, set())
    assert at == len(plan.operations)
    site.remove()
    print(f"{policy}, {classifier}: killed at {at} points, repaired at each")


@pytest.mark.parametrize(("policy", "classifier"), EACH)
def test_a_kill_within_remove_can_be_repaired(
    site: Site, kills: Killer, policy: str, classifier: str
) -> None:
    plan = site.plan(policy, classifier)
    clean = site.looks()
    site.apply(plan)
    at = 0
    for at in kills(lambda netlink: site.remove(netlink=netlink)):
        assert not site.agrees()
        if at % 2:
            site.remove()
            assert (site.looks(), site.files()) == (clean, set())
        site.apply(plan)
        assert site.agrees()
    assert (site.looks(), site.files()) == (clean, set())
    print(f"{policy}, {classifier}: remove killed at {at} points, repaired at each")


def test_a_process_that_is_really_killed_leaves_the_same(site: Site, kills: Killer) -> None:
    """The tests above only stop short; here the process is gone, its lock with it."""
    plan = site.plan("hold-all")
    seen: list[list[object]] = [[], []]
    for really in (False, True):
        for _ in kills(lambda netlink: site.apply(plan, netlink), really=really):
            seen[really].append((site.looks(), site.files()))
            site.remove()
        site.remove()
    assert seen[False] == seen[True]
    assert len(seen[True]) == len(plan.operations)


class TestUpdate:
    """From one policy to another on a busy vif whose plug is closed."""

    STEPS = ("tcp-only", "real-time", "hold-all", "tcp-only", "stock-remus", "real-time")

    @pytest.mark.parametrize("classifier", CLASSIFIERS)
    def test_no_held_frame_leaves_between_any_two_messages(
        self, site: Site, classifier: str
    ) -> None:
        site.apply(site.plan(self.STEPS[0], classifier))
        site.plug(PlugAction.BUFFER)
        numbers = count(1)
        with site.bed.from_guest() as guest, site.bed.at_client() as client:

            def send() -> None:
                guest.send([stamped(TCP_FRAME, next(numbers))])

            for policy in self.STEPS[1:]:
                with watched(site, send) as netlink:
                    site.apply(site.plan(policy, classifier), netlink)
                assert site.agrees()
            held = next(numbers) - 1
            site.bed.wait_for_held(BUFFER, held)
            assert client.stamps() == []
            site.remove()
            assert client.expect(held) == list(range(1, held + 1))
        print(f"{classifier}: {held} frames sent between {held} messages, none left early")

    @pytest.mark.parametrize("classifier", CLASSIFIERS)
    def test_what_both_policies_let_pass_is_never_held(self, site: Site, classifier: str) -> None:
        site.apply(site.plan("tcp-only", classifier))
        site.plug(PlugAction.BUFFER)
        numbers = count(1)
        with site.bed.from_guest() as guest, site.bed.at_client() as client:

            def send() -> None:
                guest.send([stamped(ARP_FRAME, next(numbers))])

            for policy in ("real-time", "tcp-only", "real-time"):
                with watched(site, send) as netlink:
                    site.apply(site.plan(policy, classifier), netlink)
            sent = next(numbers) - 1
            assert client.expect(sent) == list(range(1, sent + 1))
        site.remove()

    @pytest.mark.parametrize("classifier", CLASSIFIERS)
    def test_a_kill_leaks_nothing_and_remove_loses_nothing(
        self, site: Site, kills: Killer, classifier: str
    ) -> None:
        """Repaired to the old policy, to the new one and to a third, in turn."""
        old, new, third = (
            site.plan(policy, classifier) for policy in ("hold-all", "tcp-only", "real-time")
        )
        numbers = count(1)
        total = 0
        for first, then in ((old, new), (new, old)):
            with site.bed.from_guest() as guest, site.bed.at_client() as client:

                def send() -> None:
                    guest.send([stamped(TCP_FRAME, next(numbers))])

                site.apply(first)
                site.plug(PlugAction.BUFFER)
                at, begin = 0, next(numbers) + 1
                for at in kills(partial(site.apply, then)):
                    send()
                    assert not site.agrees()
                    with watched(site, send) as netlink:
                        site.apply((first, then, third)[at % 3], netlink)
                        site.apply(first, netlink)
                    assert site.agrees()
                total += at
                end = next(numbers)
                site.bed.wait_for_held(BUFFER, end - begin)
                assert client.stamps() == []
                site.remove()
                assert client.expect(end - begin) == list(range(begin, end))
        print(f"{classifier}: updates killed at {total} points")

    def test_a_failure_of_any_operation_brings_the_old_policy_back(self, site: Site) -> None:
        old, new = site.plan("tcp-only"), site.plan("real-time", limit=20_000_000)
        site.apply(old)
        with site.bed.dom0.entered(), Netlink() as netlink:
            seen = observe(netlink, [VIF])
        operations = list(changes(new, seen, Receipts(site.run_dir).read()[0], {BUFFER: old.limit}))
        before, files = site.looks(), site.files()
        for at in range(1, len(operations) + 1):
            with (
                failing(site, at, refusing(errno.ENOMEM)) as netlink,
                pytest.raises(RemusnetError, match="injected"),
            ):
                site.apply(new, netlink)
            assert (site.looks(), site.files()) == (before, files)
            assert site.agrees()
        site.remove()
        print(f"{len(operations)} operations of an update failed once each")


def add_vifs(site: Site, number: int) -> list[str]:
    vifs = [f"vif{index}.0" for index in range(10, 10 + number)]
    ip_batch("".join(f"link add {vif} type dummy\n" for vif in vifs), site.bed.dom0.name)
    return vifs


def delete_vifs(site: Site, vifs: list[str]) -> None:
    ip_batch("".join(f"link delete {vif}\n" for vif in vifs), site.bed.dom0.name)


class TestInterference:
    def test_a_vif_that_vanishes_midway_takes_nothing_along(self, site: Site) -> None:
        clean = site.looks()
        plan = site.plan("stock-remus")
        dom0 = site.bed.dom0
        for at in range(1, len(plan.operations) + 1):
            dom0.ip("link add vif7.0 type dummy")
            gone = site.plan("stock-remus", vifs=["vif7.0"])

            def vanish(send: Callable[[], Answer]) -> Answer:
                dom0.ip("link delete vif7.0")
                return send()

            with failing(site, at, vanish) as netlink, pytest.raises(RemusnetError, match="vif7.0"):
                site.apply(gone, netlink)
            assert (site.looks(), site.files()) == (clean, set())

    def test_a_vif_that_is_gone_is_still_removed(self, site: Site) -> None:
        site.bed.dom0.ip("link add vif7.0 type dummy")
        site.apply(site.plan(vifs=["vif7.0"]))
        site.bed.dom0.ip("link delete vif7.0")
        (found,) = site.verify()
        assert [(each.what, each.current) for each in found.differences] == [("vif", "gone")]
        site.remove("vif7.0")

    def test_a_buffer_device_deleted_by_hand_lets_nothing_out_and_is_repaired(
        self, site: Site
    ) -> None:
        plan = site.plan()
        site.apply(plan)
        site.bed.dom0.ip(f"link delete {BUFFER}")
        (found,) = site.verify()
        (difference,) = found.differences
        assert difference.current == "gone: what should be held is dropped"
        with site.bed.from_guest() as guest, site.bed.at_client() as client:
            guest.send([stamped(TCP_FRAME, 1), stamped(ARP_FRAME, 2)])
            assert client.expect(1) == [2]
            # Its driver may not know yet, so the new plug holds until somebody opens it.
            (note,) = site.apply(plan).notes
            assert note.startswith(f"{BUFFER} has a new plug, which is closed")
            assert site.agrees()
            guest.send([stamped(TCP_FRAME, 3)])
            site.bed.wait_for_held(BUFFER, 1)
            assert client.stamps() == []
            site.plug(PlugAction.RELEASE_INDEFINITE)
            assert client.expect(1) == [3]
        site.remove()

    @pytest.mark.parametrize(
        ("command", "what"),
        [
            ("ip link set {0} down", "down"),
            ("ip link set {0} alias other", "other"),
            ("tc qdisc delete dev {0} root", "leaves at once"),
            ("tc qdisc delete dev {1} ingress", "every frame bypasses"),
            ("ip link set {2} down", "down"),
            ("ip link delete {2}", "gone"),
            ("tc qdisc delete dev {2} root", "leaves at once"),
            ("tc filter delete dev {1} ingress pref 1000", "none"),
            ("tc filter delete dev {1} ingress pref 10", "none"),
            ("tc filter add dev {1} ingress pref 5 protocol ip matchall action ok", "matchall"),
        ],
    )
    def test_what_a_hand_has_changed_is_named(self, site: Site, command: str, what: str) -> None:
        site.apply(site.plan())
        site.bed.dom0.run(*command.format(BUFFER, VIF, SINK).split())
        (found,) = site.verify()
        assert any(what in each.current for each in found.differences)
        if "matchall" in command:
            with pytest.raises(Conflict, match=r"not remusnet's: matchall filter \(protocol ip"):
                site.apply(site.plan())
            site.bed.dom0.tc(f"filter delete dev {VIF} ingress pref 5")
        if "alias" in command:
            with pytest.raises(Conflict, match="alias 'other'"):
                site.apply(site.plan())
            site.bed.dom0.ip(f"link set {BUFFER} alias remusnet:{VIF}")
        site.apply(site.plan())
        assert site.agrees()
        site.remove()

    def test_twenty_at_once_never_share_a_buffer_device(self, site: Site) -> None:
        """Each has a run directory of its own, so that only the kernel is between them."""
        vifs = add_vifs(site, 20)
        sites = [Site(site.bed, site.run_dir / vif) for vif in vifs]

        def one(number: int) -> str:
            plan = site.plan("stock-remus", vifs=[vifs[number]], buffer="ifb-x")
            try:
                sites[number].apply(plan)
            except Conflict as error:
                return str(error)
            return ""

        with ThreadPoolExecutor(20) as threads:
            errors = list(threads.map(one, range(20)))
        assert errors.count("") == 1
        winner = errors.index("")
        assert all("ifb-x" in error for error in errors if error)
        assert sites[winner].agrees()
        sites[winner].remove(vifs[winner])
        delete_vifs(site, vifs)
        shutil.rmtree(site.run_dir)

    def test_twenty_at_once_are_all_protected(self, site: Site) -> None:
        vifs = add_vifs(site, 20)
        with ThreadPoolExecutor(20) as threads:
            list(threads.map(lambda vif: site.apply(site.plan(vifs=[vif])), vifs))
        found = site.verify()
        assert sorted(each.protected.vifs for each in found) == sorted((vif,) for vif in vifs)
        assert all(each.agrees for each in found)
        assert len({each.protected.buffer for each in found}) == 20
        site.remove(*vifs)
        delete_vifs(site, vifs)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_a_signal_takes_everything_back(self, site: Site, number: signal.Signals) -> None:
        plan = site.plan("hold-all")
        before = site.looks()
        for at in range(1, len(plan.operations) + 1):

            def interrupt(send: Callable[[], Answer]) -> Answer:
                signal.raise_signal(number)
                return send()

            with (
                failing(site, at, interrupt) as netlink,
                pytest.raises(Interrupted, match=number.name) as caught,
            ):
                site.apply(plan, netlink)
            assert caught.value.exit_code == 128 + number
            assert (site.looks(), site.files()) == (before, set())

    def test_a_rollback_that_fails_says_so_and_remove_clears_it(self, site: Site) -> None:
        """The kernel refuses everything from the seventh message on."""

        class Refusing(FailingNetlink):
            def _one(self, request: bytes) -> Answer:
                self._at = self.sent + 1 if self.sent >= 6 else -1
                return super()._one(request)

        with site.bed.dom0.entered():
            netlink = Refusing(-1, refusing(errno.EBUSY))
        with netlink, pytest.raises(KernelRefused, match=r"taking it back failed.*remusnet remove"):
            site.apply(site.plan(), netlink)
        assert not site.agrees()
        site.remove()
