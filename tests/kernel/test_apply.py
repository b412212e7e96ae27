"""apply, verify, status and remove on a real kernel: what they do where nothing goes wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from itertools import count

import pytest

from remusnet.errors import Conflict, InvalidInput, MissingDependency
from remusnet.kernel.run_dir import driver_lock
from remusnet.kernel.state.receipt import Receipts
from remusnet.kernel.state.status import status
from remusnet.kernel.wire.messages import PlugAction
from remusnet.kernel.wire.netlink import Netlink
from remusnet.plan.render import render
from remusnet.results.protection import Status
from tests.kernel.lab.bed import VIF
from tests.kernel.lab.packets import stamped
from tests.kernel.lab.protection import ARP_FRAME, BUFFER, EACH, TCP_FRAME, Site, watched
from tests.kernel.lab.wait import wait_until

uml = pytest.mark.uml(timeout=120)


def the_status(site: Site) -> Status:
    with site.bed.dom0.entered():
        (found,) = status(run_dir=site.run_dir)[0]
    return found


@uml
class TestSameAsThePlan:
    @pytest.mark.parametrize(("policy", "classifier"), EACH)
    def test_apply_does_what_the_batch_form_does(
        self, site: Site, policy: str, classifier: str
    ) -> None:
        plan = site.plan(policy, classifier)
        site.apply(plan)
        applied = site.shown()
        site.remove()
        site.bed.dom0.run("sh", input_text=render(plan, "batch"))
        assert site.shown() == applied
        site.remove()  # by its marks: what was pasted has no receipt

    @pytest.mark.parametrize(("policy", "classifier"), EACH)
    def test_apply_does_what_the_shell_script_does(
        self, site: Site, policy: str, classifier: str
    ) -> None:
        plan = site.plan(policy, classifier)
        site.apply(plan)
        applied = site.shown()
        site.bed.dom0.run("sh", input_text=render(plan, "sh", undo=True))
        site.bed.dom0.run("sh", input_text=render(plan, "sh"))
        assert site.shown() == applied
        site.remove()

    def test_it_is_so_for_vifs_that_share_a_buffer_device_with_a_limit(self, site: Site) -> None:
        site.bed.dom0.ip("link add vif1.0-emu type dummy")
        plan = site.plan(vifs=[VIF, "vif1.0-emu"], buffer=BUFFER, limit=300_000)
        site.apply(plan)
        applied = site.shown()
        for form in ("sh", "batch"):
            site.bed.dom0.run("sh", input_text=render(plan, form, undo=True))
            site.bed.dom0.run("sh", input_text=render(plan, form))
            assert site.shown() == applied
        site.remove(VIF, "vif1.0-emu")
        site.bed.dom0.ip("link delete vif1.0-emu")

    def test_what_apply_did_can_be_taken_back_by_the_plan(self, site: Site) -> None:
        before = site.looks()
        plan = site.plan("real-time")
        site.apply(plan)
        site.bed.dom0.run("sh", input_text=render(plan, "batch", undo=True))
        assert site.looks() == before
        site.remove()

    @pytest.mark.parametrize("limit", [100_000, 250_000])
    def test_the_plug_takes_as_many_bytes_as_the_limit_says(self, site: Site, limit: int) -> None:
        frame = TCP_FRAME + bytes(1000 - len(TCP_FRAME))
        site.apply(site.plan(limit=limit))
        site.plug(PlugAction.BUFFER)
        with site.bed.from_guest() as guest:
            guest.send([frame] * (limit // 1000 + 7))
            site.bed.wait_for_held(BUFFER, limit // 1000)
            wait_until(lambda: site.bed.qdisc(BUFFER).drops == 7, "7 frames dropped")
        found = the_status(site)
        assert (found.backlog, found.overflowed) == (limit // 1000 * 1000, 7)
        assert found.held == limit // 1000
        assert any("100 % full" in warning for warning in found.warnings)
        site.remove()

    def test_a_new_limit_counts_at_once_and_what_is_held_stays(self, site: Site) -> None:
        frame = TCP_FRAME + bytes(1000 - len(TCP_FRAME))
        site.apply(site.plan(limit=100_000))
        site.plug(PlugAction.BUFFER)
        with site.bed.from_guest() as guest, site.bed.at_client() as client:
            guest.send([stamped(frame, number) for number in range(100)])
            site.bed.wait_for_held(BUFFER, 100)
            done = site.apply(site.plan(limit=150_000))
            assert [each.kind for each in done.operations] == ["set-limit"]
            guest.send([stamped(frame, number) for number in range(100, 160)])
            site.bed.wait_for_held(BUFFER, 150)
            assert client.stamps() == []
            site.remove()
            assert client.expect(150) == list(range(150))


@uml
class TestApply:
    def test_the_same_again_changes_nothing(self, site: Site) -> None:
        site.apply(site.plan())
        looks = site.looks()
        sent: list[int] = []
        with watched(site, lambda: sent.append(1)) as netlink:
            again = site.apply(site.plan(), netlink)
        assert (again.operations, sent, site.looks()) == ((), [], looks)
        site.remove()

    def test_a_receipt_has_all_that_was_asked_for(self, site: Site) -> None:
        plan = site.plan("real-time", "bpf")
        site.apply(plan)
        receipt = Receipts(site.run_dir).read()[0][BUFFER]
        assert receipt.plan().operations == plan.operations
        assert (receipt.rate, receipt.interval_ns) == (10**9, 200_000_000)
        site.remove()

    def test_several_vifs_share_a_buffer_device_that_goes_with_the_last(self, site: Site) -> None:
        site.bed.dom0.ip("link add vif1.0-emu type dummy")
        both = site.plan(vifs=[VIF, "vif1.0-emu"], buffer="ifb-1")
        site.apply(site.plan(vifs=[VIF], buffer="ifb-1"))
        site.apply(both)  # one more
        assert site.agrees()
        with pytest.raises(Conflict, match="ifb-1 is the buffer device of vif1.0-emu already"):
            site.apply(site.plan(vifs=[VIF], buffer="ifb-1"))
        with pytest.raises(Conflict, match="protected with the buffer device ifb-1 already"):
            site.apply(site.plan(vifs=[VIF]))
        with pytest.raises(Conflict, match="holds frames of vif1.0-emu too"):
            site.remove(VIF, drop=True)
        site.remove(VIF)
        assert site.agrees()
        site.remove("vif1.0-emu")
        site.bed.dom0.ip("link delete vif1.0-emu")

    def test_a_vif_that_is_not_there_is_named_with_those_that_are(self, site: Site) -> None:
        with pytest.raises(InvalidInput, match=r"'vif1.1' \(did you mean 'vif1.0'\?\)"):
            site.apply(site.plan(vifs=["vif1.1"]))


@uml
class TestForeign:
    FILTER = f"filter add dev {VIF} ingress pref 7 protocol ip u32 match u32 0 0 action ok"

    @pytest.mark.parametrize("kind", ["ingress", "clsact"])
    def test_filters_of_somebody_else_are_a_conflict_that_names_them(
        self, site: Site, kind: str
    ) -> None:
        site.bed.dom0.tc(f"qdisc add dev {VIF} {kind}")
        site.bed.dom0.tc(self.FILTER)
        looks = site.looks()
        with pytest.raises(Conflict, match=rf"{kind} qdisc.*u32 filter \(protocol ip, pref 7\)"):
            site.apply(site.plan())
        assert site.looks() == looks
        site.bed.dom0.tc(f"qdisc delete dev {VIF} {kind}")

    @pytest.mark.parametrize("kind", ["ingress", "clsact"])
    @pytest.mark.parametrize("with_receipt", [True, False])
    def test_a_qdisc_of_somebody_else_is_used_and_kept(
        self, site: Site, kind: str, with_receipt: bool
    ) -> None:
        site.bed.dom0.tc(f"qdisc add dev {VIF} {kind}")
        if kind == "clsact":
            site.bed.dom0.tc(self.FILTER.replace("ingress", "egress"))
        looks = site.looks()
        site.apply(site.plan())
        assert site.agrees()
        site.apply(site.plan("real-time"))
        assert site.agrees()
        site.plug(PlugAction.BUFFER)
        with site.bed.from_guest() as guest, site.bed.at_client() as client:
            guest.send([stamped(TCP_FRAME, 1), stamped(ARP_FRAME, 2)])
            assert client.expect(1) == [2]
            if not with_receipt:
                Receipts(site.run_dir).delete([BUFFER])
            site.remove()
            assert client.expect(1) == [1]
        assert site.looks() == looks
        site.bed.dom0.tc(f"qdisc delete dev {VIF} {kind}")

    def test_a_device_of_our_name_is_a_conflict(self, site: Site) -> None:
        site.bed.dom0.ip(f"link add {BUFFER} type ifb")
        with pytest.raises(Conflict, match=rf"{BUFFER} exists .*kind ifb, no alias"):
            site.apply(site.plan())
        site.bed.dom0.ip(f"link delete {BUFFER}")

    def test_another_root_qdisc_is_a_conflict_for_apply_and_for_remove(self, site: Site) -> None:
        site.apply(site.plan())
        site.bed.dom0.tc(f"qdisc replace dev {BUFFER} root handle 7: pfifo")
        for run in (lambda: site.apply(site.plan()), site.remove):
            with pytest.raises(Conflict, match=r"no plug but pfifo \(handle 7:\)"):
                run()
        site.bed.dom0.tc(f"qdisc delete dev {BUFFER} root")
        site.remove()

    def test_filters_added_beside_ours_survive_remove(self, site: Site) -> None:
        site.apply(site.plan())
        site.bed.dom0.tc(self.FILTER)
        site.remove()
        assert "pref 7" in site.bed.dom0.tc(f"filter show dev {VIF} ingress")
        site.bed.dom0.tc(f"qdisc delete dev {VIF} ingress")

    def test_a_filter_among_ours_is_a_conflict_for_remove(self, site: Site) -> None:
        site.apply(site.plan())
        beside = "protocol ip pref 10 handle ::fff u32 match u32 0 0 action ok"
        site.bed.dom0.tc(f"filter add dev {VIF} ingress {beside}")
        with pytest.raises(Conflict, match="among remusnet's that is not remusnet's"):
            site.remove()
        shown = site.bed.dom0.tc(f"filter show dev {VIF} ingress")
        (handle,) = re.findall(r"fh (\w+::fff)", shown)
        where = f"dev {VIF} ingress protocol ip pref 10 handle {handle} u32"
        site.bed.dom0.tc(f"filter delete {where}")
        site.remove()


@uml
class TestRemove:
    def test_no_held_frame_is_lost_under_load(self, site: Site) -> None:
        """A frame is sent between any two steps; held ones leave in their order."""
        site.apply(site.plan())
        site.plug(PlugAction.BUFFER)
        with site.bed.from_guest() as guest, site.bed.at_client() as client:
            sent = 300
            guest.send([stamped(TCP_FRAME, number) for number in range(sent)])
            site.bed.wait_for_held(BUFFER, sent)

            def send() -> None:
                nonlocal sent
                guest.send([stamped(TCP_FRAME, sent)])
                sent += 1

            with watched(site, send) as netlink:
                site.remove(netlink=netlink)
            send()
            assert client.expect(sent) == list(range(sent))

    def test_a_driver_that_goes_on_makes_a_forced_remove_lose_nothing(self, site: Site) -> None:
        """It closes the plug again before each step, with a frame in it."""
        site.apply(site.plan())
        sent = 0
        with site.bed.from_guest() as guest, site.bed.at_client() as client:

            def close_and_send() -> None:
                nonlocal sent
                if BUFFER in site.looks()["roots"]:  # type: ignore[operator] # a mapping
                    site.plug(PlugAction.BUFFER)
                guest.send([stamped(TCP_FRAME, sent)])
                sent += 1

            with watched(site, close_and_send) as netlink:
                site.remove(force=True, netlink=netlink)
            assert sorted(client.expect(sent)) == list(range(sent))

    def test_drop_lets_nothing_out(self, site: Site) -> None:
        site.apply(site.plan("hold-all"))
        site.plug(PlugAction.BUFFER)
        with site.bed.from_guest() as guest, site.bed.at_client() as client:
            guest.send([stamped(TCP_FRAME, number) for number in range(300)])
            site.bed.wait_for_held(BUFFER, 300)
            sent = 300

            def send() -> None:
                nonlocal sent
                guest.send([stamped(TCP_FRAME, sent)])
                sent += 1

            with watched(site, send) as netlink:
                site.remove(drop=True, netlink=netlink)
            guest.send([stamped(ARP_FRAME, 1_000_000)])
            assert client.expect(1) == [1_000_000]

    def test_a_driver_of_ours_is_a_conflict_unless_forced(self, site: Site) -> None:
        site.apply(site.plan())
        with driver_lock(site.run_dir, BUFFER):
            with pytest.raises(Conflict, match=f"driven by process {os.getpid()}"):
                site.remove()
            assert the_status(site).driver == f" by process {os.getpid()}"
            assert site.agrees()
            site.remove(force=True)

    def test_a_plug_that_lets_go_and_holds_is_driven(self, site: Site) -> None:
        """By a driver that takes no lock, as Xen's."""
        site.apply(site.plan())
        site.plug(PlugAction.BUFFER)
        stop = threading.Event()
        numbers = count()

        def drive() -> None:
            while not stop.wait(0.02):
                guest.send([stamped(TCP_FRAME, next(numbers))])
                site.plug(PlugAction.BUFFER)
                guest.send([stamped(TCP_FRAME, next(numbers))])
                site.plug(PlugAction.RELEASE_ONE)

        driver = threading.Thread(target=drive)
        with site.bed.from_guest() as guest, site.bed.at_client() as client:
            driver.start()
            try:
                # The second was held: from then on the plug always holds a frame.
                came = client.expect(2)
                with pytest.raises(Conflict, match="something drives the plug"):
                    site.remove(longest_listen=30)
            finally:
                stop.set()
                driver.join()
            site.remove()
            sent = next(numbers)
            came += client.expect(sent - len(came))
            assert came == list(range(sent))

    def test_a_forgotten_plug_is_released(self, site: Site) -> None:
        site.apply(site.plan())
        site.plug(PlugAction.BUFFER)
        with site.bed.from_guest() as guest, site.bed.at_client() as client:
            guest.send([stamped(TCP_FRAME, 1)])
            site.bed.wait_for_held(BUFFER, 1)
            site.remove()
            assert client.expect(1) == [1]

    def test_a_receipt_that_is_damaged_or_gone_is_replaced_by_the_marks(self, site: Site) -> None:
        path = site.run_dir / f"{BUFFER}.json"
        for content in ("{", None):
            site.apply(site.plan())
            if content is None:
                path.unlink()
            else:
                path.write_text(content, encoding="utf-8")
            (found,) = site.verify(VIF)
            assert "only marks" in found.differences[0].current
            site.remove()
            assert site.files() == set()

    def test_what_was_not_protected_is_said(self, site: Site) -> None:
        assert site.remove(VIF).unprotected == (VIF,)
        with pytest.raises(InvalidInput, match="no such device: 'vif9.0'"):
            site.remove("vif9.0")


