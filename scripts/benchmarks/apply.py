"""apply for many vifs, against the batch modes of ``ip`` and ``tc``, and a process a command.

Start-up is left out: the plan is made before, and Python runs already. Runs in a UML kernel.
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from remusnet.kernel.change.apply import apply
from remusnet.kernel.wire.netlink import Netlink
from remusnet.plan.plan import Plan, build_plan
from remusnet.plan.rows import Command
from remusnet.policy.presets import TCP_ONLY
from scripts.benchmarks.ratio import Ratio

MANY, FEW = 200, 5
RATE, INTERVAL_NS = 10**9, 200_000_000


@contextmanager
def ratios() -> Iterator[list[Ratio]]:
    """tcp-only by u32: about 40 operations a vif."""
    many = [f"vif{number}.0" for number in range(1, MANY + 1)]
    batch("ip", [f"link add {vif} type veth peer name g{vif}" for vif in many])
    # A kernel may load IPv6 with its first socket; until then addrgenmode is refused.
    socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close()
    plan, small = (
        build_plan(vifs, TCP_ONLY, rate=RATE, interval_ns=INTERVAL_NS)
        for vifs in (many, many[:FEW])
    )
    with TemporaryDirectory() as folder, Netlink() as netlink:

        def run(what: Plan) -> None:
            apply(what, rate=RATE, interval_ns=INTERVAL_NS, run_dir=Path(folder), netlink=netlink)

        def reset(what: Plan) -> None:
            batch("tc", [f"qdisc delete dev {vif} ingress" for vif in what.vifs])
            devices = [name for each in what.protections for name in (each.sink, each.buffer)]
            batch("ip", [f"link delete dev {each}" for each in devices])
            for receipt in Path(folder).rglob("*.json"):
                receipt.unlink()

        run(small)  # loads the modules, before anything is timed
        reset(small)
        yield [
            Ratio(
                f"apply, {MANY} vifs, {len(plan.operations):,} operations",
                "ip -batch and tc -batch",
                1 / 3,
                lambda: run(plan),
                lambda: batches(plan),
                lambda: reset(plan),
            ),
            Ratio(
                f"apply, {FEW} vifs, {len(small.operations):,} operations",
                "a process a command",
                20,
                lambda: run(small),
                lambda: _processes(small),
                lambda: reset(small),
            ),
        ]


def _commands(plan: Plan) -> list[Command]:
    return [command for operation in plan.operations for command in operation.commands]


def batches(plan: Plan) -> None:
    """What ``plan`` does, by ``ip -batch`` and then ``tc -batch``."""
    for program in ("ip", "tc"):
        lines = [" ".join(c.arguments) for c in _commands(plan) if c.program == program]
        batch(program, lines)


def batch(program: str, lines: list[str], *options: str) -> None:
    """Lines of ``ip`` or ``tc``; what they print with ``options`` is read and thrown away."""
    subprocess.run(
        [program, *options, "-batch", "-"],
        input="\n".join([*lines, ""]),
        stdout=subprocess.PIPE if options else None,
        text=True,
        check=True,
    )


def _processes(plan: Plan) -> None:
    for command in _commands(plan):
        subprocess.run([command.program, *command.arguments], check=not command.may_fail)
