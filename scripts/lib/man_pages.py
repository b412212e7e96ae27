#!/usr/bin/env python3
"""Writes a man page for each command of remusnet, from what click knows of it.

usage: man_pages.py DIR      (made if missing; remusnet-apply.1 and so on)

A command that is new has its page by that. click-man, which does the like, walks no group that
imports its commands late, and leaves what groff takes for its own requests as it is.
SOURCE_DATE_EPOCH is the date, where it is set.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import cleandoc
from pathlib import Path

import click

from remusnet import __version__
from remusnet.cli._lazy import LazyGroup
from remusnet.cli._output import UNPRINTED
from remusnet.cli.main import cli
from remusnet.cli.names import PROGRAM
from remusnet.errors import RemusnetError

_SPECIAL = {"\\": r"\e", "-": r"\-", "^": r"\(ha", "~": r"\(ti", "`": r"\(ga", "'": r"\(aq"}
_EXAMPLE = re.compile(r"(remusnet|xl|kill) ")
_FILES = {
    "/etc/remusnet/remusnet.toml": "The policies of this host's domains and vifs.",
    "/run/remusnet": "Receipts and locks of what is applied.",
}


@dataclass(frozen=True, slots=True)
class Page:
    """A man page: its name, such as ``remusnet-xen-install``, and its text in man(7)'s macros."""

    name: str
    text: str


def pages() -> Iterator[Page]:
    """Of remusnet and of every command that its help shows."""
    yield from _pages(cli, PROGRAM, None)


def _pages(command: click.Command, name: str, parent: click.Context | None) -> Iterator[Page]:
    context = click.Context(command, info_name=name, parent=parent, **command.context_settings)
    yield Page(_dashed(context.command_path), "\n".join(_lines(context)) + "\n")
    for child, each in _children(context):
        yield from _pages(each, child, context)


def _children(context: click.Context) -> Iterator[tuple[str, click.Command]]:
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            child = context.command.get_command(context, name)
            if child is not None and not child.hidden:
                yield name, child


def _lines(context: click.Context) -> Iterator[str]:
    name = _dashed(context.command_path)
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    date = time.strftime("%Y-%m-%d", time.gmtime(seconds))
    yield f'.TH "{escaped(name.upper())}" 1 {date} "{PROGRAM} {__version__}" "{PROGRAM} manual"'
    yield ".nh"  # what is to be typed stands whole
    yield ".SH NAME"
    yield rf"{escaped(name)} \- {escaped(_summary(context))}"
    yield ".SH SYNOPSIS"
    words = " ".join(context.command.collect_usage_pieces(context))
    yield rf"\fB{escaped(context.command_path)}\fR {escaped(words)}"
    texts, examples = _description(context.command)
    yield ".SH DESCRIPTION"
    yield from texts
    yield from _options(context)
    yield from _commands(context)
    yield from _exit_status()
    yield ".SH FILES"
    yield from _tagged((rf"\fI{escaped(path)}\fR", what) for path, what in _FILES.items())
    if examples:
        yield ".SH EXAMPLES"
        yield from examples
    yield ".SH SEE ALSO"
    yield ",\n".join(rf"\fB{escaped(each)}\fR(1)" for each in _related(context))


def _summary(context: click.Context) -> str:
    """The table's line for a command that has one; else the first sentence of its help."""
    group = context.parent.command if context.parent else None
    if isinstance(group, LazyGroup) and context.info_name in group.table:
        return group.table[context.info_name].help
    first = cleandoc(context.command.help or "").split("\n\n")[0]
    return " ".join(first.split()).rstrip(".")


def _description(command: click.Command) -> tuple[list[str], list[str]]:
    """Paragraphs, and examples: blocks that click is told not to wrap, where they are commands."""
    texts: list[str] = []
    examples: list[str] = []
    for paragraph in cleandoc((command.help or "").partition("\f")[0]).split("\n\n"):
        lines = paragraph.strip("\n").split("\n")
        if lines[0].strip() != "\b":
            texts += [".PP", *map(escaped, lines)]
            continue
        kind = examples if _EXAMPLE.match(lines[1]) else texts
        kind += [".PP", ".nf", ".RS", *map(escaped, lines[1:]), ".RE", ".fi"]
    # A heading is followed by its text, not by a request for a paragraph.
    return texts[1:], examples[1:]


def _options(context: click.Context) -> Iterator[str]:
    records = [each.get_help_record(context) for each in context.command.get_params(context)]
    # Newer clicks have a record of each argument, too, though it says nothing.
    rows = [record for record in records if record is not None and record[1]]
    if rows:
        yield ".SH OPTIONS"
        yield from _tagged((rf"\fB{escaped(option)}\fR", what) for option, what in rows)


def _commands(context: click.Context) -> Iterator[str]:
    if not (children := list(_children(context))):
        return
    yield ".SH COMMANDS"
    table = context.command.table if isinstance(context.command, LazyGroup) else {}
    section = None
    for name, child in children:
        entry = table.get(name)
        if entry is not None and entry.section != section:
            section = entry.section
            yield f".SS {escaped(section)}"
        own = click.Context(child, info_name=name, parent=context)
        page = escaped(_dashed(own.command_path))
        yield from _tagged([(rf"\fB{page}\fR(1)", _summary(own))])


def _exit_status() -> Iterator[str]:
    """Of every command alike: one code a kind of error."""
    yield ".SH EXIT STATUS"
    rows = [("0", "It is done, or it agrees.")]
    for kind in RemusnetError.__subclasses__():
        if kind.__module__ == RemusnetError.__module__:
            what = (kind.__doc__ or "").strip().split("\n")[0]
            rows.append((str(kind.exit_code), re.sub(r" \(exit code \d+\)", "", what)))
    rows.append((str(UNPRINTED), "It is done, but standard output took no more."))
    yield from _tagged(rows)


def _tagged(rows: Iterator[tuple[str, str]] | list[tuple[str, str]]) -> Iterator[str]:
    """``rows``: a tag, in macros already, and what it means."""
    for tag, what in rows:
        yield from (".TP", tag, escaped(" ".join(what.split())) or r"\&")


def _related(context: click.Context) -> list[str]:
    """The page above, and those beside or below."""
    if context.parent is None:
        return [_dashed(f"{context.command_path} {name}") for name, _ in _children(context)]
    beside = context if isinstance(context.command, click.Group) else context.parent
    paths = [context.parent.command_path]
    paths += [f"{beside.command_path} {name}" for name, _ in _children(beside)]
    return [_dashed(path) for path in dict.fromkeys(paths) if path != context.command_path]


def _dashed(path: str) -> str:
    return path.replace(" ", "-")


def escaped(text: str) -> str:
    """``text`` as a line that groff prints as it is, whatever it begins with.

    >>> escaped(".so -x")
    '\\\\&.so \\\\-x'
    """
    line = "".join(_SPECIAL.get(c, c) for c in text)
    return rf"\&{line}" if line.startswith((".", " ")) else line


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for page in pages():
        (folder / f"{page.name}.1").write_text(page.text, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
