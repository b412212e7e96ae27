"""``remusnet availability compare``: five designs side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from remusnet.cli._folder import whole_or_gone
from remusnet.cli._progress import Progress
from remusnet.cli._protecting import json_option
from remusnet.cli._terminal import console, echo
from remusnet.cli._typed import TypedCommand, typed
from remusnet.cli.availability._options import (
    asked,
    fail,
    file_options,
    service_names,
    service_option,
    set_option,
    tell,
    write_files,
)
from remusnet.errors import quoted

if TYPE_CHECKING:
    from remusnet.availability.model import Given
    from remusnet.availability.sensitivity import Sensitivity
    from remusnet.report.availability.assertions import Asked as Seen


@click.command("compare", cls=TypedCommand)
@set_option
@service_option
@click.option("--parameters", is_flag=True, help="List the parameters with their sources, and end.")
@file_options
@json_option
@click.pass_context
def command(
    context: click.Context,
    settings: tuple[str, ...],
    services: tuple[str, ...],
    parameters: bool,
    assertions: tuple[str, ...],
    junit: str | None,
    csv: str | None,
    report: str | None,
    as_json: bool,
) -> None:
    """Compare five designs of a SIP server: availability, nines, downtime a year, by service.

    \b
    remusnet availability compare
    remusnet availability compare --set host.mttr=4h --set remus.failover=1s
    remusnet availability compare --assert 'nines[design=actors-on-remus] >= 3.5'
    remusnet availability compare --report report/
    remusnet availability compare --parameters
    """
    from remusnet.availability.models.designs import SERVICES
    from remusnet.availability.models.parameters import PARAMETERS, values

    service_names(services, SERVICES)
    if parameters:
        chosen = values(settings)
        _list_parameters(as_json, {name: chosen[name] for name in PARAMETERS})
        return
    from remusnet.availability.answers import answered
    from remusnet.availability.model import Plan
    from remusnet.availability.models.designs import DESIGNS
    from remusnet.availability.models.library import blueprint
    from remusnet.report.availability.assertions import asked as seen
    from remusnet.report.availability.assertions import judge
    from remusnet.report.availability.directory import write_availability
    from remusnet.report.availability.document import compare_document, csv_text
    from remusnet.report.availability.page import Told

    given: dict[str, Given] = {}
    answers = []
    found: list[Seen] = []
    with Progress() as progress, whole_or_gone(Path(report) if report else None) as whole:
        wanted = asked(assertions, junit, csv, report)
        for design in DESIGNS:
            progress.step(f"solving {design}")
            made = blueprint(design, settings)
            given.update(made.given)
            answer = answered(made.made(), Plan(), split=wanted.report is not None)
            answers.append(answer)
            labelled = seen(answer.estimates, answer.model.services, ("design", design))
            found += [each for each in labelled if not services or each.estimate.name in services]
        rows = [(str(each.label("design")), each.estimate) for each in found]
        judged = judge(wanted.assertions, found)
        document = compare_document(rows, judged)
        table = csv_text(rows)
        written = write_files(wanted, "compare", "compare", judged, table)
        if wanted.report is not None:
            told = Told(
                title="Designs of a SIP server",
                description="How many minutes a year each service is not there, by design.",
                setting=(("method", "exact"), ("designs", ", ".join(DESIGNS))),
                answers=tuple(answers),
                given=tuple(given[name] for name in PARAMETERS if name in given),
                judged=judged,
                sensitivity=_sensitivity(settings, services, progress),
                nets=tuple(each.model.net for each in answers),
                services=services,
                command=f"{typed(context, without=_NOT_ASKED)} --report DIR",
            )
            progress.step(f"drawing the report {quoted(str(wanted.report))}")
            written.append(write_availability(wanted.report, told, document, table))
        whole()
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        from remusnet.report.availability.text import print_designs

        print_designs(console(), rows)
        tell(judged)
        for file in written:
            click.echo(f"wrote {quoted(str(file))}")
    fail(judged, "", told=not as_json)


def _sensitivity(
    settings: Sequence[str], services: Sequence[str], progress: Progress
) -> tuple[tuple[str, Sensitivity], ...]:
    """The report's sensitivity of each design: of the services asked for, else of new calls."""
    from remusnet.availability.model import Plan
    from remusnet.availability.models.designs import DESIGNS
    from remusnet.availability.models.library import blueprint
    from remusnet.availability.sensitivity import sensitivity

    found = []
    for design in DESIGNS:

        def varied(done: int, every: int, design: str = design) -> None:
            progress.step(f"varying the parameters of {design}: {done} of {every}")

        asked = services or ("new-calls",)
        of_design = sensitivity(blueprint(design, settings), Plan(), asked, progress=varied)
        found += [(f"{design}: {each.service.name}", each) for each in of_design]
    return tuple(found)


_NOT_ASKED = ("report", "junit", "csv", "as_json")


def _list_parameters(as_json: bool, numbers: dict[str, float]) -> None:
    from remusnet.availability.models.parameters import PARAMETERS, Unit

    if as_json:
        entries = [
            {
                "name": each.name,
                "value": numbers[each.name],
                "unit": "s" if each.unit == Unit.TIME else "1",
                "meaning": each.meaning,
                "source": each.source,
            }
            for each in PARAMETERS.values()
        ]
        click.echo(json.dumps({"parameters": entries}, indent=2))
        return
    for each in PARAMETERS.values():
        shown = each.shown(numbers[each.name])
        echo(f"{each.name:<18} {shown:>9}  {each.meaning} ({each.source})")
