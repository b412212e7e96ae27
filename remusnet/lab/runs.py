"""A job in a lab: start it, watch it, end it and everything it started.

A lab and its host share one directory. The host writes ``job`` (a shell script) there, the lab
writes ``stdout``, ``stderr`` and, when the job has ended, ``status``.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from remusnet.lab.account import Account
from remusnet.lab.errors import LabDied
from remusnet.lab.guard import SYSTEM_PATH, Guard
from remusnet.lab.panic import panic_line

HERE = Path(__file__).resolve().parent

_POLL_SECONDS = 0.02

TERMINAL = "terminal"
"""A file of this name among a job's: it runs on the kernel's console, not with files."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to run in a lab: ``argv``, in the directory ``cwd``, with ``env`` added to a bare one.

    ``writable`` names directories of the host that the job may write beside its own; ``files`` are
    to be found there, in ``$LAB_JOB``; a large one comes in parts.
    """

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path = Path("/")
    writable: Sequence[Path] = ()
    files: Mapping[str, str | bytes | Iterable[bytes]] = field(default_factory=dict)

    def script(self) -> str:
        """The job as a shell script."""
        environment = {
            "HOME": "/run/home",
            "TMPDIR": "/run/tmp",
            "LANG": "C.UTF-8",
            # What runs inside is the host's, often read-only, and shared with other Pythons.
            "PYTHONDONTWRITEBYTECODE": "1",
            **self.env,
        }
        # Programs that a lab brings along, such as modprobe, come first.
        path = f'export PATH="$LAB_JOB/bin:{SYSTEM_PATH}"'
        exports = (f"export {name}={shlex.quote(value)}" for name, value in environment.items())
        # exit: a directory that isn't there ends the job with the shell's message and status 2.
        enter = f"cd {shlex.quote(str(self.cwd))} || exit"
        return "\n".join([path, *exports, enter, f"exec {shlex.join(self.argv)}", ""])


def _parts(content: str | bytes | Iterable[bytes]) -> Iterable[bytes]:
    if isinstance(content, str):
        return (content.encode(),)
    return (content,) if isinstance(content, bytes) else content


@dataclass(frozen=True, slots=True)
class Result:
    """How a job ended: its exit status, what it wrote, and what its kernel wrote to the console."""

    status: int
    stdout: str
    stderr: str
    console: str


class Lab(Protocol):
    """Somewhere to run jobs."""

    @property
    def account(self) -> Account | None:
        """The account of the host that jobs have the rights of, if it isn't the caller's own."""

    def start(self, job: Job) -> Run:
        """Start a job; raises ``LabUnavailable`` if the lab can't be had on this machine."""


class Run:
    """A job under way. Leaving its context ends it and removes its directory.

    So does the end of this process, whatever ends it.
    """

    def __init__(self, guard: Guard) -> None:
        self.directory = guard.directory
        self._guard = guard
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def prepare(cls, job: Job, account: Account | None, *scripts: Path) -> Run:
        """A directory for ``job`` where ``account`` (none: the caller) can reach it.

        ``scripts`` (shell) are copied there, beside ``enter.sh``, which starts the job.
        """
        # A user's own TMPDIR may be closed to the account; the system's is not.
        parent = "/tmp" if account is not None and account.change else None
        run = cls(Guard(Path(parent or tempfile.gettempdir()), "remusnet-lab-"))
        try:
            for script in (HERE / "enter.sh", *scripts):
                shutil.copyfile(script, run.directory / script.name)
                (run.directory / script.name).chmod(0o755)
            for name, content in {**job.files, "job": job.script()}.items():
                with (run.directory / name).open("wb") as file:
                    file.writelines(_parts(content))
        except BaseException:
            run.__exit__(None, None, None)
            raise
        return run

    def begin(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        account: Account | None,
        terminal: int | None = None,
    ) -> None:
        """Start the lab's process as the head of its own session and process group.

        ``terminal``: a descriptor for its input and output, if they are not a file.
        """
        with (self.directory / "console").open("wb") as console:
            if account is not None and account.change:
                # Whatever the umask is, the account has to read what was laid out for it.
                for path in (self.directory, *self.directory.rglob("*")):
                    os.chown(path, account.uid, account.gid, follow_symlinks=False)
            self._process = subprocess.Popen(
                argv,
                cwd=self.directory,
                env={"PATH": SYSTEM_PATH, **env},
                stdin=subprocess.DEVNULL if terminal is None else terminal,
                stdout=console if terminal is None else terminal,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **(account.drop() if account is not None else {}),
            )

    def ended(self) -> bool:
        """Whether the lab's process has ended (it stays a zombie until ``stop``)."""
        if self._process is None or self._process.returncode is not None:
            return True
        options = os.WEXITED | os.WNOWAIT | os.WNOHANG
        return os.waitid(os.P_PID, self._process.pid, options) is not None

    def stop(self) -> None:
        """End the lab's whole process group: first politely, then surely."""
        if self._process is None or self._process.returncode is not None:
            return
        if not self.ended():
            os.killpg(self._process.pid, signal.SIGTERM)
            deadline = time.monotonic() + 5
            while not self.ended() and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
        # The zombie keeps the group's number from being given to another process until here.
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def read(self, name: str) -> str:
        """A file of the shared directory as text; empty if it isn't there."""
        try:
            return (self.directory / name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def wait(self, timeout: float | None, watch: Callable[[], None] = lambda: None) -> Result:
        """Wait for the job's end, calling ``watch`` meanwhile and once after it.

        Raises ``LabDied`` if the lab ended without a status of the job, or if ``timeout`` seconds
        (None: any number) passed (``TimeoutError`` is its cause).
        """
        begun = time.monotonic()
        while not self.ended():
            if timeout is not None and time.monotonic() - begun > timeout:
                self.stop()
                watch()
                late = TimeoutError(f"stopped after {timeout:g} s")
                raise LabDied(self.last_words(str(late))) from late
            watch()
            time.sleep(_POLL_SECONDS)
        self.stop()
        watch()
        status = self.read("status").strip()
        if not status:
            raise LabDied(self.last_words("the kernel ended before the job did"))
        return Result(int(status), self.read("stdout"), self.read("stderr"), self.read("console"))

    def last_words(self, why: str) -> str:
        """``why``, and the ends of what the console and the job showed.

        A kernel that panicked before the job began says it in one line: the rest of its console
        is a stack of addresses.
        """
        if not (self.directory / "stdout").exists():
            panic = panic_line(self.read("console"))
            if panic is not None:
                return panic
        parts = [why]
        for name in ("console", "stdout", "stderr"):
            tail = self.read(name).replace("\r", "").splitlines()[-40:]
            if tail:
                parts += [f"--- the end of its {name} ---", *tail]
        return "\n".join(parts)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._guard.close()


class Passed:
    """Passes on what a job writes, as it writes it, to our own standard output and error."""

    def __init__(self, run: Run) -> None:
        self._pairs = [(run.directory / name, fd) for name, fd in (("stdout", 1), ("stderr", 2))]
        self._offsets = [0, 0]

    def __call__(self) -> None:
        """Pass on what is new."""
        for index, (path, fd) in enumerate(self._pairs):
            if not path.exists():
                continue
            with path.open("rb") as file:
                file.seek(self._offsets[index])
                while data := file.read(1 << 16):
                    self._offsets[index] += len(data)
                    while data:
                        data = data[os.write(fd, data) :]
