"""What ``remusnet lab run`` prints: a kernel beside the emulator."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from remusnet.metrics.percentiles import NS_PER_MS
from remusnet.results.agreement import Agreement, Passing, Spread

MOST_DIFFERENCES = 20
"""Printed of one run; ``--json`` has all."""


def print_agreement(console: Console, run: Agreement) -> None:
    """One policy's run, for a person."""
    time = "virtual time" if run.virtual else "real time"
    console.print(
        f"{run.scenario} under {run.policy}: {len(run):,} frames of the guest, "
        f"{run.checkpoints:,} checkpoints; Linux {run.kernel} in {time}",
        markup=False,
    )
    _print_counts(console, run)
    _print_times(console, run)
    alike = int(run.decided_alike.sum())
    console.print(f"same verdict, epoch and bytes: {alike:,} of {len(run):,}", markup=False)
    _print_differences(console, run)
    console.print("the kernel agrees" if run.agrees else "the kernel does not agree")


def _print_counts(console: Console, run: Agreement) -> None:
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("frames")
    table.add_column("emulator", justify="right")
    table.add_column("kernel", justify="right")
    counts = [_counts(each) for each in (run.emulated, run.seen)]
    for word in ("passed", "held", "dropped", "kept", "lost"):
        ours, theirs = (each.get(word, 0) for each in counts)
        # The last two are rare.
        if ours or theirs or word in ("passed", "held", "dropped"):
            table.add_row(word, f"{ours:,}", f"{theirs:,}")
    console.print(table)


def _counts(passing: Passing) -> dict[str, int]:
    found: dict[str, int] = {}
    for frame in range(len(passing.held)):
        word = passing.verdict(frame)
        found[word] = found.get(word, 0) + 1
    return found


def _print_times(console: Console, run: Agreement) -> None:
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("later in the kernel, ms")
    for word in ("least", "median", "p95", "most"):
        table.add_column(word, justify="right")
    rows: Sequence[tuple[str, Spread | None]] = (
        ("passed", run.spread(held=False)),
        ("held", run.spread(held=True)),
        ("the replay's own share", run.late_replay()),
    )
    for name, spread in rows:
        if spread is not None:
            values = (spread.least, spread.median, spread.p95, spread.most)
            table.add_row(name, *(f"{value / NS_PER_MS:.3f}" for value in values))
    if table.row_count:
        console.print(table)


def _print_differences(console: Console, run: Agreement) -> None:
    found = list(run.differences())
    busy = sum(each.busy for each in found)
    if busy:
        console.print(
            f"{busy:,} released more than {run.tolerance_ns / NS_PER_MS:g} ms late, because this "
            "machine was busy and the replay as late (--json names them)",
            markup=False,
        )
    telling = [each for each in found if not each.busy]
    for each in telling[:MOST_DIFFERENCES]:
        console.print(
            f"  frame {each.frame} at {each.sent_ns / 1e9:.6f} s: {each.what}: "
            f"emulator {each.emulator}, kernel {each.kernel} ({each.why})",
            markup=False,
        )
    if len(telling) > MOST_DIFFERENCES:
        more = len(telling) - MOST_DIFFERENCES
        console.print(f"  and {more:,} more: --json has all", markup=False)
