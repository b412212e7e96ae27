"""Names, marks and qdiscs that others have changed: on a real kernel, with frames that are held."""

from __future__ import annotations

from collections import Counter

import pytest

from remusnet.classify.filters import protocol_name
from remusnet.errors import Conflict
from remusnet.kernel.wire.codec import RTM_GETQDISC
from remusnet.kernel.wire.messages import PlugAction
from remusnet.kernel.wire.netlink import Netlink
from remusnet.plan.plan import build_plan
from remusnet.policy.toml import load
from remusnet.policy.verdict import Verdict
from remusnet.report.kernel import removed_text
from remusnet.results.protection import Fate
from tests.kernel.lab.bed import VIF
from tests.kernel.lab.packets import Sender, stamped
from tests.kernel.lab.protection import BUFFER, INTERVAL_NS, RATE, TCP_FRAME, Site
from tests.kernel.lab.wait import wait_until

pytestmark = pytest.mark.uml(timeout=120)


def rename(site: Site, old: str, new: str) -> None:
    dom0 = site.bed.dom0
    dom0.ip(f"link set {old} down")
    dom0.ip(f"link set {old} name {new}")
    dom0.ip(f"link set {new} addrgenmode none")
    dom0.ip(f"link set {new} up")
    wait_until(
        lambda: "state forwarding" in dom0.run("bridge", "link", "show", "dev", new),
        f"{new} forwards",
    )


def add_pair(site: Site, vif: str, peer: str) -> None:
    """A vif and its guest's end, both in Dom0, which send nothing by themselves."""
    dom0 = site.bed.dom0
    dom0.ip(f"link add {vif} type veth peer name {peer}")
    for each in (vif, peer):
        dom0.ip(f"link set {each} addrgenmode none")
        dom0.ip(f"link set {each} up")
    wait_until(lambda: "state UP" in dom0.ip(f"link show {vif}"), f"{vif} is up")


def test_a_renamed_vif_ends_and_the_frames_of_its_successor_stay_held(site: Site) -> None:
    dom0 = site.bed.dom0
    site.apply(site.plan())
    rename(site, VIF, "old0")
    add_pair(site, VIF, "peer1")
    done = site.apply(site.plan())
    assert "old0 sends what is held to ifb-1.0 too" in done.notes[0]
    (mine, lodger) = site.verify()
    assert mine.agrees
    assert lodger.differences[0].current.startswith(f"send to {BUFFER}, the buffer device of {VIF}")
    site.plug(PlugAction.BUFFER)
    with site.bed.from_guest() as guest, Sender(dom0, "peer1") as successor:
        guest.send([stamped(TCP_FRAME, 1)])
        successor.send([stamped(TCP_FRAME, 2)])
        site.bed.wait_for_held(BUFFER, 2)
        with pytest.raises(Conflict, match=r"old0 sends to ifb-1\.0 too"):
            site.remove(VIF)
        assert site.remove("old0").fates == {"old0": Fate.WAITS}
        site.bed.wait_for_held(BUFFER, 2)
        assert site.agrees()
        with site.bed.at_client() as client:
            assert site.remove(VIF).fates == {VIF: Fate.LEFT}
            assert client.expect(1) == [1]
    dom0.ip(f"link delete {VIF}")
    rename(site, "old0", VIF)


def test_what_was_held_of_a_vif_that_is_gone_is_said_to_be_dropped(site: Site) -> None:
    dom0 = site.bed.dom0
    said = {}
    for held in (True, False):
        add_pair(site, "vif7.0", "peer7")
        site.apply(site.plan(vifs=["vif7.0"]))
        site.plug(PlugAction.BUFFER, "ifb-7.0")
        if held:
            with Sender(dom0, "peer7") as sender:
                sender.send([TCP_FRAME])
                site.bed.wait_for_held("ifb-7.0", 1)
        dom0.ip("link delete vif7.0")
        said[held] = removed_text(site.remove("vif7.0"))
    gone = "vif7.0: not protected any more; it is gone (deleted, or moved elsewhere)"
    assert said == {
        True: f"{gone}, so what was held of it was dropped\n",
        False: f"{gone}, and nothing was held of it\n",
    }


@pytest.mark.parametrize("classifier", ["bpf", "u32"])
def test_where_a_hand_has_deleted_what_holds_apply_mends_and_remove_leaves_nothing(
    site: Site, classifier: str
) -> None:
    plan = site.plan("real-time", classifier)
    filters = plan.classification.filters
    holding = {(each.pref, each.protocol) for each in filters if each.verdict is Verdict.HOLD}
    assert {(each.pref, each.protocol) for each in filters} > holding
    for mend in (True, False):
        site.apply(plan)
        for pref, protocol in sorted(holding):
            where = f"dev {VIF} ingress protocol {protocol_name(protocol)} pref {pref}"
            site.bed.dom0.tc(f"filter delete {where}")
        assert not site.agrees()
        if mend:
            site.apply(plan)
            assert site.agrees()
        site.remove()


def test_a_rule_of_every_port_is_applied_by_flower(site: Site) -> None:
    policy = load(
        'name = "all"\ndefault = "bypass"\n[[rule]]\nname = "udp"\nverdict = "hold"\n'
        'protocol = "udp"\nport = "0-65535"\n',
        "all.toml",
    )
    site.apply(build_plan([VIF], policy, classifier="flower", rate=RATE, interval_ns=INTERVAL_NS))
    assert site.agrees()
    site.remove()


def test_a_shared_block_is_a_conflict_that_says_what_it_is(site: Site) -> None:
    dom0 = site.bed.dom0
    dom0.tc(f"qdisc add dev {VIF} ingress_block 22 ingress")
    with pytest.raises(
        Conflict, match=r"an ingress qdisc whose filters are a shared block's \(22\)"
    ):
        site.apply(site.plan("tcp-only", "bpf"))
    dom0.tc(f"qdisc delete dev {VIF} ingress")


class Counting(Netlink):
    """Counts what it asks, by the kind of message."""

    def __init__(self) -> None:
        super().__init__()
        self.dumps: Counter[int] = Counter()

    def dump(self, request: bytes) -> list[tuple[int, bytes]]:
        self.dumps[int.from_bytes(request[4:6], "little")] += 1
        return super().dump(request)


def test_the_looks_at_all_qdiscs_do_not_grow_with_the_vifs(site: Site) -> None:
    """Each shows the qdiscs of all devices: one for each vif would be quadratic.

    One of them is for the plugs that somebody might drive.
    """
    looks = []
    for number in (2, 12):
        vifs = [f"vif{each}.0" for each in range(10, 10 + number)]
        for vif in vifs:
            site.bed.dom0.ip(f"link add {vif} type dummy")
        site.apply(site.plan(vifs=vifs))
        with site.bed.dom0.entered():
            netlink = Counting()
        with netlink:
            site.remove(*vifs, netlink=netlink)
        looks.append(netlink.dumps[RTM_GETQDISC])
        for vif in vifs:
            site.bed.dom0.ip(f"link delete {vif}")
    assert looks[0] == looks[1] <= 7
