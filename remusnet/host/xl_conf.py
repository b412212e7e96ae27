"""The line of xl.conf that makes a netbuf script the default, put in and taken out again.

xl.conf(5): ``remus.default.netbufscript="PATH"``. The line that was there before stays as a
comment, and comes back byte for byte.
"""

from __future__ import annotations

import re

_OURS = '# Added by "remusnet xen install --default"; "remusnet xen uninstall" takes it out.\n'
_KEPT = "#remusnet-kept# "
_NO_NEWLINE = "#remusnet-kept-end#\n"
_SETTING = re.compile(r"\s*remus\.default\.netbufscript\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|(\S+))")


def default_script(text: str) -> str | None:
    """The script that ``text`` makes the default; the last one counts. None for Xen's own."""
    found = [match for line in text.splitlines() if (match := _SETTING.match(line))]
    return next((each for each in found[-1].groups() if each is not None), "") if found else None


def with_default(text: str, script: str) -> str:
    """``text`` with ``script`` as the default."""
    text = without_default(text)
    lines = [
        f"{_KEPT}{line}" if _SETTING.match(line) else line
        for line in text.splitlines(keepends=True)
    ]
    kept = "".join(lines)
    end = "" if not kept or kept.endswith("\n") else f"\n{_NO_NEWLINE}"
    return f'{kept}{end}{_OURS}remus.default.netbufscript="{script}"\n'


def without_default(text: str) -> str:
    """``text`` as it was before `with_default`; unchanged where that was never there."""
    head, ours, tail = text.partition(_OURS)
    if not ours:
        return text
    # Ours is one line; lines that the administrator has added after it stay.
    head += tail.partition("\n")[2]
    head = head.replace(f"\n{_NO_NEWLINE}", "")
    return "".join(line.removeprefix(_KEPT) for line in head.splitlines(keepends=True))
