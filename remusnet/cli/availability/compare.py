"""``remusnet availability compare``: five designs side by side."""

from __future__ import annotations

import json
import math

import click

from remusnet.cli._completing import words
from remusnet.cli._progress import Progress
from remusnet.cli._protecting import json_option
from remusnet.cli._terminal import echo


@click.command("compare")
@click.option(
    "--set", "settings", multiple=True, metavar="PARAMETER=VALUE", help="Repeat it: host.mttr=4h."
)
@click.option(
    "--service",
    "services",
    multiple=True,
    metavar="registration|new-calls|established-calls",
    shell_complete=words("registration", "new-calls", "established-calls"),
    help="Only this one. Repeat it.",
)
@click.option("--parameters", is_flag=True, help="List the parameters with their sources, and end.")
@json_option
def command(
    settings: tuple[str, ...], services: tuple[str, ...], parameters: bool, as_json: bool
) -> None:
    """Compare five designs of a SIP server: availability, nines, downtime a year, by service.

    \b
    remusnet availability compare
    remusnet availability compare --set host.mttr=4h --set remus.failover=1s
    remusnet availability compare --parameters
    """
    from remusnet.availability.models.designs import DESIGNS, SERVICES, compared
    from remusnet.availability.models.parameters import PARAMETERS, values
    from remusnet.errors import InvalidInput, quoted, suggestion

    for service in services:
        if service not in SERVICES:
            raise InvalidInput(f"unknown service {quoted(service)}{suggestion(service, SERVICES)}")
    chosen = values(settings)
    if parameters:
        _list_parameters(as_json, {name: chosen[name] for name in PARAMETERS})
        return
    rows = []
    with Progress() as progress:
        for design in DESIGNS:
            progress.step(f"solving {design}")
            rows += [
                (design, found)
                for found in compared(chosen, design)
                if not services or found.name in services
            ]
    if as_json:
        entries = [
            {
                "design": design,
                "service": each.name,
                "availability": each.value,
                "low": each.low,
                "high": each.high,
                "downtime_s_a_year": each.downtime_s_a_year,
                "method": each.method.value,
            }
            for design, each in rows
        ]
        click.echo(json.dumps({"designs": entries}, indent=2))
        return
    echo(
        f"{'design':<16} {'service':<18} {'availability':>13} {'nines':>6} {'min/year':>9}  method"
    )
    for design, each in rows:
        down = (each.downtime_s_a_year or 0.0) / 60
        nines = each.nines or 0.0
        shown = f"{nines:6.2f}" if math.isfinite(nines) else "   all"
        echo(
            f"{design:<16} {each.name:<18} {each.value:13.8%} {shown} {down:9.2f}"
            f"  {each.method.value}"
        )


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
