"""What ``remusnet lab run`` prints of TCP: a real kernel's connections beside the emulator's."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from remusnet.results.likeness import COPIES_TOLERANCE, TOLERANCE, Likeness, Measure, Pair

_JUDGED = {True: "yes", False: "NO", None: "not judged"}


def print_likeness(console: Console, run: Likeness) -> None:
    """One policy's connections, for a person."""
    time = "virtual time" if run.virtual else "real time"
    count = sum(each.kernel.connections for each in run.groups)
    console.print(
        f"TCP of {run.scenario} under {run.policy}: {count:,} connections, {run.checkpoints:,} "
        f"checkpoints; Linux {run.kernel} in {time}",
        markup=False,
    )
    for each in run.groups:
        _print_group(console, each)
    if run.left_out:
        console.print(f"left out on both sides: {', '.join(run.left_out)}", markup=False)
    if not run.virtual:
        console.print(
            f"steps of checkpoints were late by {run.late(0.5):.1f} ms (median), "
            f"{run.late(0.95):.1f} ms (p95)",
            markup=False,
        )
    console.print(f"within: {tolerance(run)}", markup=False)
    word = "agrees" if run.agrees else "does not agree"
    console.print(f"the kernel's TCP {word}")


def tolerance(run: Likeness) -> str:
    """What "within" means, in words."""
    least = run.groups[0].tolerance_ms if run.groups else 0
    copies = f"what is sent again within {COPIES_TOLERANCE:.0%}, or one for five connections"
    return f"{TOLERANCE:.0%}, or {least:g} ms" + (f"; {copies}" if run.virtual else "")


def _print_group(console: Console, pair: Pair) -> None:
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column(f"group {pair.group}, {pair.kind}")
    for head in ("emulator", "kernel", "ratio", "within"):
        table.add_column(head, justify="right")
    for each in pair.measures():
        ratio = "-" if each.ratio is None else f"{each.ratio:.2f}"
        table.add_row(
            each.name, *_numbers(each), ratio, _JUDGED[each.within]
        )  # fmt: skip
    console.print(table)


def _numbers(measure: Measure) -> tuple[str, str]:
    form = "{:,.1f}" if measure.name.endswith("(ms)") else "{:,.0f}"
    ours, theirs = (
        "never" if each is None else form.format(each)
        for each in (measure.emulator, measure.kernel)
    )
    return ours, theirs
