from __future__ import annotations

import re
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from remusnet.report.layout import (
    Column,
    Section,
    print_compared,
    print_named,
    print_records,
    wrapped,
    wrapped_line,
)

POLICIES = ["as recorded", "tcp-only", "real-time", "hold-all", "stock-remus"]
NUMBERS = st.from_regex(r"[0-9]{1,9}(\.[0-9]{2})?|-", fullmatch=True)
WIDTHS = st.integers(30, 120)


def console(width: int) -> Console:
    return Console(file=StringIO(), width=width, highlight=False)


def text_of(printed: Console) -> str:
    assert isinstance(printed.file, StringIO)
    return printed.file.getvalue()


def compared(width: int, heads: list[str], rows: list[tuple[str, list[str]]]) -> str:
    to = console(width)
    cells = [(name, [Text(each) for each in row]) for name, row in rows]
    print_compared(to, heads, [Section("Frames from the guest", cells)])
    return text_of(to)


def numbers_of(text: str) -> list[str]:
    return re.findall(r"(?<!\S)(?:[0-9][0-9.]*|-)(?!\S)", text)


@given(
    WIDTHS,
    st.integers(1, 6).flatmap(
        lambda count: st.lists(st.lists(NUMBERS, min_size=count, max_size=count), min_size=1)
    ),
)
def test_no_number_is_broken_and_no_column_dropped_at_any_width(
    width: int, rows: list[list[str]]
) -> None:
    heads = (POLICIES * 2)[: len(rows[0])]
    text = compared(width, heads, [("let pass before their commit", row) for row in rows])
    assert sorted(numbers_of(text)) == sorted(cell for row in rows for cell in row)
    assert max(map(len, text.splitlines())) <= width


def test_what_fits_is_one_table_and_what_does_not_has_its_heads_folded_first() -> None:
    rows = [("packets a burst, median / max", ["20 / 20"] * 5)]
    assert "as recorded  tcp-only" in compared(120, POLICIES, rows)
    folded = compared(80, POLICIES, rows).splitlines()
    assert [line.split() for line in folded[:2]] == [
        ["as", "tcp-", "real-", "hold-", "stock-"],
        ["recorded", "only", "time", "all", "remus"],
    ]
    assert len(folded) == 4


def test_columns_that_do_not_fit_follow_below_under_the_same_names() -> None:
    rows = [("jitter, mean (ms)", ["4.62", "4.62", "4.62", "37.75", "37.75"])]
    text = compared(40, POLICIES, rows)
    blocks = text.split("\n\n")
    assert len(blocks) > 1
    assert all("jitter, mean (ms)" in block for block in blocks)
    assert all("Frames from the guest" in block for block in blocks)


@given(WIDTHS, st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=5))
def test_records_keep_every_cell_whole(width: int, numbers: list[tuple[str, str]]) -> None:
    to = console(width)
    columns = [Column("FLOW"), Column("FRAMES", right=True), Column("MS", right=True)]
    flow = "udp 192.0.2.10:20000 > 192.0.2.20:30000"
    print_records(to, columns, [(flow, *each) for each in numbers])
    found = text_of(to)
    words = sorted(word.strip(",") for word in found.split())
    kept = [word for each in numbers for word in each]
    assert sorted(numbers_of(re.sub(",", " ", found))) == sorted(kept)
    assert words.count("192.0.2.10:20000") == len(numbers)


def test_records_that_do_not_fit_are_paragraphs() -> None:
    to = console(36)
    columns = [Column("POLICY"), Column("PACKETS", right=True), Column("HOLDS", prose=True)]
    holds = "ARP; IPv6, ICMPv6, type 133-137; RTP or RTCP"
    print_records(to, columns, [("real-time", "2000", holds)])
    assert text_of(to) == (
        "real-time\n"
        "  holds  ARP; IPv6, ICMPv6, type\n"
        "         133-137; RTP or RTCP\n"
        "  packets 2000\n"
    )


def test_in_a_pipe_a_record_is_one_line() -> None:
    to = console(1_000_000)
    flow = f"udp {'[2001:db8:ffff:ffff:ffff:ffff:ffff:1]:20000 > ' * 2}x"
    print_records(to, [Column("FLOW"), Column("RULE")], [(flow, "default" * 20)])
    assert text_of(to).count("\n") == 2


@pytest.mark.parametrize(
    ("line", "width", "shown"),
    [
        ("short", 40, "short"),
        ("  held       12 packets", 18, "  held\n    12 packets"),
        ("limit   50.0 MB (1 Gbit/s)", 20, "limit   50.0 MB\n        (1 Gbit/s)"),
        ("    for: what it is for", 15, "    for: what\n      it is for"),
        ("192.0.2.10:20000-30000", 10, "192.0.2.10:20000-30000"),
        ("20 / 20 (in a burst)", 9, "20 / 20\n  (in a\n  burst)"),
    ],
)
def test_a_line_is_broken_between_words_below_its_last_field(
    line: str, width: int, shown: str
) -> None:
    assert wrapped_line(line, width) == shown


@given(st.text("ab1 ", max_size=80), st.integers(1, 40))
def test_wrapping_changes_nothing_but_spaces(text: str, width: int) -> None:
    assert wrapped(text, width).split() == text.split()


def test_named_lines_stand_below_each_other() -> None:
    to = console(30)
    print_named(to, [("guest", "00:16:3e:00:00:01, 204 frames"), ("plug", "86.2 MB at most")])
    assert text_of(to) == ("guest 00:16:3e:00:00:01,\n      204 frames\nplug  86.2 MB at most\n")
