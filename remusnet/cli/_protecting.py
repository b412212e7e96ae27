"""Options of the commands that protect vifs: what makes a plan, and where receipts are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from remusnet import defaults
from remusnet.cli._completing import buffers, vifs, words
from remusnet.cli._options import policy_option
from remusnet.cli._quantities import DURATION, RATE, SIZE
from remusnet.cli._trials import settle_trials
from remusnet.errors import InvalidInput

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _positive(_context: click.Context, _parameter: click.Parameter, value: int) -> int:
    if value == 0:
        raise InvalidInput("--interval: invalid time: 0; expected more than 0")
    return value


_CLASSIFIERS = ("u32", "bpf", "flower")


def _classifier(*others: str) -> Callable[[_Function], _Function]:
    known = (*_CLASSIFIERS, *others)
    return click.option(
        "--classifier",
        metavar="NAME",
        default=defaults.CLASSIFIER,
        show_default=True,
        shell_complete=words(*known),
        help=f"{', '.join(known[:-1])} or {known[-1]}.",
    )


_TERMS_OPTIONS = (
    click.option(
        "--buffer", metavar="IFB", shell_complete=buffers, help="One buffer device for all VIFs."
    ),
    click.option(
        "--interval",
        metavar="TIME",
        type=DURATION,
        default=defaults.INTERVAL,
        show_default=True,
        callback=_positive,
        help="Checkpoint interval.",
    ),
    click.option(
        "--rate",
        metavar="RATE",
        type=RATE,
        default=defaults.RATE,
        show_default=True,
        help="Rate of the link, for the plug's limit.",
    ),
    click.option(
        "--limit",
        metavar="SIZE",
        type=SIZE,
        help="The plug's limit.  [default: 2 x rate x interval]",
    ),
    click.option(
        "--memory",
        metavar="SIZE",
        type=SIZE,
        help="Memory that each plug may cost, small frames included: the limit is this / 12.5.",
    ),
    click.option(
        "--decouple/--no-decouple",
        default=True,
        show_default=True,
        help="Copy what is held, so that it keeps nothing of the guest's.",
    ),
)


def plan_options(function: _Function) -> _Function:
    """``vifs``, ``policy``, ``classifier``, ``buffer``, ``interval``, ``rate``, ``limit``,
    ``memory`` and ``decouple``.
    """
    argument = click.argument(
        "vifs", metavar="VIF...", nargs=-1, required=True, shell_complete=vifs
    )
    return argument(_terms(function, _classifier()))


def terms_options(function: _Function) -> _Function:
    """The same without ``vifs``; the classifier can be `defaults.AUTO`."""
    return _terms(function, _classifier(defaults.AUTO))


def _terms(function: _Function, classifier: Callable[[_Function], _Function]) -> _Function:
    for option in reversed((policy_option(), classifier, *_TERMS_OPTIONS)):
        function = option(function)
    return function


def run_dir_option(function: _Function) -> _Function:
    """``--run-dir DIR``, which gives a command its ``run_dir``.

    Before the command begins, it takes back a trial there whose guard was killed.
    """
    return _run_dir_option(_settled)(function)


def plain_run_dir_option(function: _Function) -> _Function:
    """The same for a command that decides about trials itself."""
    return _run_dir_option(None)(function)


def _run_dir_option(callback: Callable[..., Path] | None) -> Callable[[_Function], _Function]:
    return click.option(
        "--run-dir",
        metavar="DIR",
        type=click.Path(file_okay=False, path_type=Path),
        envvar=defaults.RUN_DIR_VARIABLE,
        default=defaults.RUN_DIR,
        show_default=True,
        callback=callback,
        help=f"Where receipts and locks are; also ${defaults.RUN_DIR_VARIABLE}.",
    )


def _settled(context: click.Context, _parameter: click.Parameter, value: Path) -> Path:
    if not context.resilient_parsing:  # a shell that completes words changes nothing
        settle_trials(value)
    return value


def json_option(function: _Function) -> _Function:
    """``--json``, which gives a command its ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)
