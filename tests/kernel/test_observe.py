"""What a look at a real kernel finds."""

from __future__ import annotations

import pytest

from remusnet.host.doctor import without_blackhole
from remusnet.kernel.state.observe import devices_with
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