@uml
class TestStatus:
    def test_it_counts_what_was_held_and_what_bypassed(self, site: Site) -> None:
        site.apply(site.plan())
        with site.bed.from_guest() as guest, site.bed.at_client() as client:
            guest.send([stamped(TCP_FRAME, number) for number in range(3)])
            guest.send([stamped(ARP_FRAME, number) for number in range(3, 8)])
            client.expect(8)
            site.apply(site.plan("real-time", "bpf"))  # an update goes on counting
            site.plug(PlugAction.BUFFER)
            guest.send([stamped(TCP_FRAME, 8)])
            site.bed.wait_for_held(BUFFER, 1)
        found = the_status(site)
        assert (found.held, found.bypassed, found.waiting) == (4, 5, 1)
        assert found.protected.terms is not None
        assert found.protected.terms.policy == "real-time"
        site.remove()

    def test_what_a_lost_buffer_device_drops_is_counted(self, site: Site) -> None:
        site.apply(site.plan())
        site.bed.dom0.ip(f"link delete {BUFFER}")
        with site.bed.from_guest() as guest:
            guest.send([TCP_FRAME] * 3)
            wait_until(lambda: the_status(site).refused == 3, "3 frames refused")
        assert the_status(site).held is None
        site.remove()


class TestCommands:
    """The program itself, as a user runs it."""

    @uml
    def test_from_apply_to_remove(self, site: Site) -> None:
        code, out, _ = site.program("status", "--json")
        assert (code, json.loads(out)) == (0, {"protections": []})
        # The default limit is for hosts with more memory than this kernel has.
        words = ("apply", VIF, "--policy", "hold-all", "--force")
        code, out, err = site.program(*words, "--json")
        assert (code, json.loads(out)["changed"]) == (0, True)
        assert [line[:50] for line in err.splitlines()] == [
            "remusnet: warning: a guest that floods small frame",
            "remusnet: warning: small frames can cost 625.0 MB,",
        ]
        assert site.program(*words)[1].startswith(f"{VIF}: nothing to change")
        code, out, _ = site.program("verify", VIF, "--json")
        assert (code, json.loads(out)["agree"]) == (0, True)
        site.bed.dom0.ip(f"link set {BUFFER} down")
        code, out, err = site.program("verify")
        assert (code, err) == (1, "remusnet: error: 1 difference\n")
        assert "current  down" in out
        code, out, _ = site.program("status", VIF)
        assert (code, "limit      50.0 MB (1gbit, 200ms; unverified" in out) == (0, True)
        code, out, _ = site.program("remove", VIF)
        assert (code, out) == (0, f"{VIF}: not protected any more; what was held has left\n")

    @uml
    def test_without_the_right_to_change_devices_nothing_is_touched(self, site: Site) -> None:
        """Root without CAP_NET_ADMIN, as in a container."""
        words = [sys.executable, "-m", "remusnet", "apply", VIF, "--run-dir", str(site.run_dir)]
        done = subprocess.run(
            ["setpriv", "--bounding-set", "-net_admin", *words],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (
            4,
            "remusnet: error: only root may change network devices: run it with sudo\n",
        )
        assert not site.run_dir.exists()

    @uml
    def test_two_processes_at_once_end_with_one_protection(self, site: Site) -> None:
        words = ["ip", "netns", "exec", site.bed.dom0.name, sys.executable, "-m", "remusnet"]
        words += ["apply", VIF, "--run-dir", str(site.run_dir), "--force"]
        started = [
            subprocess.Popen([*words, "--policy", policy], stderr=subprocess.DEVNULL)
            for policy in ("tcp-only", "real-time")
        ]
        assert [each.wait() for each in started] == [0, 0]
        assert site.agrees()
        site.remove()


@pytest.mark.netns
def test_a_kernel_without_plugs_is_a_missing_dependency_and_nothing_stays(site: Site) -> None:
    """Where the running kernel has sch_plug, there is nothing to see here: it is applied."""
    before = site.looks()
    error = ""
    try:
        site.apply(site.plan())
    except MissingDependency as caught:
        error = str(caught)
    else:
        site.remove()
    assert not error or "no sch_plug (CONFIG_NET_SCH_PLUG)" in error
    assert (site.looks(), site.files()) == (before, set())


@pytest.mark.netns
def test_a_dry_run_touches_nothing_and_prints_the_plan(site: Site) -> None:
    code, planned, _ = site.program("plan", "vif77.0")
    assert site.program("apply", "vif77.0", "--dry-run") == (code, planned, "")
    assert not site.run_dir.exists()


@pytest.mark.netns
def test_netlink_is_closed_where_apply_opened_it(site: Site) -> None:
    with site.bed.dom0.entered(), Netlink():
        before = len(os.listdir("/proc/self/fd"))
        site.verify()
        assert len(os.listdir("/proc/self/fd")) == before
