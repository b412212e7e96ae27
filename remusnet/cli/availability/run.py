"""``remusnet availability run``: a model's measures, with their intervals."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from remusnet.cli._completing import words
from remusnet.cli._folder import whole_or_gone
from remusnet.cli._progress import Progress
from remusnet.cli._protecting import json_option
from remusnet.cli._terminal import console, warn
from remusnet.cli._typed import TypedCommand, typed
from remusnet.cli.availability._options import (
    asked,
    blueprint_of,
    fail,
    file_options,
    model_argument,
    of_model,
    set_option,
    tell,
    write_files,
)
from remusnet.errors import quoted

if TYPE_CHECKING:
    from remusnet.availability.answers import Answer
    from remusnet.availability.model import Blueprint, Plan
    from remusnet.availability.sensitivity import Sensitivity

METHODS = ("exact", "closed form", "simulation")


@click.command("run", cls=TypedCommand)
@model_argument
@set_option
@click.option(
    "--relative-error",
    metavar="SHARE",
    help="Simulate until half the 95 % interval is at most so much of each value (of a "
    "probability, of its rarer side).  [default: the model's, else 1%]",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    metavar="N",
    help="The same seed gives the same run.  [default: the model's, else 1]",
)
@click.option(
    "--budget",
    metavar="EVENTS|TIME",
    help="Simulate at most so many events (5000000, 5M), or so long (60s).  [default: the "
    "model's, else some minutes]",
)
@click.option(
    "--rare",
    metavar="EXPRESSION",
    help="An event that is seldom met, as 'a.Up + b.Up == 0': the simulation splits on the way to "
    "it.  [default: the model's]",
)
@click.option(
    "--at",
    "moments",
    multiple=True,
    metavar="TIME",
    help="The values so long after the start as well: 1h. Repeat it.  [default: the model's]",
)
@click.option(
    "--phases",
    type=click.IntRange(2, 3),
    metavar="MOMENTS",
    help="Solve what would be simulated: each time as stages that have its first 2 or 3 moments.  "
    "[default: the model's]",
)
@click.option("--workers", type=click.IntRange(1, 1024), metavar="N", help="Cores.  [default: all]")
@click.option(
    "--method",
    type=click.Choice(METHODS),
    metavar="METHOD",
    shell_complete=words(*METHODS),
    help="exact, 'closed form' or simulation, and no other.  [default: the best that fits]",
)
@file_options
@json_option
@click.pass_context
def command(
    context: click.Context,
    model: str,
    settings: tuple[str, ...],
    relative_error: str | None,
    seed: int | None,
    budget: str | None,
    rare: str | None,
    moments: tuple[str, ...],
    phases: int | None,
    workers: int | None,
    method: str | None,
    assertions: tuple[str, ...],
    junit: str | None,
    csv: str | None,
    report: str | None,
    as_json: bool,
) -> None:
    """Work out what MODEL is asked: a file (.toml), or a design that ships.

    Each value has its 95 % interval and its method: exact, closed form, or simulation where
    neither fits. An assertion holds or fails by the whole interval; otherwise it is undecided,
    which is exit code 1 as well, and so is a precision that the budget was too small for.

    \b
    remusnet availability run model.toml
    remusnet availability run model.toml --relative-error 0.5% --seed 7 --json
    remusnet availability run actors --set actor.restart=300ms
    remusnet availability run model.toml --assert 'downtime[service=calls] < 1h' --junit out.xml
    remusnet availability run model.toml --at 1h --at 1d
    remusnet availability run thesis-actor --phases 2
    remusnet availability run model.toml --report report/
    """
    from remusnet.availability.answers import Means, answered
    from remusnet.availability.file.run_keys import parse_moments
    from remusnet.availability.measures import Method
    from remusnet.availability.phases import Phases
    from remusnet.report.availability.assertions import asked as seen
    from remusnet.report.availability.assertions import judge
    from remusnet.report.availability.directory import write_availability
    from remusnet.report.availability.document import (
        as_text,
        csv_text,
        run_document,
        sensitivity_entry,
    )
    from remusnet.report.availability.page import Told, setting

    blueprint = blueprint_of(model, settings)
    plan = _plan(blueprint.plan, relative_error, seed, budget, method)
    if rare is not None:
        plan = replace(plan, rare=rare)
    if moments:
        plan = replace(plan, at=parse_moments(moments))
    if phases is not None:
        plan = replace(plan, phases=Phases(phases))
    with Progress() as progress, whole_or_gone(Path(report) if report else None) as whole:
        wanted = asked(assertions, junit, csv, report)

        def simulated(events: int) -> None:
            progress.step(f"simulating: {events} events")

        means = Means(simulated, time.monotonic, workers)
        progress.step(f"solving {blueprint.name}")
        made = blueprint.made()
        with of_model(model):
            answer = answered(made, plan, means, split=True)
        if plan.phases is not None and answer.estimates[0].method == Method.SIMULATION:
            warn(["phase-type: the stages make too many states: it was simulated"])
        judged = judge(wanted.assertions, seen(answer.estimates, made.services))
        document = run_document(answer, blueprint.given, judged)
        rows = csv_text((made.name, each) for each in answer.estimates)
        written = write_files(wanted, made.name, "run", judged, rows)
        if wanted.report is not None:
            line = typed(context, without=("report", "junit", "csv", "as_json"))
            told = Told(
                title=made.name,
                description=blueprint.description,
                setting=setting(answer),
                answers=(answer,),
                given=tuple(blueprint.given.values()),
                judged=judged,
                sensitivity=tuple(
                    (each.service.name, each)
                    for each in _sensitivity(blueprint, plan, answer, workers, progress)
                ),
                nets=(made.net,),
                command=f"{line} --report DIR",
            )
            progress.step(f"drawing the report {quoted(str(wanted.report))}")
            document["sensitivity"] = [sensitivity_entry(each) for _, each in told.sensitivity]
            written.append(write_availability(wanted.report, told, document, rows))
        whole()
    if as_json:
        click.echo(as_text(document), nl=False)
    else:
        from remusnet.report.availability.text import print_answer

        print_answer(console(), blueprint, answer)
        tell(judged)
        for file in written:
            click.echo(f"wrote {quoted(str(file))}")
    fail(judged, _unreached(answer), told=not as_json)


def _sensitivity(
    blueprint: Blueprint, plan: Plan, answer: Answer, workers: int | None, progress: Progress
) -> tuple[Sensitivity, ...]:
    """The report's sensitivity: each simulation takes at most as many events as the answer."""
    from remusnet.availability.answers import Means
    from remusnet.availability.model import Budget
    from remusnet.availability.sensitivity import sensitivity

    if not answer.services:
        return ()
    if answer.events:
        plan = replace(plan, budget=Budget(answer.events))

    def varied(done: int, every: int) -> None:
        progress.step(f"varying parameters: {done} of {every}")

    return sensitivity(blueprint, plan, (), Means(workers=workers), varied)


