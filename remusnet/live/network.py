"""The devices of a live run, made by pyroute2.

    host             | "Dom0", a namespace without a name     | the program's namespace
    rnXXXXXXXX 10.77.0.1 == up0 -- br0 -- vif1.0 ============== eth0 10.77.0.2
                     |        hold0 (userspace plug: held frames go in and out again)
                     |        ifb-1.0 (kernel plug)

All but the first goes with the processes in those namespaces, and the first with its other end.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from remusnet.errors import Conflict, KernelRefused, MissingDependency, NotPermitted, quoted

VIF, BRIDGE, UPLINK, GUEST = "vif1.0", "br0", "up0", "eth0"
HELD, KEPT = "hold0", "keep0"
HOST_PREFIX = "rn"
GUEST_MAC, GATEWAY_MAC = "00:16:3e:4d:00:02", "00:16:3e:4d:00:01"  # 00:16:3e is Xen's
FIRST_SUBNET = IPv4Network("10.77.0.0/24")
_MOST_SUBNETS = 256
_QUEUE = 50_000
"""Frames that the TAP device keeps while the keeper is busy elsewhere."""
_FORWARDING = 3  # linux/if_bridge.h, BR_STATE_FORWARDING
_READY_S = 10.0
_IPV6_OFF = Path("/proc/sys/net/ipv6/conf/default/disable_ipv6")


def gateway_of(subnet: IPv4Network) -> IPv4Address:
    """The host's address on the way to the program: what it sees clients of the host come from."""
    return subnet[1]


def address_of(subnet: IPv4Network) -> IPv4Address:
    """The program's address."""
    return subnet[2]


@contextmanager
def _routes() -> Iterator[Any]:
    """pyroute2's socket, in this thread's namespace. Raises our errors in the place of its own."""
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    with IPRoute() as routes:
        try:
            yield routes
        except NetlinkError as error:
            code = error.code
            text = error.args[1] if len(error.args) > 1 else errno.errorcode.get(code, str(code))
            if code in (errno.EPERM, errno.EACCES):
                raise NotPermitted(
                    f"may not make network devices ({text}): run it as root"
                ) from error
            if code == errno.EOPNOTSUPP:
                raise MissingDependency(
                    f"this kernel lacks a network device that a live run needs ({text}): "
                    "modprobe veth bridge"
                ) from error
            raise KernelRefused(f"the kernel refused a network device: {text}") from error


def taken_networks() -> list[IPv4Network]:
    """The IPv4 networks that this namespace has a route or an address in, but the default."""
    found = []
    with _routes() as routes:
        for each in routes.get_routes(family=2):
            destination = dict(each["attrs"]).get("RTA_DST")
            if destination is not None and each["dst_len"]:
                found.append(IPv4Network(f"{destination}/{each['dst_len']}", strict=False))
        for each in routes.get_addr(family=2):
            address = dict(each["attrs"]).get("IFA_ADDRESS")
            if address is not None:
                found.append(IPv4Network(f"{address}/{each['prefixlen']}", strict=False))
    return [each for each in found if each.prefixlen]


def choose_subnet(wanted: IPv4Network | None, taken: list[IPv4Network]) -> IPv4Network:
    """``wanted``, or the first of 10.77.x.0/24 that none of ``taken`` overlaps. Raises Conflict."""
    if wanted is not None:
        other = next((each for each in taken if each.overlaps(wanted)), None)
        if other is not None:
            raise Conflict(
                f"subnet {wanted} is taken: this host has a route to {other}; give another "
                "with --subnet, or none and a free one is found"
            )
        return wanted
    start = int(FIRST_SUBNET.network_address)
    for number in range(_MOST_SUBNETS):
        subnet = IPv4Network((start + number * FIRST_SUBNET.num_addresses, FIRST_SUBNET.prefixlen))
        if not any(each.overlaps(subnet) for each in taken):
            return subnet
    raise Conflict("none of 10.77.0.0/24 to 10.77.255.0/24 is free here; give one with --subnet")


def quiet_ipv6() -> None:
    """Devices that are made in this namespace from now on send nothing of their own."""
    with suppress(OSError):  # a kernel without IPv6, or a container's read-only /proc
        _IPV6_OFF.write_text("1", encoding="ascii")


def make_uplink(host_name: str, process: int | None) -> None:
    """The pair between this namespace and that of ``process``; None: both ends are here."""
    peer: dict[str, object] = {"ifname": host_name}
    if process is not None:
        peer["net_ns_pid"] = process
    with _routes() as routes:
        routes.link("add", ifname=UPLINK, kind="veth", peer=peer)


def raise_host_end(host_name: str, subnet: IPv4Network, alias: str) -> None:
    """The host's end gets the gateway's address, its mark, and is up. In its own namespace."""
    with _routes() as routes:
        index = _index(routes, host_name)
        routes.link("set", index=index, address=GATEWAY_MAC, ifalias=alias)
        routes.addr("add", index=index, address=str(gateway_of(subnet)), prefixlen=subnet.prefixlen)
        routes.link("set", index=index, state="up")


