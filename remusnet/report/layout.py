"""Tables and sentences for a terminal of any width: no number is broken, no column is dropped.

A table that fits is a table. One that doesn't is cut into tables below each other
(`print_compared`) or becomes a paragraph for each row (`print_records`). A word that is wider than
the terminal, as an address may be, stays whole: the terminal wraps it, and a user who copies it
gets all of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

_GAP = 2
# What a column of prose, and the names of rows, need to be read with comfort.
_LEAST_PROSE = 20
_NO_BREAK = "\N{NO-BREAK SPACE}"
_NUMBER_AND_WORD = re.compile(r"(?<=\d) (?=[^\W\d])|(?<=[\d/]) (?=[\d/])")
_FIELDS = re.compile(r"^\s*\S+(?: \S+)*? {2,}")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. ``right``: of numbers. ``prose``: its cells may be broken between words.

    ``roomy``: how wide it is where there is room, so that tables below each other line up.
    """

    title: str
    right: bool = False
    prose: bool = False
    roomy: int = 0


def print_records(
    console: Console, columns: Sequence[Column], rows: Sequence[Sequence[str | Text]]
) -> None:
    """A row for each record; where they don't fit, a paragraph: its first cell, then the others."""
    cells = [[Text(each) if isinstance(each, str) else each for each in row] for row in rows]
    widths = [
        max([cell_len(column.title), *(row[index].cell_len for row in cells)])
        for index, column in enumerate(columns)
    ]
    needed = [
        min(width, _LEAST_PROSE) if column.prose else width
        for width, column in zip(widths, columns, strict=True)
    ]
    room = console.width - _GAP * (len(columns) - 1)
    if sum(needed) > room:
        for row in cells:
            _print_paragraph(console, columns, row)
        return
    roomy = [max(width, column.roomy) for width, column in zip(needed, columns, strict=True)]
    chosen = _shared(roomy if sum(roomy) <= room else needed, widths, columns, room)
    _print_cells(console, columns, [Text(each.title, "bold") for each in columns], chosen)
    for row in cells:
        _print_cells(console, columns, row, chosen)


def _shared(
    given: Sequence[int], wanted: Sequence[int], columns: Sequence[Column], room: int
) -> list[int]:
    """Gives the rest of the room to the columns of prose, evenly, until they have all."""
    widths = list(given)
    while True:
        left = room - sum(widths)
        poor = [i for i, each in enumerate(columns) if each.prose and widths[i] < wanted[i]]
        if not poor or left < len(poor):
            return widths
        share = left // len(poor)
        for index in poor:
            widths[index] = min(wanted[index], widths[index] + share)


def _print_cells(
    console: Console, columns: Sequence[Column], row: Sequence[Text], widths: Sequence[int]
) -> None:
    lines = [
        [Text(line) for line in wrapped_line(cell.plain, width, indent=0).split("\n")]
        if column.prose
        else [cell]
        for column, cell, width in zip(columns, row, widths, strict=True)
    ]
    for number in range(max(map(len, lines))):
        made = Text()
        for column, each, width in zip(columns, lines, widths, strict=True):
            cell = each[number] if number < len(each) else Text()
            space = " " * (width - cell.cell_len)
            made = Text.assemble(made, space if column.right else "", cell)
            made.append(("" if column.right else space) + " " * _GAP)
        made.rstrip()
        console.print(made, soft_wrap=True)


