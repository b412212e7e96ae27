"""Fresh namespaces of the running kernel as a lab: fast, but with that kernel's features only.

Network, mount and process namespaces are new, for an ordinary user the user namespace too. Whatever
a job leaves behind is gone when it ends. The host's disk is not protected from root.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from remusnet.lab.account import Account
from remusnet.lab.errors import LabUnavailable
from remusnet.lab.runs import Job, Run

_INIT = Path(__file__).resolve().with_name("init-netns.sh")


def unshare_command() -> list[str]:
    """The command that enters the namespaces, for what the caller is."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    spaces = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return ["unshare", *user, *spaces]


@dataclass(frozen=True, slots=True)
class Netns:
    """Namespaces of the running kernel.

    Raises ``LabUnavailable`` when it's made where the caller may not make them.
    """

    account: Account | None = None

    def __post_init__(self) -> None:
        attempt = subprocess.run(
            [*unshare_command(), "true"], capture_output=True, text=True, check=False
        )
        if attempt.returncode != 0:
            raise LabUnavailable(
                f"no namespaces of the running kernel ({attempt.stderr.strip()}): run this as root"
            )

    def start(self, job: Job) -> Run:
        """Start ``job`` in new namespaces."""
        run = Run.prepare(job, None, _INIT)
        try:
            init = str(run.directory / _INIT.name)
            run.begin([*unshare_command(), "sh", init], {"LAB_JOB": str(run.directory)}, None)
        except BaseException:
            run.__exit__(None, None, None)
            raise
        return run
