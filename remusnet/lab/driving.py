"""What every run in a kernel does: a policy's rules on a vif, orders to a plug, steps in time.

It is read in a UML kernel: nothing is imported that takes long there.
"""

from __future__ import annotations

import ctypes
import errno
import time
from pathlib import Path

from remusnet.kernel.change.apply import apply
from remusnet.plan.plan import build_plan
from remusnet.policy import Policy

VIF = "vif1.0"
_RATE, _INTERVAL_NS = 10**9, 200_000_000
"""What the receipt in the kernel says of where its limit comes from; the scenario has its own."""

_PR_SET_TIMERSLACK, _TIMER_ABSTIME = 29, 1
_S = 1_000_000_000
_LEAD_NS = _S // 5

_libc = ctypes.CDLL(None)


def protect(policy: str, classifier: str, *, decouple: bool = True) -> str:
    """Apply ``policy`` (TOML) to `VIF`; the buffer device's name, whose plug is open.

    The plug's limit comes later, from its driver: it may be less than `apply` allows.
    """
    plan = build_plan(
        [VIF],
        Policy.from_toml(policy),
        classifier=classifier,
        rate=_RATE,
        interval_ns=_INTERVAL_NS,
        decouple=decouple,
    )
    apply(plan, rate=_RATE, interval_ns=_INTERVAL_NS, run_dir=Path("/run/remusnet"))
    return plan.protections[0].buffer


def beginning() -> int:
    """A whole second soon, so that in virtual time each run is like the others; ns since 1970.

    From now on this thread, and those that it starts, sleep to the nanosecond.
    """
    _libc.prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    return (time.time_ns() + _LEAD_NS) // _S * _S + _S


def sleep_until(time_ns: int) -> None:
    """As time.sleep does, but in one system call, which is dear here; at once if it is past."""
    until = _Timespec(*divmod(time_ns, _S))
    sleep, where = _libc.clock_nanosleep, ctypes.byref(until)
    while sleep(time.CLOCK_REALTIME, _TIMER_ABSTIME, where, None) == errno.EINTR:
        pass


class _Timespec(ctypes.Structure):
    """``struct timespec``."""

    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))
