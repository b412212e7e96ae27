"""``remusnet verify``: desired, current, difference."""

from __future__ import annotations

from pathlib import Path

import click

from remusnet.cli._completing import vifs
from remusnet.cli._protecting import json_option, run_dir_option
from remusnet.cli._terminal import echo, warn
from remusnet.errors import CheckFailed


@click.command("verify")
@click.argument("vifs", metavar="[VIF...]", nargs=-1, shell_complete=vifs)
@run_dir_option
@json_option
def command(vifs: tuple[str, ...], run_dir: Path, as_json: bool) -> None:
    """Compare what was applied to VIF (without VIF: to every vif) with the kernel.

    Exit code 0 only where they agree, 1 where they do not. Changes nothing;
    "remusnet apply" repairs, "remusnet remove" clears.

    \b
    remusnet verify
    remusnet verify vif1.0 --json
    """
    from remusnet.api.protection import verify
    from remusnet.report.kernel import verified_json, verified_text

    found = verify(*vifs, run_dir=run_dir)
    warn(found.notes)
    echo(verified_json(found) if as_json else verified_text(found), nl=False, wrap=not as_json)
    count = sum(len(each.differences) for each in found)
    if count:
        raise CheckFailed(f"{count} difference{'s' if count > 1 else ''}")
