"""What a live run came to, for a person, and its table while it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from remusnet.report.layout import Section, print_compared
from remusnet.report.simulation import print_simulation
from remusnet.report.summary import NOTHING, fixed
from remusnet.results.live_run import LiveResult, LiveView, together

MOST_STREAMS = 8
"""Rows of the table that changes; the report has all streams."""

_ROWS: tuple[tuple[str, Callable[[LiveResult], str]], ...] = (
    ("plug", lambda each: each.plug or NOTHING),
    ("checkpoints", lambda each: str(each.epochs)),
    ("TCP segments sent again", lambda each: str(each.retransmitted)),
    ("  by the program", lambda each: str(each.retransmitted_by_program)),
    ("userspace plug, us a frame", lambda each: fixed(each.keeper_us_a_frame) or NOTHING),
    (
        "the program's exit code",
        lambda each: NOTHING if each.exit_code is None else str(each.exit_code),
    ),
)


def print_live(console: Console, results: Sequence[LiveResult]) -> None:
    """Policies side by side, each RTP stream, and what only a live run has."""
    print_simulation(console, together(results).comparison)
    console.print()
    rows = [(name, [Text(cell(each)) for each in results]) for name, cell in _ROWS]
    heads = [each.outcome.policy for each in results]
    print_compared(console, heads, [Section("live run", rows)])


def live_line(view: LiveView) -> str:
    """The same in a line, for a log."""
    parts = [
        f"{view.seconds:.0f} s",
        f"{view.epochs} checkpoints",
        f"{view.held} held",
        f"{view.bypassed} bypassed",
        f"{view.dropped} dropped",
    ]
    if view.tcp_hold_ms is not None:
        parts.append(f"TCP hold {view.tcp_hold_ms:.0f} ms")
    if view.retransmitted:
        parts.append(f"{view.retransmitted} TCP segments sent again")
    if view.streams:
        worst = max(each.jitter_ms for each in view.streams)
        parts.append(f"{len(view.streams)} RTP streams, jitter up to {worst:.2f} ms")
    return ", ".join(parts)


def live_table(view: LiveView, title: str) -> RenderableType:
    """The table while it runs, in 60 columns; RTP and TCP of the last seconds."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    for _ in range(3):
        table.add_column(justify="right", no_wrap=True)
    waiting = f"{view.waiting} wait" if view.waiting is not None else ""
    table.add_row("held", str(view.held), f"{view.released} released", waiting)
    table.add_row("bypassed", str(view.bypassed), "", f"{view.dropped} dropped")
    hold = "-" if view.tcp_hold_ms is None else f"{view.tcp_hold_ms:.0f} ms"
    most = "" if view.tcp_hold_max_ms is None else f"max {view.tcp_hold_max_ms:.0f} ms"
    table.add_row("TCP hold", hold, most, f"{view.retransmitted} sent again")
    parts: list[RenderableType] = [
        Text(
            f"{view.seconds:.0f} s, {view.epochs} checkpoints  {title}",
            "bold",
            no_wrap=True,
            overflow="ellipsis",
        ),
        table,
    ]
    if view.streams:
        streams = Table.grid(padding=(0, 2))
        streams.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for _ in range(2):
            streams.add_column(justify="right", no_wrap=True)
        for each in view.streams[:MOST_STREAMS]:
            streams.add_row(f"RTP {each.flow}", str(each.packets), f"{each.jitter_ms:.2f} ms")
        if len(view.streams) > MOST_STREAMS:
            streams.add_row(f"and {len(view.streams) - MOST_STREAMS} streams more", "", "")
        parts.append(streams)
    return Group(*parts)
