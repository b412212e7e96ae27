"""A document whose commands are run: what to type, and what it is said to print.

A block counts where a comment stands before it:

    <!-- lab -->              commands behind "# ", each followed by what it prints, all of it
    <!-- lab: terminal -->    the same, in a terminal of its own: it goes on while the next ones run
    <!-- lab: until WORDS --> the same, typed again until the output has WORDS in it
    <!-- lab: file PATH -->   what the fenced block holds is in that file
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

_BLOCK = re.compile(
    r"^<!-- lab(?:: (?P<how>.*?))? -->\n\n"
    r"(?:```\w*\n(?P<fenced>.*?)```\n|(?P<indented>(?:    [^\n]*\n|\n(?=    ))+))",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Command:
    """A command, the lines that it is said to print, and how it is run."""

    text: str
    shown: tuple[str, ...] = ()
    how: str = ""

    def script(self, number: int) -> str:
        """Bash that runs it in Dom0; its output goes to ``number``, its exit status beside."""
        told = f"run {number} {shlex.quote(self.how)} {shlex.quote(self.text)}"
        return f"echo {shlex.quote('# ' + self.text)}\n{told}\n"


@dataclass(frozen=True)
class File:
    """A file that the reader is told to write."""

    path: str
    content: str

    def script(self, _number: int) -> str:
        """Bash that writes it."""
        return f"cat >{shlex.quote(self.path)} <<'END OF FILE'\n{self.content}END OF FILE\n"


def steps(text: str) -> Iterator[Command | File]:
    """The steps of a Markdown document, in order."""
    for block in _BLOCK.finditer(text):
        how = block["how"] or ""
        if how.startswith("file "):
            yield File(how.removeprefix("file "), block["fenced"])
        else:
            yield from _commands(block["indented"], how)


def _commands(block: str, how: str) -> Iterator[Command]:
    lines = [line[4:].rstrip() for line in block.rstrip("\n").splitlines()]
    starts = [at for at, line in enumerate(lines) if line.startswith("# ")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        shown = lines[start + 1 : end]
        while shown and not shown[-1]:
            shown.pop()
        yield Command(lines[start][2:], tuple(shown), how)


def alike(printed: list[str], shown: tuple[str, ...]) -> bool:
    """Whether ``printed`` is what was shown, but for numbers; ``...`` stands for any lines."""
    wanted = "\n".join(r"(?:.*\n)*?.*" if line == "..." else _pattern(line) for line in shown)
    return re.fullmatch(wanted, "\n".join(line.rstrip() for line in printed)) is not None


_NUMBER = re.compile(r"\d+(?:\.\d+)?(?: ?(?:B|kB|MB)\b)?| +")
_STATE = re.compile(r"(?<= )[r-][b-][p-][s-][c-][d-](?= )")
"""Of a domain, as xl list shows it: whether one that runs has something to do is chance."""


def _pattern(line: str) -> str:
    """A regular expression for a line, with any numbers, sizes and widths of columns."""
    state = _STATE.search(line)
    if state:
        runs = r"[r-][b-]" + re.escape(state[0][2:])
        return _pattern(line[: state.start()]) + runs + _pattern(line[state.end() :])
    made, end = "", 0
    for found in _NUMBER.finditer(line):
        made += re.escape(line[end : found.start()])
        made += r" +" if found[0].isspace() else r"\d+(?:\.\d+)?(?: ?(?:B|kB|MB)\b)?"
        end = found.end()
    return made + re.escape(line[end:])
