"""``remusnet availability thesis``: its tables, printed and computed."""

from __future__ import annotations

import json

import click

from remusnet.cli._protecting import json_option
from remusnet.cli._terminal import echo


@click.command("thesis")
@click.option(
    "--restart-time",
    metavar="TIME",
    default="1s",
    show_default=True,
    help="An actor's restart, which the thesis does not give.",
)
@json_option
def command(restart_time: str, as_json: bool) -> None:
    """Show tables 1 and 2 of the thesis: printed, computed, and under each hypothesis.

    \b
    remusnet availability thesis
    remusnet availability thesis --restart-time 100ms --json
    """
    from remusnet.availability.models.parameters import parse_time
    from remusnet.availability.models.printed import HYPOTHESES, tables

    restart = parse_time(restart_time, "--restart-time")
    rows = tables(restart)
    if as_json:
        entries = [
            {
                "mean_h": each.mean_h,
                "mu": each.mu,
                "standard": {
                    "printed": each.standard_printed,
                    "age": each.standard_age,
                    "resample": each.standard_resample,
                },
                "actors": {"printed": each.actors_printed, "computed": each.actors_computed},
                "hypotheses": dict(each.hypotheses),
                "distances": dict(each.distances),
            }
            for each in rows
        ]
        click.echo(json.dumps({"rows": entries, "restart_time_s": restart}, indent=2))
        return
    echo("The standard system: availability")
    echo("E(X)    mu     printed    age        resample")
    for each in rows:
        shown = (each.standard_printed, each.standard_age, each.standard_resample)
        cells = "  ".join(f"{value:.7f}" for value in shown)
        echo(f"{each.mean_h:4} h  {each.mu:.2f}  {cells}")
    echo("")
    names = (10 * " ").join(HYPOTHESES)
    echo("Under each hypothesis, and that less the printed one")
    echo(f"E(X)    {names}")
    for each in rows:
        echo(f"{each.mean_h:4} h  " + "  ".join(f"{a:.7f}" for a in each.hypotheses.values()))
        echo(8 * " " + "  ".join(f"{by:<+9.6f}" for by in each.distances.values()))
    for name, meaning in HYPOTHESES.items():
        echo(f"  {name}: {meaning}")
    echo("")
    echo(f"Actors: mean availability of one, with a restart of {restart:g} s")
    echo("  (which is not in the thesis)")
    echo("E(X)    printed    computed")
    for each in rows:
        echo(f"{each.mean_h:4} h  {each.actors_printed:.7f}  {each.actors_computed:.9f}")
