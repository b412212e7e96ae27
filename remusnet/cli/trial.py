"""``remusnet try``: a change that goes back by itself."""

from __future__ import annotations

import json
import os
import select
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from remusnet.cli._completing import vifs
from remusnet.cli._protecting import json_option, run_dir_option, terms_options
from remusnet.cli._quantities import DURATION
from remusnet.cli._terminal import echo, warn
from remusnet.errors import CheckFailed, Conflict, InvalidInput, quoted
from remusnet.units import format_duration

if TYPE_CHECKING:
    from remusnet.api.trying import Trying
    from remusnet.policy import Policy
    from remusnet.results.trial import Outcome

_LEAST_NS, _MOST_NS = 1_000_000_000, 3_600_000_000_000


def _timeout(_context: click.Context, _parameter: click.Parameter, value: int) -> int:
    if not _LEAST_NS <= value <= _MOST_NS:
        what = quoted(format_duration(value))
        raise InvalidInput(f"--timeout: invalid time: {what}; expected 1 s to 1 h")
    return value


@click.command("try")
@click.argument("vifs", metavar="VIF...", nargs=-1, required=True, shell_complete=vifs)
@terms_options
@click.option(
    "--timeout",
    metavar="TIME",
    type=DURATION,
    default="60s",
    show_default=True,
    callback=_timeout,
    help="Go back after that.",
)
@click.option("--yes", is_flag=True, help="Confirm it at once, if it could be applied.")
@click.option("--force", is_flag=True, help="Even where it can cost half of the memory.")
@run_dir_option
@json_option
def command(
    vifs: tuple[str, ...],
    policy: Policy,
    classifier: str,
    buffer: str | None,
    interval: int,
    rate: int,
    limit: int | None,
    memory: int | None,
    decouple: bool,
    timeout: int,
    yes: bool,
    force: bool,
    run_dir: Path,
    as_json: bool,
) -> None:
    """Apply to VIF, and go back unless somebody confirms it in time.

    Enter keeps it, and so does "remusnet confirm" from elsewhere; Ctrl-C goes back at
    once. Without a terminal it waits for "remusnet confirm". A process of its own goes
    back, whatever becomes of this one: a closed window, a lost connection, a kill. Back to
    no protection it goes only where nothing drives the plug.

    Exit code 0 confirmed, 1 gone back, 5 where it could not go back and stays, or where
    xl remus has set up the vif.

    \b
    remusnet try vif1.0 --policy real-time
    remusnet try vif1.0 --policy phones.toml --timeout 5min
    remusnet try vif1.0 --classifier flower --yes
    """
    from remusnet.api.protection import PlanOptions
    from remusnet.api.trying import Trying, start
    from remusnet.report.kernel import applied_json, applied_text

    options = PlanOptions(policy, interval, rate, classifier, buffer, limit, memory, decouple)
    begun = start(options, options.plan(vifs), run_dir, timeout, force=force)
    if not isinstance(begun, Trying):
        warn(begun.notes)
        echo(applied_json(begun) if as_json else applied_text(begun), nl=False, wrap=not as_json)
        return
    warn(begun.applied.notes)
    outcome = begun.confirm() if yes else _wait(begun, quiet=as_json)
    if as_json:
        click.echo(json.dumps(outcome.to_json(), indent=2))
    _end(outcome, told=as_json)


def _wait(begun: Trying, *, quiet: bool) -> Outcome:
    asks = sys.stdin is not None and sys.stdin.isatty()
    if not quiet:
        trial = begun.trial
        name = ", ".join(trial.vifs)
        elsewhere = f'"remusnet confirm {trial.vifs[0]}"'
        how = f"Enter keeps it, and so does {elsewhere}" if asks else f"{elsewhere} keeps it"
        back = f"goes back to {trial.old} in {trial.left_s:.0f} s"
        echo(f"{name}: on trial (policy {_policy(begun)}); {back}.\n{how}.")
        sys.stdout.flush()
    try:
        return _confirmed_or_ended(begun, asks=asks)
    except KeyboardInterrupt:
        begun.guard.go_back_now()
        return begun.ended()


def _confirmed_or_ended(begun: Trying, *, asks: bool) -> Outcome:
    guard, terminal = begun.guard.fileno(), 0
    while True:
        ready = select.select([guard, terminal] if asks else [guard], [], [])[0]
        if guard in ready:
            return begun.ended()
        # An end of the input is no answer.
        asks = bool(os.read(terminal, 4096))
        if asks:
            return begun.confirm()


def _policy(begun: Trying) -> str:
    return begun.applied.plan.classification.policy.name


def _end(outcome: Outcome, *, told: bool) -> None:
    from remusnet.results.trial import Ending

    if outcome.ending is Ending.BACK:
        raise CheckFailed(str(outcome))
    if outcome.ending is Ending.STAYS:
        raise Conflict(str(outcome))
    if not told:
        echo(str(outcome))
