"""Other ways than remusnet's to make the kernel copy what netback received: to compare with.

usage: other_ways.py socket | xdp DEVICE
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import struct
import sys

ETH_P_ALL = 3
SO_ATTACH_FILTER = 26
REJECT = struct.pack("HBBI", 0x06, 0, 0, 0)
"""Classic BPF: ret 0, no byte of any frame."""

BPF_SYSCALL = 321
BPF_PROG_LOAD = 5
BPF_PROG_TYPE_XDP = 6
PASS = struct.pack("<BBhi", 0xB7, 0, 0, 2) + struct.pack("<BBhi", 0x95, 0, 0, 0)
"""eBPF: r0 = XDP_PASS; exit."""

RTM_SETLINK = 19
NLM_F_REQUEST_ACK = 5
IFLA_XDP, IFLA_XDP_FD, IFLA_XDP_FLAGS = 43 | 0x8000, 1, 3
XDP_FLAGS_SKB_MODE = 2


def hold_a_packet_socket(device: str) -> None:
    """Bound to ``device``, with a filter that rejects every frame, until it is killed."""
    program = ctypes.create_string_buffer(REJECT)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as taps:
        described = struct.pack("HL", 1, ctypes.addressof(program))
        taps.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, described)
        taps.bind((device, ETH_P_ALL))
        signal.pause()


def attach_generic_xdp(device: str) -> None:
    """A program on ``device`` that passes every frame; it stays when this process ends."""
    program, licence = ctypes.create_string_buffer(PASS), ctypes.create_string_buffer(b"MIT")
    told = struct.pack(
        "<IIQQ", BPF_PROG_TYPE_XDP, 2, ctypes.addressof(program), ctypes.addressof(licence)
    ).ljust(128, b"\0")
    libc = ctypes.CDLL(None, use_errno=True)
    loaded = libc.syscall(BPF_SYSCALL, BPF_PROG_LOAD, ctypes.create_string_buffer(told), len(told))
    if loaded < 0:
        raise OSError(ctypes.get_errno(), "bpf(BPF_PROG_LOAD)")
    body = struct.pack("<BxHiII", 0, 0, socket.if_nametoindex(device), 0, 0)
    nested = struct.pack("<HHi", 8, IFLA_XDP_FD, loaded)
    nested += struct.pack("<HHI", 8, IFLA_XDP_FLAGS, XDP_FLAGS_SKB_MODE)
    body += struct.pack("<HH", 4 + len(nested), IFLA_XDP) + nested
    header = struct.pack("<IHHII", 16 + len(body), RTM_SETLINK, NLM_F_REQUEST_ACK, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as route:
        route.send(header + body)
        (error,) = struct.unpack_from("<i", route.recv(4096), 16)
    if error:
        raise OSError(-error, f"RTM_SETLINK: {os.strerror(-error)}")


if __name__ == "__main__":
    way, device = sys.argv[1:]
    {"socket": hold_a_packet_socket, "xdp": attach_generic_xdp}[way](device)
