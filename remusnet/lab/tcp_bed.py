"""Hosts inside a kernel whose TCP is real: a guest behind a vif, a network, and a client.

    guest -- hop -- vif1.0 [ br0 ] cl0 -- [ wire: br0 ] -- client
                 (ifb-1.0: where held frames wait)

Each of guest, hop, wire and client is a network namespace; the vif is in the first one. The hop
routes, which ends the charge to the guest's socket, as netback's copy does; where what is held
isn't copied there is none. Segmentation is TCP's own (offloads are off): a frame is a segment, as
in the emulator. Neighbours are known: no ARP is in the way. Nothing is imported that takes long in
a UML kernel.
"""

from __future__ import annotations

import array
import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from remusnet.lab.driving import VIF
from remusnet.lab.tcp_script import Terms, Wire

GUEST, HOP, WIRE, CLIENT = "guest", "hop", "wire", "client"
GUEST_ADDRESS, CLIENT_ADDRESS = "10.9.1.2", "10.9.0.3"
_GATEWAY, _HOP_ADDRESS = "10.9.1.1", "10.9.0.2"
_MACS = {"eth0@guest": "02:00:00:00:01:02", "g0@hop": "02:00:00:00:01:01"}
_MACS |= {"eth0@hop": "02:00:00:00:00:02", "eth0@client": "02:00:00:00:00:03"}
_SIOCETHTOOL, _OFFLOADS = 0x8946, (0x1F, 0x24, 0x2C)
"""ETHTOOL_STSO, ETHTOOL_SGSO and ETHTOOL_SGRO (linux/ethtool.h)."""
_HYSTART = Path("/sys/module/tcp_cubic/parameters/hystart")
_NO_END = 1_000_000
"""Frames: more than any window has."""

_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def within(namespace: str | None) -> Iterator[None]:
    """This thread is in ``namespace`` meanwhile; None is the first one. Sockets stay where they
    were made.
    """
    if namespace is None:
        yield
        return
    with Path("/proc/thread-self/ns/net").open("rb") as home:
        _enter(Path("/run/netns", namespace))
        try:
            yield
        finally:
            _enter(Path("/proc/self/fd", str(home.fileno())))


def _enter(path: Path) -> None:
    with path.open("rb") as there:
        if _libc.setns(there.fileno(), 0) != 0:
            raise OSError(ctypes.get_errno(), "setns", str(path))


def make_bed(terms: Terms) -> None:
    """All of it, up and without a frame of its own."""
    hop = (HOP,) if terms.decouple else ()
    names = (GUEST, WIRE, CLIENT, *hop)
    _ip(None, *(f"netns add {name}" for name in names))
    for name in (None, *names):
        with within(name):
            _quiet()
    near = [f"link add {VIF} type veth peer name eth0 netns {hop[0] if hop else GUEST}"]
    if hop:
        near.append(f"link add g0 netns {HOP} type veth peer name eth0 netns {GUEST}")
    _ip(
        None,
        *near,
        f"link add cl0 type veth peer name w0 netns {WIRE}",
        f"link add w1 netns {WIRE} type veth peer name eth0 netns {CLIENT}",
    )
    for name in (None, *names):
        with within(name):
            _without_offloads()
    _bridge(None, VIF, "cl0")
    _bridge(WIRE, "w0", "w1")
    _address(terms, routed=bool(hop))
    _network(terms.wire)
    for name, host in ((GUEST, terms.guest), (CLIENT, terms.peer)):
        with within(name):
            # A peer's round trips that one connection remembers for the next.
            for key, value in {"tcp_no_metrics_save": "1", **host.sysctls}.items():
                Path("/proc/sys/net/ipv4", key).write_text(value, encoding="ascii")
    _HYSTART.write_text("1" if terms.hystart else "0", encoding="ascii")
    # The kernel sees in its own time that both ends of a pair are up, and drops frames till then.
    time.sleep(1)


