"""What runs inside the kernel for a row: a guest, a client, and remusnet between them.

    guest -- hop -- vif1.0 [ dom0: br0 ] cl0 -- [ wire: br0 ] -- client
                 (ifb-1.0: where held frames wait)

Each name before a device is a namespace. The hop routes, which ends the charge to the guest's
socket, as netback's copy does; a row without a copy has none. The wire has the network's delay and
loss, its ends the rate and the queue. Segmentation is TCP's own (offloads are off): a frame is a
segment, as it is in the emulator.

    bed.py        in the directory $LAB_JOB, with `terms` beside it; prints JSON lines
"""

from __future__ import annotations

import array
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

Terms = dict[str, Any]

PLACE = Path(os.environ["LAB_JOB"])
GUEST, HOP, PEER = "10.9.1.2", "10.9.0.2", "10.9.0.3"
_REMUSNET = [sys.executable, "-m", "remusnet"]
_RUN_DIR = ["--run-dir", "/run/remusnet"]
_SIOCETHTOOL = 0x8946
_OFFLOADS = (0x1F, 0x24, 0x2C)
"""ETHTOOL_STSO, ETHTOOL_SGSO and ETHTOOL_SGRO (linux/ethtool.h)."""
_HYSTART = Path("/sys/module/tcp_cubic/parameters/hystart")
COUNTERS = {
    "Tcp: RetransSegs": "copies",
    "TcpExt: TCPTimeouts": "timeouts",
    "TcpExt: TCPLossProbes": "probes",
    "TcpExt: TCPHystartDelayDetect": "hystart",
    "TcpExt: TCPLossUndo": "undone",
}


def _inside(namespace: str, *argv: str) -> list[str]:
    return ["ip", "netns", "exec", namespace, *argv]


def _do(namespace: str, command: str) -> None:
    subprocess.run(_inside(namespace, *command.split()), check=True)


def _ip(namespace: str, *lines: str) -> None:
    """``ip`` commands at once."""
    subprocess.run(
        ["ip", "-n", namespace, "-batch", "-"], input="\n".join(lines), text=True, check=True
    )


def make(terms: Terms) -> None:
    """Namespaces, devices, addresses, network and settings of ``terms``."""
    coupled = terms["coupled"]
    names = ("guest", "dom0", "wire", "client") + (() if coupled else ("hop",))
    for name in names:
        subprocess.run(["ip", "netns", "add", name], check=True)
        _do(name, "sysctl -qw net.ipv6.conf.all.disable_ipv6=1")
        _ip(name, "link set lo up")
    pairs = [("cl0", "dom0", "w0", "wire"), ("w1", "wire", "eth0", "client")]
    if coupled:
        pairs += [("vif1.0", "dom0", "eth0", "guest")]
    else:
        pairs += [("eth0", "guest", "g0", "hop"), ("vif1.0", "dom0", "eth0", "hop")]
    for one, at, other, there in pairs:
        subprocess.run(
            f"ip link add {one} netns {at} type veth peer name {other} netns {there}".split(),
            check=True,
        )
        for device, name in ((one, at), (other, there)):
            subprocess.run(
                _inside(name, sys.executable, str(Path(__file__).resolve()), device), check=True
            )
    for name, ports in (("dom0", ("vif1.0", "cl0")), ("wire", ("w0", "w1"))):
        _ip(
            name,
            "link add br0 type bridge forward_delay 0 stp_state 0 mcast_snooping 0",
            "link set br0 up",
            *(f"link set {port} master br0" for port in ports),
            *(f"link set {port} up" for port in ports),
        )
    _address(coupled, f" initcwnd {terms['tcp'].get('initial-window', 10)}", terms["tcp"])
    _network(terms)
    for name in ("guest", "client"):
        # Else a connection begins with what an earlier one learned, and phases are not alike.
        for key, value in {"net.ipv4.tcp_no_metrics_save": "1", **terms["sysctls"]}.items():
            _do(name, f"sysctl -qw {key}={value}")
    _HYSTART.write_text(str(int(terms["tcp"].get("hystart", True))))