def _print_paragraph(console: Console, columns: Sequence[Column], row: Sequence[Text]) -> None:
    first, *others = row
    console.print(Text(wrapped_line(first.plain, console.width)), soft_wrap=True)
    indent = " " * (len(first.plain) - len(first.plain.lstrip(" ")) + 2)
    line = Text(indent)
    for column, cell in zip(columns[1:], others, strict=True):
        title = column.title.lower()
        if column.prose:
            wrapped = wrapped_line(f"{indent}{title}  {cell.plain}", console.width)
            console.print(Text(wrapped), soft_wrap=True)
            continue
        pair = Text.assemble(f"{title} ", cell)
        if line.plain.strip() and line.cell_len + 2 + pair.cell_len >= console.width:
            console.print(Text.assemble(line, ","), soft_wrap=True)
            line = Text(indent)
        line = Text.assemble(line, ", " if line.plain.strip() else "", pair)
    if line.plain.strip():
        console.print(line, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Section:
    """Rows with a title above them: each has a name, and a cell for every column."""

    title: str
    rows: Sequence[tuple[str, Sequence[Text]]]


def print_compared(console: Console, heads: Sequence[str], sections: Iterable[Section]) -> None:
    """Columns side by side, as many as fit; the others follow below, under the same names."""
    sections = list(sections)
    names = max((cell_len(name) + 2 for each in sections for name, _ in each.rows), default=0)
    titles = max((cell_len(each.title) for each in sections), default=0)
    cells = [
        max((row[index].cell_len for each in sections for _, row in each.rows), default=0)
        for index in range(len(heads))
    ]
    whole = [max(width, cell_len(head)) for width, head in zip(cells, heads, strict=True)]
    needed = sum(whole) + _GAP * len(heads)
    if names + needed <= console.width:
        names = max(names, titles) if titles + needed <= console.width else names
        _print_block(console, heads, sections, range(len(heads)), whole, names)
        return
    folded = [_folded(head, width) for head, width in zip(heads, cells, strict=True)]
    narrow = [
        max([width, *map(cell_len, head.split("\n"))])
        for width, head in zip(cells, folded, strict=True)
    ]
    needed = sum(narrow) + _GAP * len(narrow)
    blocks: Sequence[Sequence[int]] = [range(len(narrow))]
    if names + needed > console.width:
        # Names are broken between words, so that more columns have room.
        least = min(_LEAST_PROSE, max(1, console.width - max(narrow) - _GAP))
        blocks = _evened(
            list(_blocks(narrow, console.width - least)), narrow, console.width - least
        )
        widest = max(sum(narrow[index] + _GAP for index in block) for block in blocks)
        names = min(names, console.width - widest)
    for number, block in enumerate(blocks):
        if number:
            console.print()
        _print_block(console, folded, sections, block, narrow, names)


def _blocks(widths: Sequence[int], room: int) -> Iterable[Sequence[int]]:
    """Which columns stand side by side: each block has at least one."""
    block: list[int] = []
    used = 0
    for index, width in enumerate(widths):
        if block and used + width + _GAP > room:
            yield block
            block, used = [], 0
        block.append(index)
        used += width + _GAP
    yield block


def _evened(blocks: list[Sequence[int]], widths: Sequence[int], room: int) -> list[Sequence[int]]:
    """As many blocks, of about as many columns each, where they fit so."""
    count = len(widths)
    even: list[Sequence[int]] = [
        range(number * count // len(blocks), (number + 1) * count // len(blocks))
        for number in range(len(blocks))
    ]
    fits = all(sum(widths[index] + _GAP for index in block) <= room for block in even)
    return even if fits else blocks


def _print_block(
    console: Console,
    heads: Sequence[str],
    sections: Sequence[Section],
    block: Sequence[int],
    widths: Sequence[int],
    names: int,
) -> None:
    lines = [heads[index].split("\n") for index in block]
    chosen = [widths[index] for index in block]
    tall = max(map(len, lines))
    for number in range(-tall, 0):  # short heads stand at the bottom
        row = [Text(each[number]) if -number <= len(each) else Text() for each in lines]
        _print_row(console, "", row, chosen, names)
    for section in sections:
        print_sentence(console, section.title, "bold")
        for name, cells in section.rows:
            *above, last = wrapped_line(f"  {name}", names).split("\n")
            for line_above in above:
                console.print(line_above, soft_wrap=True)
            _print_row(console, last, [cells[index] for index in block], chosen, names)


def _print_row(
    console: Console, name: str, cells: Sequence[Text], widths: Sequence[int], names: int
) -> None:
    made = Text(f"{name:{names}}")
    for cell, width in zip(cells, widths, strict=True):
        made.append(" " * (_GAP + width - cell.cell_len))
        made.append_text(cell)
    made.rstrip()
    console.print(made, soft_wrap=True)


def _folded(head: str, width: int) -> str:
    """A head in lines, no wider than ``width`` where it has hyphens or spaces to be broken at."""
    lines = [""]
    for piece in re.findall(r"[^-\s]*[-\s]|[^-\s]+", head):
        if lines[-1] and cell_len(lines[-1] + piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)


def print_named(console: Console, lines: Iterable[tuple[str, str]]) -> None:
    """Lines of a bold name and what it is, broken between words, below each other."""
    lines = list(lines)
    width = max((cell_len(name) for name, _ in lines), default=0) + 1
    for name, value in lines:
        text = wrapped_line(f"{name:{width}}{value}", console.width, indent=width)
        made = Text(text)
        made.stylize("bold", 0, len(name))
        console.print(made, soft_wrap=True)


def print_sentence(console: Console, text: str, style: str = "", *, indent: int = 0) -> None:
    """A paragraph of prose; its lines from the second on are indented."""
    made = Text(wrapped_line(text, console.width, indent=indent), style)
    console.print(made, soft_wrap=True)


def wrapped(text: str, width: int) -> str:
    """Each line of ``text`` as `wrapped_line` breaks it."""
    return "\n".join(wrapped_line(line, width) for line in text.split("\n"))


def wrapped_line(line: str, width: int, *, indent: int | None = None) -> str:
    """``line`` broken between words, where one goes beyond ``width``; words stay whole.

    A number and its unit are one word. What follows is indented by ``indent``: without one, to
    where the last field begins (two spaces part fields), or two more than the line.
    """
    if cell_len(line) <= width:
        return line
    own = len(line) - len(line.lstrip(" "))
    if indent is None:
        fields = _FIELDS.match(line)
        indent = fields.end() if fields and fields.end() <= width // 2 else own + 2
    lines = [line[:own]]
    fresh = True
    for gap, word in re.findall(r"( *)([^ ]+)", _NUMBER_AND_WORD.sub(_NO_BREAK, line[own:])):
        # A word that no line has room for stays beside the name that it belongs to.
        begun = cell_len(lines[-1]) < indent and indent + cell_len(word) > width
        if fresh or begun or cell_len(lines[-1] + gap + word) <= width:
            lines[-1] += gap + word
        else:
            lines.append(" " * indent + word)
        fresh = False
    return "\n".join(lines).replace(_NO_BREAK, " ")
