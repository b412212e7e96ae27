"""Which domains an ``xl remus`` is running for, by the command lines in /proc."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

# xl.1, remus: these take a value; xl's own options come before the command.
_WITH_VALUE = "iNs"


def remus_domains(proc: Path = Path("/proc")) -> dict[str, int]:
    """The domains, as each xl was told them (name, number or UUID), and the number of its process.

    Another program that uses libxl itself does not show here.
    """
    found = {}
    for folder in proc.glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
        except OSError:
            continue  # it has ended meanwhile
        domain = _domain(words)
        if domain is not None:
            found[domain] = int(folder.name)
    return found


def _domain(words: Sequence[str]) -> str | None:
    if not words or PurePath(words[0]).name != "xl" or "remus" not in words:
        return None
    return next(_positional(words[words.index("remus") + 1 :]), None)


def _positional(words: Sequence[str]) -> Iterator[str]:
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word.startswith("-") and len(word) > 1:
            # "-i 200" and "-Fbi 200", but "-i200" has its value in it.
            skip = any(word.endswith(each) for each in _WITH_VALUE) and not any(
                each in word[1:-1] for each in _WITH_VALUE
            )
        else:
            yield word
