"""RTP streams, each with what every run made of it: named once, and what is alike said once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from remusnet.report.summary import Side
from remusnet.results.stream import Stream

ALIKE = "all alike"
"""Instead of a list of all runs."""


@dataclass(frozen=True, slots=True)
class Group:
    """A stream. ``rows``: which runs (or `ALIKE`), and the cells that all of these have."""

    title: str
    rows: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    notes: tuple[str, ...] = ()


def groups(columns: Sequence[Side], cells: Callable[[Stream], tuple[str, ...]]) -> list[Group]:
    """The streams of all runs in the order of their first appearance."""
    found: dict[tuple[str, int], list[tuple[str, Stream]]] = {}
    for side in columns:
        for stream in side.streams:
            found.setdefault((stream.rtp.flow, stream.rtp.ssrc), []).append((side.head, stream))
    return [_group(runs, len(columns), cells) for runs in found.values()]


def _group(
    runs: list[tuple[str, Stream]], columns: int, cells: Callable[[Stream], tuple[str, ...]]
) -> Group:
    stream = runs[0][1]
    direction = "from the guest" if stream.from_guest else "not from the guest"
    alike: dict[tuple[str, ...], list[str]] = {}
    for head, each in runs:
        alike.setdefault(cells(each), []).append(head)
    rows = tuple((tuple(heads), made) for made, heads in alike.items())
    if len(rows) == 1 and columns > 1 and len(runs) == columns:
        rows = (((ALIKE,), rows[0][1]),)
    notes = tuple(dict.fromkeys(note for _, each in runs for note in each.rtp.notes))
    return Group(f"{stream.rtp.flow} {stream.rtp.ssrc_text}, {direction}", rows, notes)
