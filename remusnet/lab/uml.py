"""A User-Mode Linux kernel as a lab: a whole kernel in an ordinary process, no root, no KVM.

Inside, a job is root over the host's root directory, mounted read-only through hostfs. On the host
it is an ordinary account, so what the job may read and (in the directories given to it) write is
what that account may.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from remusnet.lab.account import Account, ordinary_account
from remusnet.lab.errors import LabUnavailable
from remusnet.lab.kernel import Kernel, find_kernel
from remusnet.lab.runs import HERE, Job, Result, Run

# UML maps its memory from a file there, executable.
MEMORY_DIRECTORIES = ("/dev/shm", "/tmp", "/var/tmp")
_UNITS = {"M": 1 << 20, "G": 1 << 30}


# Time passes only while all wait, and costs nothing else. The date is always the same one.
_VIRTUAL = ("time-travel=inf-cpu", "time-travel-start=1700000000000000000")


def memory_bytes(text: str) -> int:
    """``"256M"`` in bytes; ``ValueError`` if it's anything but a number and M or G."""
    if text[-1:] not in _UNITS or not text[:-1].isdecimal():
        raise ValueError(f"{text!r} is not a size such as 256M or 1G")
    return int(text[:-1]) * _UNITS[text[-1]]


def memory_directory(size: int) -> str:
    """A directory that allows executable mappings and has ``size`` bytes free.

    Raises ``LabUnavailable`` if there is none.
    """
    for directory in MEMORY_DIRECTORIES:
        if not os.path.isdir(directory):
            continue
        state = os.statvfs(directory)
        if not state.f_flag & os.ST_NOEXEC and state.f_bavail * state.f_frsize > size:
            return directory
    raise LabUnavailable(
        f"none of {', '.join(MEMORY_DIRECTORIES)} allows execution and has {size >> 20} MiB free"
    )


@dataclass(frozen=True, slots=True)
class Uml:
    """UML kernels with ``memory`` each (128M to 256M is right; 48M hangs at boot).

    Raises ``LabUnavailable`` when it's made on a machine that can't have one.
    """

    memory: str = "256M"
    kernel: Kernel = field(default_factory=find_kernel)
    account: Account = field(default_factory=ordinary_account)

    def start(self, job: Job, *, terminal: int | None = None) -> Run:
        """Boot a kernel for ``job``; power is off when it ends.

        ``terminal``: the descriptor of one, to be the kernel's console.
        """
        tmpdir = memory_directory(memory_bytes(self.memory))
        run = Run.prepare(job, self.account, HERE / "init-uml.sh", HERE / "modprobe.sh")
        try:
            self._lay_out(run.directory, job)
            environment = {"TMPDIR": tmpdir, **self._preload(run.directory)}
            run.begin(
                self._command(run.directory, "fd:0,fd:1" if terminal is not None else "null,fd:1"),
                environment,
                self.account,
                terminal,
            )
        except BaseException:
            run.__exit__(None, None, None)
            raise
        return run

    def run(
        self,
        command: Sequence[str] | str,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path = Path("/"),
        writable: Sequence[Path] = (),
        timeout: float = 60,
    ) -> Result:
        """Run a command (a string: a shell script that stops at its first error) in a new kernel.

        Raises ``LabDied`` with the end of the console if the kernel panics or time is up.
        """
        argv = ["sh", "-euc", command] if isinstance(command, str) else command
        with self.start(Job(argv, env or {}, cwd, writable)) as run:
            return run.wait(timeout)

    def _lay_out(self, directory: Path, job: Job) -> None:
        """What ``init-uml.sh`` and ``modprobe.sh`` expect beside the job."""
        for name in ("bin", "kmod", "tree/lib", "uml"):
            (directory / name).mkdir(parents=True)
        (directory / "modprobe.sh").rename(directory / "bin/modprobe")
        (directory / "kmod/modprobe").symlink_to(self.kernel.modprobe)
        (directory / "tree/lib/modules").symlink_to(self.kernel.modules)
        mounts = [
            "sysfs /sys sysfs defaults 0 0",
            "tmpfs /run tmpfs mode=755 0 0",
            "tmpfs /dev/shm tmpfs X-mount.mkdir 0 0",
            "devpts /dev/pts devpts X-mount.mkdir,mode=620,ptmxmode=666 0 0",
        ]
        # After /run: a directory below it has to be seen again.
        shared = (directory, *(path.resolve() for path in job.writable))
        mounts += [f"none {p} hostfs X-mount.mkdir,rw,{_mountable(p)} 0 0" for p in shared]
        (directory / "fstab").write_text("\n".join([*mounts, ""]), encoding="utf-8")

    def _preload(self, directory: Path) -> dict[str, str]:
        """The loader's list, by links: what the list separates may be part of a path."""
        names = []
        for number, library in enumerate(self.kernel.preload):
            names.append(f"./preload{number}.so")
            (directory / names[-1]).symlink_to(library)
        return {"LD_PRELOAD": ":".join(names)} if names else {}

    def _command(self, directory: Path, console: str) -> list[str]:
        return [
            str(self.kernel.linux),
            f"mem={self.memory}",
            "root=/dev/root",
            "rootfstype=hostfs",
            "rootflags=/",
            "ro",
            "con=null",
            f"con0={console}",
            "quiet",
            "loglevel=4",
            # Without it a ~/.uml appears.
            f"uml_dir={directory / 'uml'}",
            "random.trust_cpu=1",
            # A kernel that has stumbled proves nothing any more.
            "oops=panic",
            # They measure which checksum is fastest, for RAID: 0.3 s of each boot.
            "initcall_blacklist=raid6_select_algo,calibrate_xor_blocks",
            f"init={directory / 'init-uml.sh'}",
            # Where the drivers are built in, they come with these; as modules they have options.
            "ifb.numifbs=0",
            "dummy.numdummies=0",
            *(_VIRTUAL if self.kernel.virtual else ()),
            # What the kernel doesn't know becomes the environment of init.
            f"LAB_JOB={directory}",
        ]


def _mountable(path: Path) -> Path:
    if any(letter.isspace() or letter in ',\\"' for letter in str(path)):
        raise LabUnavailable(
            f"can't share {str(path)!r} with a UML kernel: rename it without "
            "spaces, commas, quotes and backslashes"
        )
    return path
