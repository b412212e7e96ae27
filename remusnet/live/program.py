"""The program of a live run: as whom it runs, how it starts, and what became of it."""

from __future__ import annotations

import errno
import json
import os
import pwd
import shutil
import signal
import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from remusnet.errors import Conflict, InvalidInput, RemusnetError, quoted
from remusnet.live.namespaces import die_with_parent, leave_network, network_of

_ERRNO, _LENGTH = struct.Struct("=i"), struct.Struct("=Q")
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126


class NotStarted(RemusnetError):
    """The program could not be started; the exit code is a shell's for it (126, 127)."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Account:
    """As whom the program runs. ``why``: half a sentence for a person."""

    name: str
    user: int
    group: int
    groups: tuple[int, ...]
    home: str
    why: str


def account_of(wanted: str | None, environment: Mapping[str, str], *, rootless: bool) -> Account:
    """``wanted`` (a name or a number), else who has called sudo, else who this is.

    Raises InvalidInput for nobody's name, and for another user where this one isn't root.
    """
    own = os.geteuid()
    if rootless:
        if wanted is not None and wanted not in (str(own), _name_of(own)):
            raise InvalidInput("--user: only root can run a program as somebody else")
        name = _name_of(own)
        home = environment.get("HOME", "/")
        return Account(name, 0, 0, (), home, f"{name}, who is root in its own namespace")
    why = "--user"
    if wanted is None:
        caller = environment.get("SUDO_UID", "")
        wanted, why = (caller, "who has called sudo") if caller.isdecimal() else (str(own), "")
    try:
        entry = pwd.getpwuid(int(wanted)) if wanted.isdecimal() else pwd.getpwnam(wanted)
    except (KeyError, OverflowError):
        raise InvalidInput(f"no such user: {quoted(wanted)}") from None
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    if not why:
        why = "nobody has called sudo; --user names another" if not entry.pw_uid else "who called"
    return Account(
        entry.pw_name, entry.pw_uid, entry.pw_gid, groups, entry.pw_dir, f"{entry.pw_name}: {why}"
    )


def _name_of(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def find_program(command: Sequence[str]) -> None:
    """Raises NotStarted where there is no such program: before anything is made for it."""
    name = command[0]
    if shutil.which(name) is not None:
        return
    if "/" in name and os.path.isdir(name):
        raise NotStarted(f"{quoted(name)} is a folder, not a program", _NOT_EXECUTABLE)
    if "/" in name and os.path.exists(name):
        raise NotStarted(f"{quoted(name)} is not executable: chmod +x it", _NOT_EXECUTABLE)
    raise NotStarted(f"no such program: {quoted(name)}", _NOT_FOUND)


class Program:
    """A child of this process that waits in a network namespace of its own for `go`.

    ``join`` is called in it first. Raises NotPermitted.
    """

    def __init__(self, account: Account, join: Callable[[], None], terminal: int | None) -> None:
        self._account = account
        self._terminal = terminal
        self.code: int | None = None
        """What it has ended with, as a shell says it; None while it runs."""
        ready, ready_end = os.pipe2(os.O_CLOEXEC)
        go_end, self._go = os.pipe2(os.O_CLOEXEC)
        self._failed, failed_end = os.pipe2(os.O_CLOEXEC)
        parent = os.getpid()
        self.process = os.fork()
        if not self.process:
            os.close(ready)
            os.close(self._go)
            self._be(join, ready_end, go_end, failed_end, parent)
        os.close(ready_end)
        os.close(failed_end)
        os.close(go_end)
        answer = os.read(ready, 4096)
        os.close(ready)
        if answer != b"ok":
            raise RemusnetError(f"the program's process could not be made: {answer.decode()}")
        self.network = network_of(self.process)

    def go(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Starts ``command``. Raises NotStarted."""
        content = json.dumps([list(command), dict(environment)]).encode()
        # With its length: other children of this process have the pipe's end, too.
        with suppress(BrokenPipeError), open(self._go, "wb") as pipe:
            pipe.write(_LENGTH.pack(len(content)) + content)
        with open(self._failed, "rb") as pipe:
            answer = pipe.read(_ERRNO.size)
        if not answer:
            return
        (number,) = _ERRNO.unpack(answer)
        name, text = quoted(command[0]), os.strerror(number)
        if number == errno.ENOENT:
            raise NotStarted(f"no such program: {name}", _NOT_FOUND)
        raise NotStarted(f"{name} could not be started as {self._account.name}: {text}", 126)

    def _be(self, join: Callable[[], None], ready: int, go: int, failed: int, parent: int) -> None:
        """The child's life until it is the program."""
        code = _NOT_EXECUTABLE
        try:
            os.setsid()
            try:
                join()
                leave_network()
            except (OSError, RemusnetError) as error:
                os.write(ready, str(error).encode() or b"?")
                return
            os.write(ready, b"ok")
            os.close(ready)
            with open(go, "rb") as pipe:
                head = pipe.read(_LENGTH.size)
                if not head:
                    return  # the runner has ended
                command, environment = json.loads(pipe.read(*_LENGTH.unpack(head)))
            self._become()
            die_with_parent(signal.SIGKILL, parent)
            try:
                os.execvpe(command[0], command, environment)
            except OSError as error:
                os.write(failed, _ERRNO.pack(error.errno or 0))
                if error.errno == errno.ENOENT:
                    code = _NOT_FOUND
        finally:
            os._exit(code)

    def _become(self) -> None:
        """Another user, with the signals and files that a program expects."""
        if self._terminal is not None:
            os.dup2(self._terminal, 1)
            os.dup2(self._terminal, 2)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        account = self._account
        if os.geteuid() == 0 and account.user != 0:
            os.setgroups(account.groups)
            os.setgid(account.group)
            os.setuid(account.user)

    def ended(self, status: int) -> None:
        """It has been waited for: ``status`` as of waitpid(2)."""
        code = os.waitstatus_to_exitcode(status)
        self.code = 128 - code if code < 0 else code


def environment_of(account: Account, given: Mapping[str, str], address: str) -> dict[str, str]:
    """What the program finds in its environment: the caller's, with its own names and address."""
    found = {
        name: value
        for name, value in given.items()
        if "\0" not in value and not name.startswith("SUDO_")
    }
    found["REMUSNET_ADDRESS"] = address
    if account.user or "SUDO_UID" in given:
        found |= {"HOME": account.home, "USER": account.name, "LOGNAME": account.name}
    return found


def daemonised(name: str, code: int) -> Conflict:
    """The error for a program that has ended, but has left processes behind."""
    return Conflict(
        f"{quoted(name)} ended (exit code {code}) and left processes behind: a live run needs its "
        "program in the foreground; most servers have an option for that (kamailio -DD, nginx -g "
        "'daemon off;')"
    )
