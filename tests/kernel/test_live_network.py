"""The devices of a live run."""

from __future__ import annotations

import os

import pytest
from pyroute2 import IPRoute

from remusnet.live import network
from tests.kernel.lab.namespace import namespaces


@pytest.mark.usefixtures("kernel")
def test_a_run_begins_once_its_bridge_forwards_from_both_ports(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Until then it drops what a program sends: linkwatch comes up to a second late."""
    with namespaces("dom0") as (dom0,), dom0.entered(), IPRoute() as routes:
        network.make_uplink("rn0", None)
        network.make_dom0(os.getpid(), keep_in=False)
        monkeypatch.setattr(network, "_READY_S", 0.1)
        for other_end in ("rn0", network.GUEST):
            assert not network.wait_until_forwarding(keep_in=False)
            routes.link("set", index=routes.link_lookup(ifname=other_end)[0], state="up")
        monkeypatch.setattr(network, "_READY_S", 10)
        assert network.wait_until_forwarding(keep_in=False)
        monkeypatch.setattr(network, "_READY_S", 0.1)
        assert not network.wait_until_forwarding(keep_in=True)  # there is no port for that
