"""Which of Linux's mechanisms a TCP stack has on: the settings that an administrator can turn."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MS = 1_000_000
_TICK_NS = 600_000
"""When a host's clock of whole milliseconds ticks. Scenarios have their checkpoints at whole ones,
hosts don't; together, rounding would be the same way each time."""


def stamp_of(now_ns: int) -> int:
    """What a timestamp says (TCP_TS_HZ is 1,000); above 0, which stands for none."""
    return (now_ns + MS - _TICK_NS) // MS + 1


class Congestion(StrEnum):
    """``net.ipv4.tcp_congestion_control``."""

    CUBIC = "cubic"
    RENO = "reno"


@dataclass(frozen=True, slots=True)
class Stack:
    """One side's settings; each as Linux 6.1 has it by default.

    ``hystart``: the parameter of module tcp_cubic. ``slow_start_after_idle``, ``timestamps``,
    ``sack``, ``frto``: the sysctls of net.ipv4.tcp_. ``tail_loss_probe``:
    net.ipv4.tcp_early_retrans. ``autocorking``: net.ipv4.tcp_autocorking. ``nagle``: without
    TCP_NODELAY. ``delayed_ack``: without TCP_QUICKACK. ``initial_window``: segments (initcwnd of
    a route). ``rto_min_ns``: of a route; it bounds the variance, not the sum. ``tick_ns``: in which
    a kernel counts timeouts and idle times: Debian's has 250 a second, a UML kernel 100.
    """

    congestion: Congestion = Congestion.CUBIC
    hystart: bool = True
    slow_start_after_idle: bool = True
    timestamps: bool = True
    sack: bool = True
    frto: bool = True
    tail_loss_probe: bool = True
    nagle: bool = True
    autocorking: bool = True
    delayed_ack: bool = True
    initial_window: int = 10
    rto_min_ns: int = 200 * MS
    tick_ns: int = 4 * MS

    @property
    def mss(self) -> int:
        """Bytes of payload in a full segment of 1500 bytes; timestamps take 12."""
        return 1448 if self.timestamps else 1460


LINUX = Stack()