def make_held() -> None:
    """A veth pair in the place of the TAP device: its other end is the keeper's."""
    with _routes() as routes:
        routes.link("add", ifname=HELD, kind="veth", peer=KEPT)
        routes.link("set", index=_index(routes, KEPT), state="up")


def make_dom0(guest_process: int, *, keep_in: bool) -> None:
    """The bridge, and the vif whose other end is in the namespace of ``guest_process``.

    ``keep_in``: the TAP device is there already, and becomes the way back of what was held: a port
    that learns nothing, that nothing is flooded to, and that can't reach the vif.
    """
    with _routes() as routes:
        loopback = _index(routes, "lo")
        routes.link("set", index=loopback, state="up")
        routes.link("add", ifname=BRIDGE, kind="bridge", br_mcast_snooping=0, br_forward_delay=0)
        bridge = _index(routes, BRIDGE)
        routes.link(
            "add",
            ifname=VIF,
            kind="veth",
            peer={"ifname": GUEST, "net_ns_pid": guest_process},
        )
        for name in (UPLINK, VIF, *((HELD,) if keep_in else ())):
            index = _index(routes, name)
            routes.link("set", index=index, master=bridge)
            if name == VIF:
                routes.brport("set", index=index, isolated=1)
            elif name == HELD:
                routes.link("set", index=index, txqlen=_QUEUE)
                routes.brport(
                    "set",
                    index=index,
                    isolated=1,
                    learning=0,
                    unicast_flood=0,
                    mcast_flood=0,
                    bcast_flood=0,
                )
            routes.link("set", index=index, state="up")
        routes.link("set", index=bridge, state="up")


def wait_until_forwarding(*, keep_in: bool) -> bool:
    """Wait until the bridge forwards from each of its ports; whether it does now.

    The kernel sees to that once both ends of a pair are up, at most once a second (linkwatch).
    Until then the bridge drops what comes, and what is to leave by such a port.
    """
    end = time.monotonic() + _READY_S
    wanted = {UPLINK, VIF, *((HELD,) if keep_in else ())}
    with _routes() as routes:
        while True:
            ready = {
                each.get_attr("IFLA_IFNAME")
                for each in routes.get_links()
                if each.get_nested("IFLA_LINKINFO", "IFLA_INFO_SLAVE_DATA", "IFLA_BRPORT_STATE")
                == _FORWARDING
                # Before linkwatch has looked at a pair's end, its port forwards, too.
                and (
                    each.get_attr("IFLA_OPERSTATE") == "UP" or each.get_attr("IFLA_IFNAME") == HELD
                )
            }
            if wanted <= ready:
                return True
            if time.monotonic() > end:
                return False
            time.sleep(0.002)


def own_addresses() -> list[IPv4Address]:
    """This namespace's IPv4 addresses, but those of the loopback."""
    with _routes() as routes:
        found = [dict(each["attrs"]).get("IFA_ADDRESS") for each in routes.get_addr(family=2)]
    addresses = [IPv4Address(each) for each in found if each is not None]
    return [each for each in addresses if not each.is_loopback]


def make_guest(subnet: IPv4Network, hosts: list[IPv4Address]) -> None:
    """The program's own end, with its address, and the way to the host's addresses, ``hosts``.

    Nothing else can be reached, and the kernel tells a program that tries at once: a name server
    that does not answer would keep it waiting. In the program's namespace.
    """
    with _routes() as routes:
        routes.link("set", index=_index(routes, "lo"), state="up")
        index = _index(routes, GUEST)
        routes.link("set", index=index, address=GUEST_MAC)
        routes.addr("add", index=index, address=str(address_of(subnet)), prefixlen=subnet.prefixlen)
        routes.link("set", index=index, state="up")
        gateway = str(gateway_of(subnet))
        for each in hosts:
            if each not in subnet:
                routes.route("add", dst=f"{each}/32", gateway=gateway)
        routes.route("add", dst="0.0.0.0/0", type="unreachable")


def set_vif(*, up: bool) -> None:
    """Raises the vif, or sets it down: then nothing reaches the program or comes from it."""
    with _routes() as routes:
        routes.link("set", index=_index(routes, VIF), state="up" if up else "down")


def missing_devices(*, keep_in: bool) -> list[str]:
    """The devices of this namespace that another program has deleted or set down."""
    with _routes() as routes:
        up = {
            dict(each["attrs"]).get("IFLA_IFNAME"): bool(each["flags"] & 1)
            for each in routes.get_links()
        }
    wanted = (BRIDGE, UPLINK, VIF, *((HELD,) if keep_in else ()))
    return [name for name in wanted if not up.get(name)]


def delete_host_end(host_name: str, alias: str) -> bool:
    """Deletes a device that a killed run has left, if the mark says so; whether it was there."""
    with _routes() as routes:
        for each in routes.get_links():
            attributes = dict(each["attrs"])
            if (attributes.get("IFLA_IFNAME"), attributes.get("IFLA_IFALIAS")) == (
                host_name,
                alias,
            ):
                with suppress(Exception):
                    routes.link("del", index=each["index"])
                return True
    return False


def _index(routes: Any, name: str) -> int:
    found: list[int] = routes.link_lookup(ifname=name)
    if not found:
        raise Conflict(f"{quoted(name)} is gone: somebody has deleted it")
    return found[0]
