"""Frames a second from a guest through its vif and the bridge, with and without filters.

UDP that bypasses, in the network namespaces of the running kernel. The redirection of the stock
rules goes to an IFB without a plug, so that it costs what classification and the detour cost.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from remusnet.classify.filters import Classification
from remusnet.plan.build import CLASSIFIERS
from remusnet.plan.operations import AddFilter
from remusnet.policy.presets import STOCK_REMUS, TCP_ONLY
from scripts.benchmarks.ratio import Ratio
from tests.kernel.lab.bed import VIF, open_bed
from tests.kernel.lab.packets import stamped

FRAMES = 50_000
_IFB = "ifb0"
# IPv4, UDP from port 20000 to 30000, 172 bytes of RTP: G.711 with 20 ms a packet.
_RTP = bytes.fromhex(
    "feffffffffff 020000000001 0800450000c8 00004000 40110000 c000020a c00002144e207530 00b40000"
) + bytes.fromhex("8008").ljust(172, b"\x55")


@contextmanager
def ratios() -> Iterator[list[Ratio]]:
    """Each set of rules on a bed of its own, all beside one without rules."""
    # A veth's frames are handled on the sender's CPU: stay on one, and caches stay warm.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with ExitStack() as stack:
        bare = stack.enter_context(_sending())
        empty = stack.enter_context(_sending(Classification("", TCP_ONLY, (), ())))
        than = f"no rules, {FRAMES:,} frames"
        # What any filter costs at the least: the hook itself. No goal, for nothing can be below it.
        found = [Ratio("an ingress qdisc without filters", than, 0, empty, bare)]
        for what, classification, goal in (
            ("tcp-only, u32: UDP bypasses", CLASSIFIERS["u32"](TCP_ONLY), 0.95),
            ("tcp-only, bpf: UDP bypasses", CLASSIFIERS["bpf"](TCP_ONLY), 0.95),
            # The baseline to compare with: nobody promises anything of it.
            ("stock-remus: UDP by way of an IFB", CLASSIFIERS["u32"](STOCK_REMUS), 0),
        ):
            ours = stack.enter_context(_sending(classification))
            found.append(Ratio(what, than, goal, ours, bare))
        yield found


@contextmanager
def _sending(classification: Classification | None = None) -> Iterator[Callable[[], object]]:
    frames = [stamped(_RTP, number) for number in range(500)]
    with open_bed() as bed, bed.from_guest() as guest:
        if classification is not None:
            bed.add_ifb(_IFB)
            lines = [
                shlex.join(command.arguments)
                for each in classification.filters
                for command in AddFilter(VIF, _IFB, each).commands
            ]
            bed.dom0.tc(f"qdisc add dev {VIF} ingress")
            bed.dom0.run("tc", "-batch", "-", input_text="\n".join([*lines, ""]))
        yield partial(_send, guest.send, frames)


def _send(send: Callable[[list[bytes]], int], frames: list[bytes]) -> None:
    for _ in range(FRAMES // len(frames)):
        send(frames)
