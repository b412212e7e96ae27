"""``remusnet diff``: desired, current, and what apply would do."""

from __future__ import annotations

from pathlib import Path

import click

from remusnet import defaults
from remusnet.cli._completing import files
from remusnet.cli._domains import connect_option
from remusnet.cli._protecting import json_option, run_dir_option
from remusnet.cli._terminal import echo, warn
from remusnet.errors import CheckFailed


@click.command("diff")
@click.option(
    "--file",
    metavar="FILE",
    default=defaults.HOST_FILE,
    show_default=True,
    shell_complete=files,
    help="The host's file, with its [[vif]] tables.",
)
@click.option("--commands", is_flag=True, help="Print what apply would do as ip and tc.")
@connect_option("domains of the file")
@run_dir_option
@json_option
def command(file: str, commands: bool, uri: str, run_dir: Path, as_json: bool) -> None:
    """Compare this host with its desired state: what apply --file would change.

    Touches nothing. Vifs that are not there yet are listed, and no difference. Exit code 0 where
    all agrees, 1 where apply would change or refuse something, 2 for a mistaken file.

    \b
    remusnet diff
    remusnet diff --file new.toml --commands
    remusnet diff --json
    """
    from remusnet.api.host import difference
    from remusnet.host.desired import load_desired
    from remusnet.report.host import difference_json, difference_text

    found = difference(load_desired(file), run_dir, connect=uri)
    warn(found.notes)
    text = difference_json(found) if as_json else difference_text(found, commands=commands)
    echo(text, nl=False, wrap=not as_json and not commands)
    if not found.agrees:
        count = found.differing
        raise CheckFailed(f"{count} vif{'s differ' if count > 1 else ' differs'}")
