"""What `sweep` and `tune` have in common: options, words for intervals, guests and policies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from remusnet.cli._completing import scenarios_or_files
from remusnet.cli._options import PolicyType
from remusnet.cli._progress import Progress
from remusnet.cli._terminal import echo
from remusnet.policy import Policy
from remusnet.policy.toml import named_policy
from remusnet.tables.documents import read_text

if TYPE_CHECKING:
    from rich.console import Console

    from remusnet.scenario.guest import GuestModel
    from remusnet.sweep.choice import Choice
    from remusnet.sweep.running import Asked
    from remusnet.sweep.table import Mean

_Function = TypeVar("_Function", bound=Callable[..., Any])

RANGE = "20ms..1s"


def _guests(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from remusnet.api.sweeps import guest_names

    names = [CompletionItem(name) for name in guest_names() if name.startswith(incomplete)]
    return [*names, CompletionItem(incomplete, type="file")]


def policies_by_commas(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Completes the last policy of ``tcp-only,ho``; a file only where it is the first."""
    before, comma, last = incomplete.rpartition(",")
    found = PolicyType().shell_complete(context, parameter, last)
    if not comma:
        return found
    return [CompletionItem(f"{before},{each.value}") for each in found if each.type == "plain"]


def grid_options(command: _Function) -> _Function:
    """The scenario, and what both do with it."""
    for option in (
        click.option(
            "--engine",
            metavar="dask://HOST:PORT",
            help="Run on the Dask cluster whose scheduler is there, instead of this machine.",
        ),
        click.option(
            "--jobs",
            "workers",
            type=click.IntRange(1, 1024),
            metavar="N",
            help="So many processes.  [default: one a core; the numbers are the same]",
        ),
        click.option(
            "--repeat",
            "repeats",
            type=click.IntRange(1, 1000),
            default=1,
            show_default=True,
            metavar="N",
            help="Run each point with so many seeds.",
        ),
        click.option(
            "--guest",
            metavar="NAME|FILE",
            shell_complete=_guests,
            help="What a checkpoint costs: idle-pbx, busy-pbx, database, or a file of your own."
            "  [default: the scenario's pause and transfer]",
        ),
        click.option(
            "--points",
            type=click.IntRange(2, 1000),
            default=12,
            show_default=True,
            metavar="N",
            help="How many intervals of a range.",
        ),
        click.option(
            "--interval",
            default=RANGE,
            show_default=True,
            metavar="RANGE|LIST",
            help="A range, as far apart on a logarithmic scale, or a list: 40ms,100ms.",
        ),
        click.argument("scenario", metavar="SCENARIO", shell_complete=scenarios_or_files),
    ):
        command = option(command)
    return command


def check_engine_option(engine: str | None, workers: int | None) -> None:
    """Before anything is run. Raises InvalidInput, MissingDependency without Dask."""
    if engine is None:
        return
    if workers is not None:
        raise click.UsageError("--engine, --jobs: a cluster has the workers that it has")
    from remusnet.parallel import check_engine

    check_engine(engine)


def policies_named(text: str | None) -> tuple[Policy, ...]:
    """The policies of ``tcp-only,hold-all``. Raises InvalidInput."""
    words = [] if text is None else [each.strip() for each in text.split(",")]
    return tuple(named_policy(word, read_text) for word in dict.fromkeys(words))


def guest_named(word: str | None) -> GuestModel | None:
    """The guest of ``--guest``. Raises InvalidInput."""
    from remusnet.api.sweeps import load_guest

    return None if word is None else load_guest(word)


def told(progress: Progress, what: str) -> Callable[[int, int], None]:
    """Shows how many points are done."""

    def tell(done: int, of: int) -> None:
        progress.step(f"{what}: {done} of {of} points" if of else f"{what}: {done} intervals")

    return tell


def setting(
    scenario: str, intervals: Sequence[str], guest: GuestModel | None, repeats: int
) -> list[tuple[str, str]]:
    """What a page says of how it was asked."""
    return [
        ("Scenario", scenario),
        ("Intervals", f"{len(intervals)}, {intervals[0]} to {intervals[-1]}"),
        ("Guest", "the scenario's pause and transfer" if guest is None else guest.name),
        ("Runs of each point", str(repeats)),
    ]


def echo_choice(words: Choice) -> None:
    """The interval to take, and why."""
    echo(words.headline)
    longest = max((len(each.text) for each in words.requirements), default=0)
    for each in words.requirements:
        echo(f"  {each.word:5}  {each.text:{longest}}  {each.seen}")
    for line in words.lines:
        echo(line)


def print_means(console: Console, means: Sequence[Mean], asked: Sequence[Asked]) -> None:
    """Prints a row for each interval, for each policy and setting."""
    from rich.text import Text

    from remusnet.report.layout import Section, print_compared
    from remusnet.sweep.curves import head
    from remusnet.sweep.page import tables

    sections = [
        Section(name, [(interval, [Text(cell) for cell in cells]) for interval, cells in rows])
        for name, rows in tables(means, asked)
    ]
    # Scales without spaces, so that a narrow head is not broken within one.
    print_compared(console, [head(each).replace(" to ", "..") for each in asked], sections)
