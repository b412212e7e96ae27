"""xenstore, through the command-line tools that Xen's own scripts use. Light.

Not through libxenstore or the daemon's socket: the tools know where the daemon is (a socket, or
``/dev/xen/xenbus`` where it is a domain of its own), and each distribution has them.
"""

from __future__ import annotations

import time

from remusnet.host.commands import LONGEST_SECONDS, NoSuchProgram, TookTooLong, run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from remusnet.errors import MissingDependency

_MOMENT = 1.0
# What xenstore_client.c says where a path is not there; every other failure is the daemon's.
_NO_SUCH_PATH = ("couldn't read path", "could not list path", "could not remove path")


class Xenstore:
    """The store of this host. ``longest``: seconds that each command may take; ``until``: when the
    last of them has to be over (time.monotonic), but for a moment that each one gets.

    All methods raise MissingDependency where there are no tools, or where they get no answer.
    """

    def __init__(self, longest: float = LONGEST_SECONDS, until: float = float("inf")) -> None:
        self._longest = longest
        self._until = until

    def read(self, *paths: str) -> list[str] | None:
        """The values of ``paths``; None where one of them is not there."""
        found = self._run("xenstore-read", *paths)
        # A value ends in a newline, and has none in it: the tool prints one as \n.
        return None if found is None else found.split("\n")[: len(paths)]

    def write(self, values: Mapping[str, str]) -> None:
        """Writes all ``values`` by their paths."""
        self._run("xenstore-write", *(each for pair in values.items() for each in pair))

    def children(self, path: str) -> list[str]:
        """The names below ``path``; none where it is not there."""
        found = self._run("xenstore-list", path)
        return [] if found is None else found.split()

    def remove(self, path: str, *, tidy: bool = False) -> None:
        """Removes ``path`` with all below it; ``tidy``: its parents too, where they are empty."""
        self._run("xenstore-rm", path, option="-t" if tidy else "")

    def _run(self, tool: str, *arguments: str, option: str = "") -> str | None:
        """What the tool prints; None where a path is not there."""
        options = (option,) if option else ()
        longest = min(self._longest, max(_MOMENT, self._until - time.monotonic()))
        try:
            # "--": a value may begin with a hyphen.
            status, out, said = run(tool, *options, "--", *arguments, longest=longest)
        except NoSuchProgram:
            mend = "on Debian: apt install xenstore-utils"
            raise _missing(f"{tool} is not installed", mend) from None
        except TookTooLong as error:
            raise _missing(str(error), "is xenstored running?") from None
        if status == 0:
            return out
        if any(each in said for each in _NO_SUCH_PATH):
            return None
        lines = said.strip().splitlines() or [f"exit status {status}"]
        raise _missing(f"{tool}: {lines[0]}", "is xenstored running, and are you root?")


def domain_path(domain: int, key: str) -> str:
    """Where ``key`` of a domain is: ``name``, or ``vm``, which leads to its UUID."""
    return f"/local/domain/{domain}/{key}"


def _missing(problem: str, hint: str) -> MissingDependency:
    from remusnet.errors import MissingDependency  # here: only a failure needs it

    return MissingDependency(f"no answer from xenstore: {problem}; {hint}")
