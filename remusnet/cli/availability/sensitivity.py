"""``remusnet availability sensitivity``: which parameter buys the most minutes."""

from __future__ import annotations

import time

import click

from remusnet.cli._progress import Progress
from remusnet.cli._protecting import json_option
from remusnet.cli._terminal import console, echo
from remusnet.cli.availability._options import (
    blueprint_of,
    model_argument,
    of_model,
    service_names,
    service_option,
    set_option,
)


@click.command("sensitivity")
@model_argument
@set_option
@service_option
@json_option
def command(
    model: str, settings: tuple[str, ...], services: tuple[str, ...], as_json: bool
) -> None:
    """Find out which parameter of MODEL buys the most minutes a year.

    Each parameter is halved and doubled, while all others stay as they are. Those that save most
    come first. Where a model has to be simulated, a saving within the intervals is none.

    \b
    remusnet availability sensitivity actors-on-remus
    remusnet availability sensitivity model.toml --service calls --set disk.mttr=1h --json
    """
    from remusnet.availability.answers import Means
    from remusnet.availability.sensitivity import sensitivity

    blueprint = blueprint_of(model, settings)
    with Progress() as progress, of_model(model):
        service_names(services, [each.name for each in blueprint.made().services])
        progress.step(f"solving {blueprint.name}")

        def varied(done: int, whole: int) -> None:
            progress.step(f"varying parameters: {done} of {whole}")

        means = Means(clock=time.monotonic)
        found = sensitivity(blueprint, blueprint.plan, services, means, varied)
    if as_json:
        from remusnet.report.availability.document import as_text, sensitivity_document

        click.echo(as_text(sensitivity_document(blueprint.name, found)), nl=False)
        return
    from remusnet.report.availability.text import print_sensitivity

    print_sensitivity(console(), found)
    echo("")
    echo("Each parameter was halved, and doubled, with all others as they are.")
