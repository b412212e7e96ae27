"""Which eBPF programs see a device's frames before its tc filters do: tcx at ingress. Light.

From Linux 6.6 on, programs attached by tcx are asked first; one that says TCX_PASS lets a frame
through that no filter has seen (net/core/dev.c, sch_handle_ingress). They are no qdiscs and no
filters: only bpf(2) tells. XDP programs come before them, and show in the device's own dump.

Layouts: linux/bpf.h, ``union bpf_attr`` and ``struct bpf_prog_info``.
"""

from __future__ import annotations

import errno
import os
from struct import Struct, calcsize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_PROG_QUERY, _GET_FD_BY_ID, _INFO_BY_FD = 16, 13, 15
_TCX_INGRESS = 46
_FIRST_WITH_TCX = (6, 6)
_LOOPBACK = 1  # the number of lo in each network namespace
_MOST = 64  # BPF_MPROG_MAX (linux/bpf_mprog.h)
_SYSCALLS = {"x86_64": 321, "ppc64": 361, "ppc64le": 361, "s390x": 351}
_SYSCALL: list[Callable[..., int]] = []
_ELSEWHERE = 280  # asm-generic/unistd.h: aarch64, riscv64, loongarch64

_QUERY = Struct("=IIIIQI4xQQQQ")  # device, type, flags (2), numbers, count; flags, links, revision
_UINT, _COUNT_AT = Struct("=I"), 24
_BY_ID = Struct("=III")  # number, next, flags
_ABOUT = Struct("=IIQ")  # descriptor, size, where
_INFO_SIZE, _NAME_AT, _NAME_SIZE = 80, 64, 16


def may_have_tcx(release: str | None = None) -> bool:
    """Whether the running kernel (``release``) is one from which on there is tcx."""
    numbers = (release or os.uname().release).split("-")[0].split(".")
    try:
        return (int(numbers[0]), int(numbers[1])) >= _FIRST_WITH_TCX
    except (ValueError, IndexError):
        return True  # asking does no harm


def tcx_programs(device: int) -> tuple[int, ...] | None:
    """The numbers of the programs at the ingress of the device of that number, the first asked
    first; none where the kernel has no tcx or no such device. None: it does not tell us.
    """
    if not may_have_tcx():
        return ()
    import ctypes

    numbers = (ctypes.c_uint32 * _MOST)()
    where = ctypes.addressof(numbers)
    query = bytearray(_QUERY.pack(device, _TCX_INGRESS, 0, 0, where, _MOST, 0, 0, 0, 0))
    _, number = _bpf(_PROG_QUERY, query)
    if number:
        return () if number in (errno.EINVAL, errno.ENODEV) else None
    (count,) = _UINT.unpack_from(query, _COUNT_AT)
    return tuple(numbers[:count])


def tells_of_tcx() -> bool:
    """Whether the kernel would tell us of tcx programs, if there were any."""
    return tcx_programs(_LOOPBACK) is not None


def program_name(number: int) -> str:
    """The name of a program; empty where it has none, is gone, or we may not ask."""
    import ctypes

    descriptor, _ = _bpf(_GET_FD_BY_ID, bytearray(_BY_ID.pack(number, 0, 0)))
    if descriptor < 0:
        return ""
    try:
        info = ctypes.create_string_buffer(_INFO_SIZE)
        about = bytearray(_ABOUT.pack(descriptor, _INFO_SIZE, ctypes.addressof(info)))
        if _bpf(_INFO_BY_FD, about)[1]:
            return ""
        name = info.raw[_NAME_AT : _NAME_AT + _NAME_SIZE].partition(b"\0")[0]
        return name.decode("ascii", errors="replace")
    finally:
        os.close(descriptor)


def _bpf(command: int, attributes: bytearray) -> tuple[int, int]:
    """bpf(2): its result, and an errno, 0 for none. The kernel writes into ``attributes``."""
    import ctypes

    if calcsize("P") != 8:  # another table of system calls, and no Dom0
        return -1, errno.ENOSYS
    if not _SYSCALL:
        # Once: ctypes makes a class for each library that is opened.
        syscall = ctypes.CDLL(None, use_errno=True).syscall
        syscall.restype = ctypes.c_long
        _SYSCALL.append(syscall)
    shared = (ctypes.c_char * len(attributes)).from_buffer(attributes)
    number = _SYSCALLS.get(os.uname().machine, _ELSEWHERE)
    result = _SYSCALL[0](
        ctypes.c_long(number),
        ctypes.c_long(command),
        ctypes.byref(shared),
        ctypes.c_long(len(attributes)),
    )
    return int(result), ctypes.get_errno() if result < 0 else 0
