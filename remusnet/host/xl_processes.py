"""Which processes of xl run Remus, and for which domains: by /proc, and only root's own xl.

Any user can start a process whose command line says ``xl remus pbx``. So what counts is who runs it
and which file it is: all its user numbers are 0, and its executable is called xl and can be changed
by root only. (Debian's /usr/sbin/xl is a shell script that becomes /usr/lib/xen-VERSION/bin/xl.)
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from remusnet.kernel.own_folder import writable_by_others

# xl.1, remus: these take a value; xl's own options come before the command.
_WITH_VALUE = "iNs"
_INTERVAL = re.compile("-[A-Za-z]*i([0-9]*)", re.ASCII)
_INTERVAL_MS = 200
# tools/libs/light/libxl_save_helper.c: MODE IO_FD SEND_BACK_FD DOMID ...
_XL, _HELPER, _RESTORE, _DOMID = "xl", "libxl-save-helper", "--restore-domain", 4


@dataclass(frozen=True, slots=True)
class _Process:
    number: int
    parent: int
    words: tuple[str, ...]


def remus_domains(proc: Path = Path("/proc")) -> dict[str, int]:
    """The domains, as each xl was told them (name, number or UUID), and the number of its process.

    Another program that uses libxl itself does not show here.
    """
    found: dict[str, _Process] = {}
    for each in _processes(proc, _XL):
        domain = _domain(each.words)
        if domain is not None and not _is_child(each, found.get(domain)):
            found[domain] = each
    return {domain: each.number for domain, each in found.items()}


def interval_ms(number: int, proc: Path = Path("/proc")) -> int | None:
    """The interval that the ``xl remus`` of a number was told, xl's own without; None for none."""
    for each in _processes(proc, _XL):
        if each.number == number and "remus" in each.words:
            words = each.words[each.words.index("remus") + 1 :]
            for word, then in zip(words, (*words[1:], ""), strict=True):
                given = _INTERVAL.fullmatch(word)
                if given:
                    value = given[1] or then
                    return int(value) if value.isdecimal() else None
            return _INTERVAL_MS
    return None


def receivers(proc: Path = Path("/proc")) -> dict[int, int]:
    """The numbers of the domains that are received here, and of the ``xl migrate-receive`` of each.

    xl's own command line does not say the domain; that of the helper which it has started does.
    """
    xl = {each.number for each in _processes(proc, _XL) if "migrate-receive" in each.words}
    return {
        int(each.words[_DOMID]): each.parent
        for each in _processes(proc, _HELPER)
        if each.words[1:2] == (_RESTORE,)
        and len(each.words) > _DOMID
        and each.words[_DOMID].isdecimal()
        and each.parent in xl
    }


def _processes(proc: Path, program: str) -> Iterator[_Process]:
    """Root's processes of ``program``."""
    for folder in sorted(proc.glob("[0-9]*"), key=lambda each: int(each.name)):
        try:
            status = (folder / "status").read_text(encoding="utf-8", errors="replace")
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
            if _is_roots(status) and _runs(folder, program, words):
                yield _Process(int(folder.name), _parent(status), tuple(words))
        except (OSError, ValueError):
            continue  # it has ended meanwhile


def _is_roots(status: str) -> bool:
    """Real, effective, saved and file system's user: proc_pid_status(5)."""
    return _field(status, "Uid:") == ["0", "0", "0", "0"]


def _parent(status: str) -> int:
    return int(_field(status, "PPid:")[0])


def _field(status: str, name: str) -> list[str]:
    lines = (line.split() for line in status.splitlines())
    return next((words[1:] for words in lines if words[:1] == [name]), [])


def _runs(folder: Path, program: str, words: Sequence[str]) -> bool:
    if not words or PurePath(words[0]).name != program:
        return False
    try:
        # After an upgrade the old one still runs: "/usr/lib/xen-4.17/bin/xl (deleted)".
        path = os.readlink(folder / "exe").removesuffix(" (deleted)")
        file = (folder / "exe").stat()
    except PermissionError:
        return True  # only root may look there; it is root's process, and says so
    return PurePath(path).name == program and not writable_by_others(file)


def _is_child(process: _Process, of: _Process | None) -> bool:
    """Whether it is a copy of ``of``, about to become ssh or a helper."""
    return of is not None and process.parent == of.number


def _domain(words: Sequence[str]) -> str | None:
    if "remus" not in words:
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
