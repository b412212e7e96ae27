"""A kernel that panics before it runs anything: why, in one line."""

from __future__ import annotations

import re

_PANIC = re.compile(r"^.*Kernel panic - not syncing: (?P<why>.*)$")
# What is worth repeating of the lines before: the shim's, the loader's, and what ptrace refused.
_TELLING = re.compile(r"^xstate: |^ERROR: ld\.so|ptrace|^Failed to execute|^VFS: ")


def panic_line(console: str) -> str | None:
    """The panic on ``console`` and what led to it, in one line; none if there was no panic."""
    before: list[str] = []
    for line in console.replace("\r", "").splitlines():
        if (panic := _PANIC.match(line)) is not None:
            told = [f"the UML kernel panicked at its first process: {panic['why'].strip()}"]
            return "; ".join([*told, *before[-2:]])
        if _TELLING.search(line):
            before.append(line.strip())
    return None
