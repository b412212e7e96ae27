"""``remusnet tune``: the checkpoint interval that keeps what is required and costs least."""

from __future__ import annotations

from pathlib import Path

import click

from remusnet.cli._completing import folders, metrics
from remusnet.cli._folder import whole_or_gone
from remusnet.cli._interrupts import load_chance
from remusnet.cli._options import PolicyType
from remusnet.cli._progress import Progress
from remusnet.cli._sweeping import (
    check_engine_option,
    echo_choice,
    grid_options,
    guest_named,
    setting,
    told,
)
from remusnet.cli._typed import TypedCommand, typed
from remusnet.errors import CheckFailed, InvalidInput, quoted
from remusnet.policy import Policy


@click.command("tune", cls=TypedCommand)
@grid_options
@click.option(
    "--policy",
    type=PolicyType(),
    default="tcp-only",
    show_default=True,
    metavar="NAME|FILE",
    help="A shipped policy, or a policy file.",
)
@click.option(
    "--require",
    "requirements",
    multiple=True,
    metavar="EXPRESSION",
    shell_complete=metrics,
    help="What has to hold at the interval, in every run: 'mos.min >= 4.0'. Repeat it.",
)
@click.option("--minimise", metavar="METRIC", shell_complete=metrics, help="Have the least of it.")
@click.option("--maximise", metavar="METRIC", shell_complete=metrics, help="Have the most of it.")
@click.option(
    "--report",
    metavar="DIR",
    shell_complete=folders,
    help="Write a page: the choice, and the curves that it is made from.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(
    context: click.Context,
    scenario: str,
    interval: str,
    points: int,
    guest: str | None,
    repeats: int,
    workers: int | None,
    engine: str | None,
    policy: Policy,
    requirements: tuple[str, ...],
    minimise: str | None,
    maximise: str | None,
    report: str | None,
    as_json: bool,
) -> None:
    """Find the checkpoint interval of a SCENARIO that is best for what you want.

    A grid of intervals is simulated first, then finer ones around the best, until half a percent
    is left. It says which requirement binds, and which intervals are as good. Exit code 1: no
    interval keeps all requirements; it says which one does not, or that they exclude each other.

    \b
    remusnet tune call.toml --require 'mos.min >= 4.0' --require 'tcp.hold.p99 < 300ms' \\
        --minimise overhead
    remusnet tune call.toml --guest busy-pbx --minimise tcp.hold.p99 --require 'overhead < 10%'

    "remusnet metrics" lists what can be asked for.
    """
    from remusnet.api.sweeps import Sweep, Tuning, tune
    from remusnet.api.sweeps import metrics as metrics_named
    from remusnet.sweep.choice import choice, choice_json
    from remusnet.sweep.grid import intervals
    from remusnet.sweep.optimum import Nothing

    if minimise is not None and maximise is not None:
        raise click.UsageError("--minimise, --maximise: give one of them, not both")
    if minimise is None and maximise is None:
        minimise = "overhead"
    check_engine_option(engine, workers)
    (objective,) = metrics_named([minimise or maximise or ""])
    grid = intervals(interval, points)
    if len(grid) < 2:
        raise InvalidInput("--interval: a range, or two intervals at least, to choose from")
    model = guest_named(guest)
    load_chance()
    base = Sweep(scenario, grid, (policy,), asked=(objective,), repeats=repeats, guest=model)
    wanted = Tuning(base, requirements, objective, maximise=maximise is not None)
    if report is not None:
        from remusnet.report.drawing import style
        from remusnet.report.folder import prepare
        from remusnet.sweep.page import KIND

        with style():  # is matplotlib there?
            prepare(Path(report), KIND)
    with Progress() as progress, whole_or_gone(Path(report) if report else None) as finished:
        result = tune(wanted, workers=workers, engine=engine, tell=told(progress, "tuning"))
        words = choice(result, objective, maximise=wanted.maximise)
        document = choice_json(result, objective)
        if report is not None:
            from remusnet.api.sweeps import curves_of
            from remusnet.sweep.page import Tuned, write_sweep
            from remusnet.sweep.trade import short

            done = curves_of(
                wanted, result, workers=workers, engine=engine, tell=told(progress, "curves")
            )
            shown = [short(each) for each in grid]
            without = ("report", "as_json", "workers", "engine")
            write_sweep(
                Path(report),
                done.rows,
                done.means,
                done.asked,
                done.keys,
                title=f"The best checkpoint interval for {scenario}",
                setting=[("Policy", policy.name), *setting(scenario, shown, model, repeats)],
                command=f"{typed(context, without=without)} --report DIR",
                tuned=Tuned(words, document, requirements),
            )
            finished()
    if as_json:
        import json

        click.echo(json.dumps(document, indent=2))
    else:
        echo_choice(words)
    if report is not None and not as_json:
        click.echo(f"wrote {quoted(report.rstrip('/') + '/index.html')}")
    if isinstance(result, Nothing) and result.unread:
        raise CheckFailed(f"{scenario}: nothing in it gives {objective.text}")
    if not words.found:
        raise CheckFailed(
            f"{scenario}: no checkpoint interval from {interval} keeps all requirements"
        )
