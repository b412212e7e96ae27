"""Datagrams dropped by their source in the kernel, before the server is woken for them.

Classic BPF on the server's own sockets (SO_ATTACH_FILTER, linux/filter.h), which needs no rights.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Sequence
from ipaddress import IPv6Network, ip_network

# asm-generic/socket.h; Python has no names for them.
_SO_ATTACH_FILTER = 26
_SO_DETACH_FILTER = 27
_SO_MEMINFO = 55
_DROPS = 8  # sock_diag.h, SK_MEMINFO_DROPS: what a filter, or a full buffer, has cost
_NETWORK_HEADER = 0xFFF00000  # SKF_NET_OFF: a UDP socket's filter begins behind it
_V4_SOURCE = _NETWORK_HEADER + 12
_V6_SOURCE = _NETWORK_HEADER + 8
_LOAD, _EQUAL, _RETURN = (
    0x20,
    0x15,
    0x06,
)  # of words: BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JEQ, BPF_RET
_ALL = 0xFFFFFFFF
# What net.core.optmem_max leaves room for by default (20 KB, at 8 bytes an instruction), and more.
MOST = 400

Instruction = tuple[int, int, int, int]


def program(sources: Sequence[str], *, v6: bool) -> list[Instruction]:
    """Drop what comes from ``sources``: IPv4 addresses, or IPv6 networks of /64; take the rest."""
    made: list[Instruction] = [] if v6 else [(_LOAD, 0, 0, _V4_SOURCE)]
    for source in sources:
        network = ip_network(source)
        if isinstance(network, IPv6Network) is not v6:
            continue
        if v6:
            high, low = struct.unpack("!II", network.network_address.packed[:8])
            made += [
                (_LOAD, 0, 0, _V6_SOURCE),
                (_EQUAL, 0, 3, high),
                (_LOAD, 0, 0, _V6_SOURCE + 4),
                (_EQUAL, 0, 1, low),
                (_RETURN, 0, 0, 0),
            ]
        else:
            made += [(_EQUAL, 0, 1, int(network.network_address)), (_RETURN, 0, 0, 0)]
    return [*made, (_RETURN, 0, 0, _ALL)]


def drop(bound: socket.socket, sources: Sequence[str]) -> None:
    """Let ``bound`` hear nothing of ``sources`` any more, and everything else.

    Of more than `MOST` only the last are dropped in the kernel. Raises OSError where it refuses.
    """
    v6 = bound.family == socket.AF_INET6
    fitting = [source for source in sources if (":" in source) is v6][-MOST:]
    if not fitting:
        try:
            bound.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
        except FileNotFoundError:
            return  # there is none
        return
    instructions = program(fitting, v6=v6)
    code = b"".join(struct.pack("=HBBI", *each) for each in instructions)
    buffer = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog: how many, and where they are.
    fields = struct.pack("@HP", len(instructions), ctypes.addressof(buffer))
    bound.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fields)


def dropped(bound: socket.socket) -> int:
    """How many datagrams the kernel has dropped: by the filter, or for want of room."""
    try:
        words = bound.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 64)
    except OSError:
        return 0  # before Linux 4.12
    numbers = memoryview(words).cast("I")
    return numbers[_DROPS] if len(numbers) > _DROPS else 0