def _address(coupled: bool, initial: str, tcp: Terms) -> None:
    how = initial + ("" if tcp.get("delayed-ack", True) else " quickack 1")
    one = "dev eth0" if coupled else "via 10.9.1.1"
    other = "dev eth0" if coupled else f"via {HOP}"
    up = "link set eth0 up"
    _ip("guest", f"addr add {GUEST}/24 dev eth0", up, f"route add 10.9.0.0/24 {one}{how}")
    _ip("client", f"addr add {PEER}/24 dev eth0", up, f"route add 10.9.1.0/24 {other}{how}")
    if not coupled:
        _ip("hop", "addr add 10.9.1.1/24 dev g0", f"addr add {HOP}/24 dev eth0")
        _ip("hop", up, "link set g0 up")
        _do("hop", "sysctl -qw net.ipv4.ip_forward=1")


def _network(terms: Terms) -> None:
    loss = f" loss {terms['loss']}%" if terms["loss"] else ""
    for device in ("w0", "w1"):
        netem = f"netem delay {terms['delay_ms']}ms limit 1000000{loss}"
        _do("wire", f"tc qdisc add dev {device} root {netem}")
    if terms["rate"]:
        for name, device in (("dom0", "cl0"), ("client", "eth0")):
            tbf = f"root handle 1: tbf rate {terms['rate']} burst 1600 limit 1000000000"
            _do(name, f"tc qdisc add dev {device} {tbf}")
            fifo = f"parent 1:1 handle 2: pfifo limit {terms['queue']}"
            _do(name, f"tc qdisc add dev {device} {fifo}")


def protect(terms: Terms, stack: ExitStack) -> None:
    """The policy's rules on the vif, and checkpoints until ``stack`` closes."""
    Path("/run/remusnet").mkdir()
    policy = ["--policy", terms["policy"], *(["--no-decouple"] if terms["coupled"] else [])]
    apply = [*_REMUSNET, "apply", "vif1.0", "--limit", "100MB", "--force", *policy, *_RUN_DIR]
    subprocess.run(_inside("dom0", *apply), check=True, stdout=subprocess.DEVNULL)
    times = ["--interval", f"{terms['interval_ms']}ms", "--commit-delay", f"{terms['commit_ms']}ms"]
    driver = [*_REMUSNET, "checkpoint", "ifb-1.0", *times, *_RUN_DIR]
    _start("dom0", driver, stack, stdout=subprocess.DEVNULL)


def _start(
    namespace: str, argv: list[str], stack: ExitStack, **more: Any
) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(_inside(namespace, *argv), **more)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    return process


def counted() -> Iterator[tuple[str, str, int]]:
    """Side, name and number of what TCP counted there."""
    for name in ("guest", "client"):
        lines = ""
        for file in ("/proc/net/snmp", "/proc/net/netstat"):
            done = subprocess.run(
                _inside(name, "cat", file), capture_output=True, text=True, check=True
            )
            lines += done.stdout
        rows = lines.splitlines()
        for head, values in zip(rows[::2], rows[1::2], strict=True):
            group, *keys = head.split()
            for key, value in zip(keys, values.split()[1:], strict=True):
                if f"{group} {key}" in COUNTERS:
                    yield name, COUNTERS[f"{group} {key}"], int(value)


def main() -> None:
    """Make it, run the traffic, say what TCP counted."""
    text = (PLACE / "terms").read_text(encoding="utf-8")
    terms = json.loads(text)
    make(terms)
    traffic = [sys.executable, str(PLACE / "traffic.py")]
    with ExitStack() as stack:
        protect(terms, stack)
        time.sleep(3)
        server, client = ("guest", "client") if terms["asks"] == "peer" else ("client", "guest")
        _start(server, [*traffic, "serve", text], stack)
        time.sleep(2)
        address = GUEST if server == "guest" else PEER
        subprocess.run(_inside(client, *traffic, "ask", text, address), check=True)
        for side, name, number in counted():
            print(json.dumps({"side": side, "counter": name, "value": number}), flush=True)


def without_offloads(device: str) -> None:
    """Turns them off, as ``ethtool -K DEVICE tso off gso off gro off`` does."""
    with socket.socket() as control:
        for command in _OFFLOADS:
            value = array.array("B", struct.pack("II", command, 0))
            request = struct.pack("16sP", device.encode(), value.buffer_info()[0])
            fcntl.ioctl(control, _SIOCETHTOOL, request)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        without_offloads(sys.argv[1])
    else:
        main()
