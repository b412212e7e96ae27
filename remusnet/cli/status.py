"""``remusnet status``: what is installed, and how much it holds."""

from __future__ import annotations

from pathlib import Path

import click

from remusnet.cli._completing import vifs
from remusnet.cli._domains import domain_options
from remusnet.cli._protecting import json_option, run_dir_option
from remusnet.cli._terminal import echo, warn


@click.command("status")
@click.argument("vifs", metavar="[VIF...]", nargs=-1, shell_complete=vifs)
@domain_options
@run_dir_option
@json_option
def command(
    vifs: tuple[str, ...], domain: str | None, uri: str, run_dir: Path, as_json: bool
) -> None:
    """Show what protects VIF (without VIF: every vif), and how much it holds.

    What the kernel can't be asked, the plug's limit and whether it is open, is the
    receipt's word and marked as unverified.

    \b
    remusnet status
    remusnet status vif1.0 --json
    remusnet status --domain guest
    """
    from remusnet.api.protection import status
    from remusnet.report.kernel import status_json, status_text

    found = status(*vifs, domain=domain, connect=uri, run_dir=run_dir)
    warn(found.notes)
    echo(status_json(found) if as_json else status_text(found), nl=False, wrap=not as_json)