def plugged(namespace: str | None, device: str) -> None:
    """A plug at ``device``: what stops for a while there."""
    _tc(namespace, f"qdisc add dev {device} root plug limit {1 << 30}")


def _quiet() -> None:
    for which in ("all", "default"):
        path = Path(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6")
        if path.exists():
            path.write_text("1", encoding="ascii")


def _without_offloads() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        for _, device in socket.if_nameindex():
            if device == "lo":
                continue
            for command in _OFFLOADS:
                value = array.array("B", struct.pack("II", command, 0))
                request = struct.pack("16sP", device.encode(), value.buffer_info()[0])
                fcntl.ioctl(asker, _SIOCETHTOOL, request)


def _bridge(namespace: str | None, *ports: str) -> None:
    _ip(
        namespace,
        "link add br0 type bridge forward_delay 0 stp_state 0 mcast_snooping 0",
        "link set br0 up",
        *(f"link set {port} master br0" for port in ports),
        *(f"link set {port} up" for port in ports),
    )


def _address(terms: Terms, *, routed: bool) -> None:
    """Addresses, neighbours, and routes with what belongs to them."""
    hosts = (
        (GUEST, GUEST_ADDRESS, "10.9.0.0/24", _GATEWAY, "g0@hop", terms.guest),
        (CLIENT, CLIENT_ADDRESS, "10.9.1.0/24", _HOP_ADDRESS, "eth0@hop", terms.peer),
    )
    for (name, address, far, gateway, of, host), (other, beyond, *_) in zip(
        hosts, reversed(hosts), strict=True
    ):
        nearest, mac = (gateway, _MACS[of]) if routed else (beyond, _MACS[f"eth0@{other}"])
        _ip(
            name,
            "link set lo up",
            f"link set eth0 address {_MACS[f'eth0@{name}']}",
            f"addr add {address}/24 dev eth0",
            "link set eth0 up",
            f"neigh add {nearest} lladdr {mac} dev eth0 nud permanent",
            f"route add {far} {f'via {gateway}' if routed else 'dev eth0'} {host.route}",
        )
    if routed:
        _route_between()


def _route_between() -> None:
    ends = (
        ("g0", _GATEWAY, GUEST_ADDRESS, GUEST),
        ("eth0", _HOP_ADDRESS, CLIENT_ADDRESS, CLIENT),
    )
    for device, address, host, name in ends:
        _ip(
            HOP,
            f"link set {device} address {_MACS[f'{device}@hop']}",
            f"addr add {address}/24 dev {device}",
            f"link set {device} up",
            f"neigh add {host} lladdr {_MACS[f'eth0@{name}']} dev {device} nud permanent",
        )
    with within(HOP):
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1", encoding="ascii")


def _network(wire: Wire) -> None:
    """Delay and loss in the wire, the rate and its queue where frames come into it."""
    for device in ("w0", "w1"):
        netem = f"netem limit {_NO_END} delay {wire.delay_ns // 1000}us {wire.loss}"
        _tc(WIRE, f"qdisc add dev {device} root {netem}")
    if wire.rate is not None:
        queue = _NO_END if wire.queue is None else wire.queue
        for name, device in ((None, "cl0"), (CLIENT, "eth0")):
            _tc(
                name,
                f"qdisc add dev {device} root handle 1: tbf rate {wire.rate}bit burst 1600 "
                "limit 1000000000",
                f"qdisc add dev {device} parent 1:1 handle 2: pfifo limit {queue}",
            )


def _ip(namespace: str | None, *lines: str) -> None:
    _batch("ip", namespace, lines)


def _tc(namespace: str | None, *lines: str) -> None:
    _batch("tc", namespace, lines)


def _batch(program: str, namespace: str | None, lines: tuple[str, ...]) -> None:
    where = [] if namespace is None else ["-n", namespace]
    argv = [program, *where, "-batch", "-"]
    text = "".join(f"{line}\n" for line in lines)
    subprocess.run(argv, input=text, text=True, check=True, env={**os.environ, "LC_ALL": "C"})
