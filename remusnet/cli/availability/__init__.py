"""``remusnet availability``: how available a service is, design by design, from a model."""

from __future__ import annotations

from typing import ClassVar

import click

from remusnet.cli._lazy import LazyCommand, LazyGroup

_ROOM = "remusnet.cli.availability"
_SHIPPED = "Designs that ship"
_OWN = "Models of your own, and designs"


class _Group(LazyGroup):
    table: ClassVar = {
        "compare": LazyCommand(
            f"{_ROOM}.compare", "Compare five designs of a SIP server, service by service", _SHIPPED
        ),
        "thesis": LazyCommand(
            f"{_ROOM}.thesis", "Show the thesis's tables: printed and computed", _SHIPPED
        ),
        "run": LazyCommand(f"{_ROOM}.run", "Work out what a model is asked, and check it", _OWN),
        "sensitivity": LazyCommand(
            f"{_ROOM}.sensitivity", "Find out which parameter buys the most minutes", _OWN
        ),
        "show": LazyCommand(f"{_ROOM}.show", "Show a net, module by module: text or drawing", _OWN),
        "check": LazyCommand(f"{_ROOM}.check", "Name every mistake in model files", _OWN),
        "fit": LazyCommand(f"{_ROOM}.fit", "Turn measured failures into a model", _OWN),
    }


@click.group("availability", cls=_Group)
def command() -> None:
    """Compute from models how many minutes a year a service is not there.

    \b
    remusnet availability compare
    remusnet availability compare --set host.mttr=4h --service established-calls
    remusnet availability run model.toml --assert 'availability >= 0.9999'
    remusnet availability sensitivity actors-on-remus --service new-calls
    """
