"""A directory that doesn't outlive the process that made it, nor do the processes in it.

A process of its own (``guard.sh``) waits for us to end, by whatever signal: no process can clean up
after the SIGKILL that ends it.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

# An ordinary user's PATH often lacks the sbin directories.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

GUARD = Path(__file__).resolve().with_name("guard.sh")


class Guard:
    """Makes ``directory``, below ``parent`` and closed to others; leaving the context removes it.

    If this process ends before, the directory goes all the same, and each process that has it, or
    a folder in it, as its working directory. Raises OSError where the directory can't be made.
    """

    def __init__(self, parent: Path, prefix: str) -> None:
        # A session of its own: a Ctrl-C, or a kill of our process group, is not for the guard.
        self._process = subprocess.Popen(
            ["/bin/sh", str(GUARD), str(parent), prefix],
            env={"PATH": SYSTEM_PATH},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        said = b"" if self._process.stdout is None else self._process.stdout.readline()
        if not said:
            _, complaint = self._process.communicate()
            why = complaint.decode(errors="replace").strip() or "the guard has died"
            raise OSError(None, why, str(parent))
        self.directory = Path(said.decode().removesuffix("\n"))

    def close(self) -> None:
        """Nothing runs in the directory any more: it is removed when this returns."""
        self._process.communicate(b"ended\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
