"""Something to do in the lab's Dom0: a script goes in on a disk, files come out on another."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from tests.xen.lab.build import Lab, disks, install_remusnet
from tests.xen.lab.machine import Machine
from tests.xen.lab.places import CACHE


@dataclass(frozen=True)
class Done:
    """How a job ended: the script's exit status, the console's lines, and its /lab/out."""

    status: int
    said: list[str]
    out: Path


def pack(lab: Lab, disk: Path, files: Mapping[str, bytes]) -> None:
    """The archive that Dom0 unpacks at its root: remusnet, and ``files`` below /lab/job."""
    with tarfile.open(disk, "w") as archive:
        top = lab.root
        for place in sorted((top / "opt/remusnet").glob("lib/python3*/site-packages/remusnet*")):
            archive.add(place, str(place.relative_to(top)), filter=_as_roots)
        command = "opt/remusnet/bin/remusnet"
        archive.add(top / command, command, filter=_as_roots)
        for name, data in files.items():
            info = tarfile.TarInfo(f"lab/job/{name}")
            info.size, info.mode = len(data), 0o755
            archive.addfile(info, BytesIO(data))


def _as_roots(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """As pip leaves it in Dom0: `remusnet xen install` refuses what others can change."""
    info.uid = info.gid = 0
    info.uname = info.gname = "root"
    info.mode &= ~0o022
    return info


def run(
    lab: Lab,
    name: str,
    files: Mapping[str, bytes],
    out: Path,
    *,
    timeout: float = 600,
    say: Callable[[str], object] = len,
) -> Done:
    """Restore the lab, run ``files["run"]`` in its Dom0, and fetch what it left in /lab/out."""
    install_remusnet(lab)
    log = CACHE / f"{name}.log"
    log.unlink(missing_ok=True)
    said: list[str] = []

    def hear(line: str) -> None:
        said.append(line)
        say(line)

    with disks() as (job, results):
        size = job.stat().st_size
        pack(lab, job, files)
        with job.open("r+b") as disk:
            disk.truncate(size)
        with Machine(lab.images, (job, results), log, state=lab.state, say=hear) as machine:
            machine.order("job")
            status = int(machine.wait("LAB result", timeout))
            machine.wait("LAB done", 120)
        out.mkdir(parents=True, exist_ok=True)
        subprocess.run(["tar", "-x", "-f", results, "-C", out], check=True)
    shutil.copy2(log, out / "console.log")
    return Done(status, said, out)
