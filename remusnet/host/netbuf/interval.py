"""How often the xl that started the script takes checkpoints: its ``-i``. Light.

libxl starts the script as a child of ``xl remus``. Only the script's own ancestors are asked, and
only one that is root's, or this user's, and runs a program called xl: no other user's command line
decides how much a plug may hold.
"""

from __future__ import annotations

import os

from remusnet.defaults import INTERVAL_NS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

BY_XL, BY_XLS_DEFAULT, BY_FILE, BY_DEFAULT = (
    "by xl remus -i",
    "xl's default",
    "by remusnet.toml",
    "by default",
)
"""Where an interval comes from, in the words of ``remusnet status``."""

_WITH_VALUE = "iNs"
_LONGEST_MS = 2**31 - 1
_MOST_ANCESTORS = 8
_LARGEST = 1 << 16


def xl_interval(proc: str = "/proc", pid: int | None = None) -> tuple[int, str]:
    """The interval in ns, and where it comes from; 0 where no ancestor of ``pid`` is an xl remus.

    ``pid``: this process, if not given.
    """
    number = os.getpid() if pid is None else pid
    try:
        for _ in range(_MOST_ANCESTORS):
            number = _parent(f"{proc}/{number}")
            if number <= 1:
                break
            if _is_xl(f"{proc}/{number}"):
                return _interval(_words(f"{proc}/{number}"))
    except (OSError, ValueError, LookupError):
        pass  # it has ended meanwhile
    return 0, ""


def _interval(words: Sequence[str]) -> tuple[int, str]:
    if "remus" not in words:
        return 0, ""
    value = read_option(words[words.index("remus") + 1 :])
    if value is None:
        return INTERVAL_NS, BY_XLS_DEFAULT
    if not value.isascii() or not value.isdecimal() or not 0 < int(value) <= _LONGEST_MS:
        return 0, ""
    return int(value) * 1_000_000, BY_XL


def read_option(words: Sequence[str]) -> str | None:
    """The last value of ``-i`` in the words after ``remus``, as getopt(3) reads them."""
    found = None
    at = 0
    while at < len(words) and words[at] != "--":
        word = words[at]
        at += 1
        if len(word) < 2 or word[0] != "-":
            continue
        for place, letter in enumerate(word[1:], start=2):
            if letter in _WITH_VALUE:
                value = word[place:]
                if not value:
                    value = words[at] if at < len(words) else ""
                    at += 1
                if letter == "i":
                    found = value
                break
    return found


def _is_xl(folder: str) -> bool:
    program = os.readlink(f"{folder}/exe").removesuffix(" (deleted)")
    return program.rpartition("/")[2] == "xl" and os.stat(folder).st_uid in (0, os.geteuid())


def _parent(folder: str) -> int:
    # proc(5): the name, in brackets, may have any characters, and stands before the rest.
    return int(_read(f"{folder}/stat").rpartition(b")")[2].split()[1])


def _words(folder: str) -> list[str]:
    return _read(f"{folder}/cmdline").decode(errors="replace").split("\0")[:-1]


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(_LARGEST)
