"""Named network namespaces, entered by a thread or by a process."""

from __future__ import annotations

import ctypes
import os
import secrets
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyroute2 import IPRoute, netns

_CLONE_NEWNET = 0x40000000  # linux/sched.h
_LONGEST_S = 120  # of a command, also where a kernel is a process among others
_libc = ctypes.CDLL(None, use_errno=True)


def ip_batch(lines: str, namespace: str | None = None) -> None:
    """Run ``ip`` commands, one a line, in one process; the first failure raises."""
    where = [] if namespace is None else ["-n", namespace]
    _run(["ip", *where, "-batch", "-"], input_text=lines)


def _run(argv: Iterable[str], input_text: str = "") -> str:
    """A program's output; raises ``AssertionError`` with its own message if it fails."""
    argv = list(argv)
    done = subprocess.run(argv, input=input_text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.returncode}: {done.stderr.strip()}"
    return done.stdout


@dataclass(frozen=True, slots=True)
class Namespace:
    """A network namespace by its name in /run/netns."""

    name: str

    @contextmanager
    def entered(self) -> Iterator[None]:
        """This thread is in the namespace meanwhile; sockets opened in it stay there.

        /sys still shows the devices of the namespace that it was mounted in.
        """
        with open("/proc/thread-self/ns/net", "rb") as back:
            with Path("/run/netns", self.name).open("rb") as there:
                _setns(there.fileno())
            try:
                yield
            finally:
                _setns(back.fileno())

    @contextmanager
    def netlink(self) -> Iterator[IPRoute]:
        """rtnetlink in the namespace, by other code than remusnet's; this thread is in it, too."""
        with self.entered(), IPRoute() as found:
            yield found

    def run(self, *argv: str, input_text: str = "") -> str:
        """The output of a program in the namespace, with a /sys of its own; a failure raises."""
        return _run(["ip", "netns", "exec", self.name, *argv], input_text)

    def remusnet(
        self, *words: str, env: Mapping[str, str] | None = None, by: Iterable[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        """``remusnet`` with these words, as a user types them in the namespace; it may fail.

        ``env``: variables that differ from this process's; ``by``: a program that starts it.
        """
        return subprocess.run(
            ["ip", "netns", "exec", self.name, *by, sys.executable, "-m", "remusnet", *words],
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=_LONGEST_S,
        )

    def tc(self, command: str) -> str:
        """The output of ``tc`` with the words of ``command``; a failure raises."""
        return _run(["tc", "-n", self.name, *command.split()])

    def ip(self, command: str) -> str:
        """The output of ``ip`` with the words of ``command``; a failure raises."""
        return _run(["ip", "-n", self.name, *command.split()])


@contextmanager
def namespaces(*labels: str) -> Iterator[list[Namespace]]:
    """New namespaces with these labels in their names, removed with all that's in them."""
    made: list[Namespace] = []
    try:
        with open("/proc/thread-self/ns/net", "rb") as back:
            try:
                for label in labels:
                    _call("unshare", _CLONE_NEWNET)
                    name = f"{label}-{secrets.token_hex(4)}"
                    netns.attach(name, "thread-self")
                    made.append(Namespace(name))
            finally:
                _setns(back.fileno())
        yield made
    finally:
        for namespace in made:
            if Path("/run/netns", namespace.name).exists():
                netns.remove(namespace.name)


def _setns(descriptor: int) -> None:
    _call("setns", descriptor, _CLONE_NEWNET)


def _call(name: str, *arguments: int) -> None:
    """A call of libc that Python has from 3.12 on."""
    if _libc[name](*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
