"""What can go wrong, named by what the user has to do about it.

Each error is one line for a person and one exit code for a script; ``remusnet.cli`` is the only
place that prints it. Light.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class RemusnetError(Exception):
    """Base of all errors that end in one line on stderr and an exit code."""

    exit_code = 1


class CheckFailed(RemusnetError):
    """A check or an assertion did not hold (exit code 1)."""

    exit_code = 1


class InvalidInput(RemusnetError):
    """Correct what you typed, or the file you named (exit code 2)."""

    exit_code = 2


class MissingDependency(RemusnetError):
    """Install or load something that this machine lacks (exit code 3)."""

    exit_code = 3


class NotPermitted(RemusnetError):
    """Run it with more rights (exit code 4)."""

    exit_code = 4


class Conflict(RemusnetError):
    """What would have to change belongs to another program or user (exit code 5)."""

    exit_code = 5


class KernelRefused(RemusnetError):
    """The kernel answered with an error (exit code 6)."""

    exit_code = 6


class Failed(RemusnetError):
    """Several things were to be done, and some of them failed: with the exit code of the worst."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


def quoted(text: str) -> str:
    """``text`` in quotes, with everything that could disturb a terminal or a log escaped.

    >>> quoted("vif1.0\\x1b[2J")
    "'vif1.0\\\\x1b[2J'"
    """
    return repr(text).encode("ascii", "backslashreplace").decode("ascii")


def suggestion(word: str, known: Iterable[str]) -> str:
    """``" (did you mean 'x'?)"`` where ``word`` is close to a known one, else an empty string."""
    import difflib  # here: few errors need it

    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
