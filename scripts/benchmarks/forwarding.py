"""Frames a second from a guest through its vif and the bridge, with and without filters.

UDP that bypasses, in the network namespaces of the running kernel, in two forms. From socket to
socket it goes the way of a call: through the stacks of guest and client. That is what the goal is
about. On the bare path it comes from a packet socket and ends at the client's device: there is no
stack, and no work either that a vif of Xen has and a veth has not. Nothing but the devices and the
bridge is left to compare with, so the ratio is the lowest that there can be.

The redirection of the stock rules goes to an IFB without a plug, so that it costs what
classification and the detour cost.
"""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import cycle

from remusnet.classify.filters import Classification
from remusnet.plan.operations import AddFilter
from remusnet.plan.plan import CLASSIFIERS
from remusnet.policy.presets import STOCK_REMUS, TCP_ONLY
from scripts.benchmarks.ratio import Ratio
from tests.kernel.lab.bed import IPV4, VIF, Bed, open_bed
from tests.kernel.lab.mmsg import Batch, Slots
from tests.kernel.lab.packets import stamped

FRAMES = 250
"""A turn: short, so that what disturbs one turn leaves its neighbours alone."""
TURNS = 500
BEDS = 4
"""Where its memory happens to lie makes one bed faster than another, by up to 2 %."""
GOAL = 0.95
_IFB = "ifb0"
_PORTS = (20000, 30000)
# G.711 with 20 ms a packet: RTP's version and type, and 172 bytes in all.
_RTP = bytes.fromhex("8008").ljust(172, b"\x55")
# IPv4 and UDP between the ports above.
_HEADERS = bytes.fromhex(
    "feffffffffff 020000000001 0800450000c8 00004000 40110000 c000020a c00002144e207530 00b40000"
)
Path = Callable[[ExitStack, Bed], Callable[[], object]]


@contextmanager
def ratios() -> Iterator[list[Ratio]]:
    """Each set of rules on beds of its own, all beside beds without rules."""
    # A veth's frames are handled on the sender's CPU: stay on one, and caches stay warm.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with ExitStack() as stack:
        found = []
        for way, path, goal in (
            ("socket to socket", _sockets, GOAL),
            # No goal: a BPF program of one instruction costs 6 % there.
            ("bare path", _bare_path, 0),
        ):
            without = _sending(stack, path, None)
            for what, classification, least in (
                # What any filter costs at the least: the hook itself.
                ("no filters", Classification("", TCP_ONLY, (), ()), 0),
                ("tcp-only, u32", CLASSIFIERS["u32"](TCP_ONLY), goal),
                ("tcp-only, bpf", CLASSIFIERS["bpf"](TCP_ONLY), goal),
                # The baseline to compare with: nobody promises anything of it.
                ("stock-remus", CLASSIFIERS["u32"](STOCK_REMUS), 0),
            ):
                ours = _sending(stack, path, classification)
                found.append(
                    Ratio(
                        f"UDP, {way}: {what}",
                        f"no ingress, {FRAMES} frames",
                        least,
                        ours,
                        without,
                        turns=TURNS,
                    )
                )
        yield found


def _sending(
    stack: ExitStack, path: Path, classification: Classification | None
) -> Callable[[], object]:
    """Sends `FRAMES`, each time on the next of `BEDS` new beds."""
    beds = cycle([_sending_on_one(stack, path, classification) for _ in range(BEDS)])

    def send() -> None:
        next(beds)()

    return send


def _sending_on_one(
    stack: ExitStack, path: Path, classification: Classification | None
) -> Callable[[], object]:
    bed = stack.enter_context(open_bed(addresses=True))
    if classification is not None:
        bed.add_ifb(_IFB)
        lines = [
            shlex.join(command.arguments)
            for each in classification.filters
            for command in AddFilter(VIF, _IFB, each).commands
        ]
        bed.dom0.tc(f"qdisc add dev {VIF} ingress")
        bed.dom0.run("tc", "-batch", "-", input_text="\n".join([*lines, ""]))
    return path(stack, bed)


def _bare_path(stack: ExitStack, bed: Bed) -> Callable[[], object]:
    guest = stack.enter_context(bed.from_guest())
    frames = [stamped(_HEADERS + _RTP, number) for number in range(FRAMES)]
    return partial(guest.send_batch, Batch(frames))


def _sockets(stack: ExitStack, bed: Bed) -> Callable[[], object]:
    ends = []
    for namespace, address, port in zip((bed.guest, bed.client), IPV4, _PORTS, strict=True):
        with namespace.entered():
            end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        stack.enter_context(end)
        end.bind((address, port))
        ends.append(end)
    guest, client = ends
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    client.settimeout(10)
    guest.connect((IPV4[1], _PORTS[1]))
    guest.send(_RTP)  # finds the client's link address
    client.recv(len(_RTP))
    return partial(_exchange, guest, client, Batch([_RTP] * FRAMES), Slots())


def _exchange(guest: socket.socket, client: socket.socket, batch: Batch, slots: Slots) -> None:
    batch.send(guest)
    arrived = slots.fill(client)
    assert arrived == FRAMES, f"{arrived} of {FRAMES} datagrams arrived"
