"""The network that kernel tests send frames through: a guest, its vif in Dom0, a client behind.

    guest          dom0                                          client
    eth0 ------- vif1.0 ---- xenbr0 (bridge) ---- cl0 ---------- eth0
                    (ifb0, ifb1: where held frames wait)

The devices are veth pairs. None of them sends frames of its own: no addresses, no IPv6 autoconf, no
spanning tree, no multicast queries. A bridge drops frames to 01:80:c2:00:00:0X and from group
addresses by itself, and floods the rest: it learns nothing here.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pyroute2 import IPRoute

from tests.kernel.lab.namespace import Namespace, namespaces
from tests.kernel.lab.packets import Capture, Sender
from tests.kernel.lab.wait import wait_until

VIF = "vif1.0"
UPLINK = "cl0"
BRIDGE = "xenbr0"
GUEST_END = "eth0"
CLIENT_END = "eth0"

# The addresses of both ends, where a test asks for them: (guest, client).
IPV4 = ("10.9.0.2", "10.9.0.3")
IPV6 = ("fd09::2", "fd09::3")


# linux/if_link.h, linux/if_bridge.h, linux/if_addr.h
_IN6_ADDR_GEN_MODE_NONE, _BR_STATE_FORWARDING, _IFA_F_NODAD = 1, 3, 0x02
_TC_H_ROOT = 0xFFFFFFFF  # linux/pkt_sched.h
_BRIDGE_OPTIONS = {"br_forward_delay": 0, "br_stp_state": 0, "br_mcast_snooping": 0}


@dataclass(frozen=True, slots=True)
class QdiscState:
    """What a qdisc says of itself: bytes and packets that wait, and packets dropped so far."""

    kind: str
    backlog: int
    qlen: int
    drops: int


@dataclass(frozen=True, slots=True)
class Bed:
    """The three namespaces. Device names are this module's constants."""

    dom0: Namespace
    guest: Namespace
    client: Namespace

    def add_ifb(self, name: str = "ifb0") -> None:
        """Add an IFB with one queue (more would put mq above the plug), silent and up."""
        with self.dom0.netlink() as netlink:
            index = _add(netlink, name, "ifb", num_tx_queues=1, num_rx_queues=1)
            netlink.link("set", index=index, state="up")

    def qdisc(self, device: str) -> QdiscState:
        """The state of the root qdisc of a device in Dom0."""
        with self.dom0.netlink() as netlink:
            index = socket.if_nametoindex(device)
            (root,) = (each for each in netlink.get_qdiscs(index) if each["parent"] == _TC_H_ROOT)
        now = root.get_attr("TCA_STATS2").get_attr("TCA_STATS_QUEUE")
        return QdiscState(root.get_attr("TCA_KIND"), now["backlog"], now["qlen"], now["drops"])

    def wait_for_held(self, device: str, packets: int) -> None:
        """Wait until so many packets wait in a device; more or fewer are an ``AssertionError``."""
        wait_until(
            lambda: self.qdisc(device).qlen == packets, f"{packets} packets held in {device}"
        )

    def wait_for_judged(self, device: str, packets: int) -> None:
        """Wait until the filters at a device's ingress have seen so many packets.

        A busy kernel leaves what was sent to ksoftirqd, which comes when it comes.
        """

        def seen() -> bool:
            shown = json.loads(self.dom0.tc(f"-s -j qdisc show dev {device} ingress"))
            return bool(sum(each["packets"] for each in shown) >= packets)

        wait_until(seen, f"{packets} packets judged at {device}")

    def from_guest(self) -> Sender:
        """Sends frames as the guest."""
        return Sender(self.guest, GUEST_END)

    def at_client(self) -> Capture:
        """What reaches the client."""
        return Capture(self.client, CLIENT_END)

    def leaving(self, device: str) -> Capture:
        """What leaves a device in Dom0: from an IFB, what its plug has released."""
        return Capture(self.dom0, device, outgoing=True)


def _add(netlink: IPRoute, name: str, kind: str, **more: object) -> int:
    """Make a device that stays silent; its number. It is not up yet."""
    netlink.link("add", ifname=name, kind=kind, **more)
    return _silence(netlink, name)


def _silence(netlink: IPRoute, name: str) -> int:
    """Let a device have no address of its own when it comes up: it would tell of it."""
    index = socket.if_nametoindex(name)
    inet6 = {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", _IN6_ADDR_GEN_MODE_NONE)]}
    netlink.link("set", index=index, IFLA_AF_SPEC={"attrs": [("AF_INET6", inet6)]})
    return index


def _bypass_netfilter(namespace: Namespace) -> None:
    """Where the module br_netfilter is loaded, a bridge drops IP packets with wrong checksums."""
    with namespace.entered():
        for switch in Path("/proc/sys/net/bridge").glob("bridge-nf-call-*"):
            switch.write_text("0", encoding="ascii")


def _running(netlink: IPRoute, devices: Collection[str]) -> bool:
    """Whether ``devices`` take frames: up, and forwarding where they are ports of a bridge.

    The kernel sees to that in its own time once both ends of a veth pair are up; until then it
    drops what is sent.
    """
    ready = set()
    for each in netlink.get_links():
        state = each.get_nested("IFLA_LINKINFO", "IFLA_INFO_SLAVE_DATA", "IFLA_BRPORT_STATE")
        if each.get_attr("IFLA_OPERSTATE") == "UP" and state in (None, _BR_STATE_FORWARDING):
            ready.add(each.get_attr("IFLA_IFNAME"))
    return ready.issuperset(devices)


@contextmanager
def open_bed(*, addresses: bool = False) -> Iterator[Bed]:
    """A new bed; with ``addresses`` both ends can talk IP (and send neighbour discovery).

    It's removed at the end, whatever a test has added to it.
    """
    # The kernel may load IPv6 with its first socket only; addrgenmode is refused before.
    socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close()
    with namespaces("dom0", "guest", "client") as (dom0, guest, client):
        _bypass_netfilter(dom0)
        with dom0.netlink() as netlink:
            made = [_add(netlink, BRIDGE, "bridge", **_BRIDGE_OPTIONS)]
            for port, there, end in (
                (VIF, guest, GUEST_END),
                (UPLINK, client, CLIENT_END),
            ):
                peer = {"ifname": end, "net_ns_fd": there.name}
                index = _add(netlink, port, "veth", peer=peer, master=made[0])
                netlink.brport("set", index=index, learning=0)
                made.append(index)
            for index in made:
                netlink.link("set", index=index, state="up")
        for (namespace, end), own in zip(
            ((guest, GUEST_END), (client, CLIENT_END)), zip(IPV4, IPV6, strict=True), strict=True
        ):
            with namespace.netlink() as netlink:
                netlink.link("set", index=socket.if_nametoindex("lo"), state="up")
                index = _silence(netlink, end)
                netlink.link("set", index=index, state="up")
                for address, length in zip(own if addresses else (), (24, 64), strict=False):
                    netlink.addr(
                        "add", index=index, address=address, prefixlen=length, flags=_IFA_F_NODAD
                    )
        for namespace, devices in (
            (dom0, (VIF, UPLINK, BRIDGE)),
            (guest, (GUEST_END,)),
            (client, (CLIENT_END,)),
        ):
            with namespace.netlink() as netlink:
                wait_until(
                    partial(_running, netlink, devices), f"{devices} running in {namespace.name}"
                )
        yield Bed(dom0, guest, client)
