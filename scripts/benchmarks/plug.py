"""Operations on a plug, against the least that netlink takes, and against a ``tc`` process each.

Runs in a UML kernel, which has plugs everywhere: the times are UML's, the ratios are what counts.
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from remusnet.kernel.plug import Plug
from remusnet.kernel.wire.codec import plug_message
from remusnet.kernel.wire.messages import PlugAction
from scripts.benchmarks.ratio import Ratio

MESSAGES = 2_000
PROCESSES = 20
_DEVICE = "ifb0"


@contextmanager
def ratios() -> Iterator[list[Ratio]]:
    """BUFFER and RELEASE_ONE in turns on an empty plug, by each of the three ways."""
    for words in (
        f"ip link add {_DEVICE} numtxqueues 1 numrxqueues 1 type ifb",
        f"ip link set {_DEVICE} up",
        f"tc qdisc add dev {_DEVICE} root plug limit 1000000",
    ):
        subprocess.run(words.split(), check=True)
    with (
        TemporaryDirectory() as folder,
        Plug(_DEVICE, run_dir=Path(folder)) as plug,
        _bare() as bare,
    ):
        yield [
            Ratio(
                f"{MESSAGES:,} plug operations",
                "bare netlink messages",
                1 / 2,
                lambda: _drive(plug, MESSAGES),
                lambda: bare(MESSAGES),
            ),
            Ratio(
                f"{PROCESSES} plug operations",
                "a tc process each",
                50,
                lambda: _drive(plug, PROCESSES),
                lambda: _processes(PROCESSES),
            ),
        ]


def _drive(plug: Plug, count: int) -> None:
    for _ in range(count // 2):
        plug.buffer()
        plug.release()


@contextmanager
def _bare() -> Iterator[Callable[[int], None]]:
    """The same messages, encoded before, sent and their answers read: nothing else."""
    index = socket.if_nametoindex(_DEVICE)
    buffer = plug_message(index, PlugAction.BUFFER)
    release = plug_message(index, PlugAction.RELEASE_ONE)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.bind((0, 0))

        def run(count: int) -> None:
            for _ in range(count // 2):
                kernel.send(buffer)
                kernel.recv(4096)
                kernel.send(release)
                kernel.recv(4096)

        yield run


def _processes(count: int) -> None:
    for action in ["block", "release"] * (count // 2):
        subprocess.run(
            ["tc", "qdisc", "change", "dev", _DEVICE, "root", "plug", action], check=True
        )
