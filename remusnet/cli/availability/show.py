"""``remusnet availability show``: a net, module by module."""

from __future__ import annotations

import click

from remusnet.cli._terminal import echo
from remusnet.cli.availability._options import blueprint_of, model_argument, set_option


@click.command("show")
@model_argument
@set_option
@click.option("--dot", "form", flag_value="dot", help="Print it for graphviz.")
@click.option(
    "--pnml",
    "form",
    flag_value="pnml",
    help="Print it as PNML, for other tools (colours unfolded).",
)
@click.option("--svg", "form", flag_value="svg", help="Print a drawing.")
def command(model: str, settings: tuple[str, ...], form: str | None) -> None:
    """Show the net of MODEL, module by module: a design that ships, or a file (.toml).

    \b
    remusnet availability show actors
    remusnet availability show supervision
    remusnet availability show thesis-server --svg > server.svg
    remusnet availability show model.toml --dot | dot -Tpdf > model.pdf
    remusnet availability show model.toml --pnml > model.pnml
    """
    net = blueprint_of(model, settings).made().net
    match form:
        case "dot":
            from remusnet.report.net.dot import net_dot

            click.echo(net_dot(net), nl=False)
        case "pnml":
            from remusnet.report.net.pnml import net_pnml

            click.echo(net_pnml(net), nl=False)
        case "svg":
            from remusnet.report.net.svg import net_svg

            click.echo(net_svg(net), nl=False)
        case _:
            from remusnet.report.net.text import net_text

            echo(net_text(net))
