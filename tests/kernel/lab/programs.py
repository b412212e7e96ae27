"""Tiny eBPF programs of somebody else's, attached where they see frames before tc filters do."""

from __future__ import annotations

import ctypes
import os
import socket
from struct import pack

from remusnet.kernel.wire.codec import RTM_SETLINK, attribute, link, message, nested
from remusnet.kernel.wire.netlink import Netlink

# linux/bpf.h, linux/if_link.h
_PROG_LOAD, _PROG_ATTACH = 5, 8
_SCHED_CLS, _XDP = 3, 6
_TCX_INGRESS, _TCX_PASS, _XDP_PASS = 46, 0, 2
_IFLA_XDP, _IFLA_XDP_FD, _IFLA_XDP_FLAGS, _XDP_FLAGS_SKB_MODE = 43, 1, 3, 2
_SYSCALL = {"x86_64": 321}.get(os.uname().machine, 280)
NAME = "passer"


def attach(hook: str, device: str) -> None:
    """Lets every frame of ``device`` pass at ``hook``: ``tcx``, or ``XDP`` in its generic form.

    The thread has to be in the device's namespace. The program goes with the device.
    """
    index = socket.if_nametoindex(device)
    program = _load(*((_SCHED_CLS, _TCX_PASS) if hook == "tcx" else (_XDP, _XDP_PASS)))
    try:
        if hook == "tcx":
            _bpf(_PROG_ATTACH, pack("=IIIIIIQ", index, program, _TCX_INGRESS, 0, 0, 0, 0))
            return
        flags = attribute(_IFLA_XDP_FLAGS, pack("=I", _XDP_FLAGS_SKB_MODE))
        what = nested(_IFLA_XDP, attribute(_IFLA_XDP_FD, pack("=i", program)), flags)
        with Netlink() as netlink:
            netlink.do(message(RTM_SETLINK, 0, link(index) + what), f"attach to {device}")
    finally:
        os.close(program)


def _load(kind: int, returned: int) -> int:
    """A program of two instructions: r0 = ``returned``; exit."""
    code = pack("=BBhiBBhi", 0xB7, 0, 0, returned, 0x95, 0, 0, 0)
    instructions = ctypes.create_string_buffer(code)
    licence = ctypes.create_string_buffer(b"GPL")
    where, what = ctypes.addressof(instructions), ctypes.addressof(licence)
    attributes = pack("=IIQQIIQII16s", kind, 2, where, what, 0, 0, 0, 0, 0, NAME.encode())
    return _bpf(_PROG_LOAD, attributes)


def _bpf(command: int, attributes: bytes) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    found: int = libc.syscall(_SYSCALL, command, buffer, len(attributes))
    if found < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return found
