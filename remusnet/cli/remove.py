"""``remusnet remove``: the end of a protection."""

from __future__ import annotations

from pathlib import Path

import click

from remusnet.cli._completing import vifs
from remusnet.cli._protecting import json_option, run_dir_option
from remusnet.cli._terminal import echo, warn


@click.command("remove")
@click.argument("vifs", metavar="VIF...", nargs=-1, shell_complete=vifs, required=True)
@click.option("--force", is_flag=True, help="Even while something drives the plug.")
@click.option("--drop", is_flag=True, help="Drop what is held: the guest was fenced.")
@run_dir_option
@json_option
def command(vifs: tuple[str, ...], force: bool, drop: bool, run_dir: Path, as_json: bool) -> None:
    """End the protection of VIF: release what is held, then leave no trace.

    Nothing that is held is lost. With --drop nothing that is held leaves: for a
    guest that has failed over, whose backup has taken its place. After a kill, or
    without the receipt, the kernel's own marks say what to remove. Of vifs that were
    renamed, only what is theirs goes: name all that send to one buffer device.

    \b
    remusnet remove vif1.0
    remusnet remove vif1.0 vif1.0-emu --drop
    remusnet remove vif1.0 --json
    """
    from remusnet.api.protection import remove
    from remusnet.report.kernel import removed_json, removed_text

    done = remove(*vifs, run_dir=run_dir, force=force, drop=drop)
    warn(done.problems)
    echo(removed_json(done) if as_json else removed_text(done), nl=False, wrap=not as_json)
