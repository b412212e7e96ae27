"""``remusnet confirm``: what is on trial stays."""

from __future__ import annotations

import json
from pathlib import Path

import click

from remusnet.cli._completing import vifs
from remusnet.cli._protecting import json_option, plain_run_dir_option
from remusnet.cli._terminal import echo


@click.command("confirm")
@click.argument("vifs", metavar="[VIF...]", nargs=-1, shell_complete=vifs)
@plain_run_dir_option
@json_option
def command(vifs: tuple[str, ...], run_dir: Path, as_json: bool) -> None:
    """Keep what "remusnet try" has applied to VIF (without VIF: all that is on trial).

    Exit code 1 where nothing is on trial: it has gone back, or was confirmed before.

    \b
    remusnet confirm
    remusnet confirm vif1.0
    """
    from remusnet.host.trial import confirm
    from remusnet.results.trial import Ending, Outcome

    found = [Outcome(each.vifs, Ending.CONFIRMED, each.old) for each in confirm(vifs, run_dir)]
    if as_json:
        click.echo(json.dumps({"confirmed": [each.to_json() for each in found]}, indent=2))
        return
    for outcome in found:
        echo(str(outcome))
