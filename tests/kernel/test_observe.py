"""What a look at a real kernel finds."""

from __future__ import annotations

import pytest

from remusnet.host.doctor import without_blackhole
from remusnet.kernel.state import observe as looking
from remusnet.kernel.state.observe import devices_with, observe, observe_only
from remusnet.kernel.wire.netlink import Netlink
from remusnet.results.checks import CheckState
from tests.kernel.lab.namespace import namespaces

pytestmark = pytest.mark.netns


def test_blackhole_qdiscs_are_found_wherever_they_are() -> None:
    with namespaces("host") as (host,):
        for number in range(3):
            host.ip(f"link add ifb{number} type ifb")
        host.tc("qdisc add dev ifb1 root blackhole")
        host.tc("qdisc add dev ifb2 root pfifo limit 0")
        with host.entered(), Netlink() as netlink:
            found = devices_with(netlink, "blackhole")
            assert devices_with(netlink, "plug") == ()
    assert found == ("ifb1",)
    assert without_blackhole(found).state is CheckState.MISSING


def test_a_look_at_a_few_devices_finds_the_same_of_them_and_asks_for_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each vif with a filter that sends to a device of its own, which is named by nobody."""
    asked: list[int] = []
    filters = looking._filters

    def asking(netlink: Netlink, index: int) -> object:
        asked.append(index)
        return filters(netlink, index)

    with namespaces("host") as (host,):
        for number in range(6):
            host.ip(f"link add ifb{number} type ifb")
            host.ip(f"link add vif{number}.0 type veth peer name g{number}")
            host.tc(f"qdisc add dev ifb{number} root pfifo limit 7")
            host.tc(f"qdisc add dev vif{number}.0 ingress")
            host.tc(
                f"filter add dev vif{number}.0 ingress pref 1 protocol all u32 match u32 0 0"
                f" action mirred egress redirect dev ifb{number}"
            )
        with host.entered(), Netlink() as netlink:
            every = observe(netlink)
            monkeypatch.setattr(looking, "_filters", asking)
            third = every.devices["vif3.0"]
            peer = every.devices["g5"].index
            found = observe_only(netlink, ["vif3.0", "gone"], ["ifb1", "nobody"], [peer, 99_999])
    assert asked == [third.index]
    names = ("vif3.0", "ifb1", "g5", "ifb3")
    assert found.devices == {name: every.devices[name] for name in names}
    assert found.root("ifb1") == every.root("ifb1")
    assert found.ingress == {third.index: every.ingress[third.index]}
    assert found.filters == {"vif3.0": every.filters["vif3.0"]}