def _plan(
    plan: Plan,
    relative_error: str | None,
    seed: int | None,
    budget: str | None,
    method: str | None,
) -> Plan:
    """The model's plan, with what was typed in its place."""
    from remusnet.availability.file.run_keys import parse_budget, parse_relative_error
    from remusnet.availability.measures import Method

    if relative_error is not None:
        plan = replace(plan, relative_error=parse_relative_error(relative_error))
    if seed is not None:
        plan = replace(plan, seed=seed)
    if budget is not None:
        plan = replace(plan, budget=parse_budget(budget))
    if method is not None:
        plan = replace(plan, method=Method(method))
    return plan


def _unreached(answer: Answer) -> str:
    """What was reached of the precision that was asked for; empty where all of it was."""
    worst = [each for each in answer.estimates if not each.reached]
    reached = [f"{quoted(each.name)} at times" for each in answer.curves if not each.reached]
    if not worst and not reached:
        return ""
    for each in worst:
        scale = each.value if each.rest is None else min(each.value, each.rest)
        if each.low is None or each.high is None or not scale:
            reached.append(f"{quoted(each.name)} was not seen to change")
            continue
        error = (each.high - each.low) / 2 / abs(scale)
        reached.append(f"{quoted(each.name)} to {error:.2%}")
    return (
        f"{answer.events} events are too few for a relative error of "
        f"{answer.plan.relative_error:.3g}: {', '.join(reached)}"
    )
