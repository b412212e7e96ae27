"""``python -m tests.xen.lab build | shell``: what `scripts/xen-lab` calls."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty

from tests.xen.lab.build import Lab, build, disks, install_remusnet
from tests.xen.lab.errors import LabDied, LabUnavailable
from tests.xen.lab.job import pack
from tests.xen.lab.machine import Machine
from tests.xen.lab.places import CACHE, JOB_DISK


def _shell(lab: Lab) -> None:
    """Dom0's console on this terminal, until the shell there ends."""
    install_remusnet(lab)
    with disks() as (job, out):
        pack(lab, job, {})
        with job.open("r+b") as disk:
            disk.truncate(JOB_DISK)
        with Machine(lab.images, (job, out), CACHE / "shell.log", state=lab.state) as machine:
            machine.order("shell")
            print("Dom0 of the lab; leave it with ^] (remusnet is in /opt/remusnet/bin)")
            terminal = sys.stdin.isatty()
            before = termios.tcgetattr(0) if terminal else None
            if terminal:
                tty.setraw(0)
            try:
                _converse(machine)
            finally:
                if before is not None:
                    termios.tcsetattr(0, termios.TCSADRAIN, before)


def _converse(machine: Machine) -> None:
    typed = [0]
    while True:
        ready, _, _ = select.select([machine.fileno(), *typed], [], [])
        if machine.fileno() in ready:
            data = machine.read()
            if not data:
                return
            os.write(1, data)
        if 0 in ready:
            data = os.read(0, 256)
            if b"\x1d" in data:
                return
            if not data:
                typed.clear()
            machine.type(data)


def main() -> int:
    """Build the lab; then a shell in it, if that is asked for."""
    try:
        lab = build(lambda line: print(line, file=sys.stderr, flush=True))
        if sys.argv[1] == "shell":
            _shell(lab)
    except LabUnavailable as error:
        print(f"scripts/xen-lab: {error}", file=sys.stderr)
        return 3
    except LabDied as error:
        print(f"scripts/xen-lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
