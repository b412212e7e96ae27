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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from remusnet.kernel.wire.codec import (
    IFLA_IFNAME,
    IFLA_LINKINFO,
    NLM_F_DUMP,
    RTM_GETLINK,
    attributes,
    link,
    message,
)
from remusnet.kernel.wire.netlink import Netlink
from tests.kernel.lab.namespace import Namespace, ip_batch, namespaces
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


# linux/if_link.h, linux/if.h, linux/if_bridge.h
_IFLA_OPERSTATE, _IF_OPER_UP = 16, 6
_IFLA_INFO_SLAVE_DATA, _IFLA_BRPORT_STATE, _BR_STATE_FORWARDING = 5, 1, 3
_FIXED = len(link())


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
        ip_batch(
            f"link add {name} numtxqueues 1 numrxqueues 1 type ifb\n" + _up(name),
            self.dom0.name,
        )

    def qdisc(self, device: str) -> QdiscState:
        """The state of the root qdisc of a device in Dom0."""
        answers = json.loads(self.dom0.tc(f"-j -s qdisc show dev {device}"))
        (root,) = (answer for answer in answers if answer.get("root"))
        return QdiscState(root["kind"], root["backlog"], root["qlen"], root["drops"])

    def wait_for_held(self, device: str, packets: int) -> None:
        """Wait until so many packets wait in a device; more or fewer are an ``AssertionError``."""
        wait_until(
            lambda: self.qdisc(device).qlen == packets, f"{packets} packets held in {device}"
        )

    def from_guest(self) -> Sender:
        """Sends frames as the guest."""
        return Sender(self.guest, GUEST_END)

    def at_client(self) -> Capture:
        """What reaches the client."""
        return Capture(self.client, CLIENT_END)

    def leaving(self, device: str) -> Capture:
        """What leaves a device in Dom0: from an IFB, what its plug has released."""
        return Capture(self.dom0, device, outgoing=True)


def _up(device: str) -> str:
    """Bring a device up that stays silent.

    In one command the kernel would bring it up first, with a link-local address and its noise.
    """
    return f"link set {device} addrgenmode none\nlink set {device} up\n"


def _bypass_netfilter(namespace: Namespace) -> None:
    """Where the module br_netfilter is loaded, a bridge drops IP packets with wrong checksums."""
    with namespace.entered():
        for switch in Path("/proc/sys/net/bridge").glob("bridge-nf-call-*"):
            switch.write_text("0", encoding="ascii")


def _running(namespace: Namespace, *devices: str) -> bool:
    """Whether ``devices`` take frames: up, and forwarding where they are ports of a bridge.

    The kernel sees to that in its own time once both ends of a veth pair are up; until then it
    drops what is sent.
    """
    with namespace.entered(), Netlink() as netlink:
        found = netlink.dump(message(RTM_GETLINK, NLM_F_DUMP, link()))
    ready = set()
    for _, body in found:
        about = attributes(body[_FIXED:])
        port = attributes(attributes(about.get(IFLA_LINKINFO, b"")).get(_IFLA_INFO_SLAVE_DATA, b""))
        forwarding = port.get(_IFLA_BRPORT_STATE, bytes([_BR_STATE_FORWARDING]))
        if about[_IFLA_OPERSTATE][0] == _IF_OPER_UP and forwarding[0] == _BR_STATE_FORWARDING:
            ready.add(about[IFLA_IFNAME].rstrip(b"\0").decode())
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
        ip_batch(
            f"link add {BRIDGE} type bridge forward_delay 0 stp_state 0 mcast_snooping 0\n"
            f"link add {VIF} type veth peer name {GUEST_END} netns {guest.name}\n"
            f"link add {UPLINK} type veth peer name {CLIENT_END} netns {client.name}\n"
            + "".join(
                f"link set {port} master {BRIDGE}\nlink set {port} type bridge_slave learning off\n"
                for port in (VIF, UPLINK)
            )
            + "".join(map(_up, (BRIDGE, VIF, UPLINK))),
            dom0.name,
        )
        for index, (namespace, end) in enumerate(((guest, GUEST_END), (client, CLIENT_END))):
            lines = "link set lo up\n" + _up(end)
            if addresses:
                lines += f"address add {IPV4[index]}/24 dev {end}\n"
                lines += f"address add {IPV6[index]}/64 dev {end} nodad\n"
            ip_batch(lines, namespace.name)
        for namespace, devices in (
            (dom0, (VIF, UPLINK, BRIDGE)),
            (guest, (GUEST_END,)),
            (client, (CLIENT_END,)),
        ):
            wait_until(
                partial(_running, namespace, *devices), f"{devices} running in {namespace.name}"
            )
        yield Bed(dom0, guest, client)
