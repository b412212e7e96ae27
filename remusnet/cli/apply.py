"""``remusnet apply``: a plan, done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from remusnet.cli._completing import vifs
from remusnet.cli._domains import domain_options
from remusnet.cli._protecting import json_option, run_dir_option, terms_options
from remusnet.cli._terminal import echo, warn
from remusnet.errors import InvalidInput

if TYPE_CHECKING:
    from remusnet.policy import Policy


@click.command("apply")
@click.argument("vifs", metavar="[VIF...]", nargs=-1, shell_complete=vifs)
@domain_options
@terms_options
@click.option("--force", is_flag=True, help="Even where it can cost half of the memory.")
@click.option("--dry-run", is_flag=True, help="Print the plan, touch nothing.")
@run_dir_option
@json_option
def command(
    vifs: tuple[str, ...],
    domain: str | None,
    uri: str,
    policy: Policy,
    classifier: str,
    buffer: str | None,
    interval: int,
    rate: int,
    limit: int | None,
    memory: int | None,
    decouple: bool,
    force: bool,
    dry_run: bool,
    run_dir: Path,
    as_json: bool,
) -> None:
    """Protect VIF: hold what the policy holds of what its guest sends.

    All or nothing: whatever fails, a signal too, leaves the kernel as it was. What
    was done is looked at before the command ends. The same once more changes nothing;
    another policy or limit takes the place of the old one without a gap.

    Where a flood of small frames could cost more than half of this host's memory, it is
    refused: --memory bounds it, --force goes on all the same.

    \b
    --classifier auto  asks the kernel what it has; takes an exact one if any is

    \b
    remusnet apply vif1.0
    remusnet apply vif1.0 vif1.0-emu --buffer ifb-1 --policy real-time
    remusnet apply vif1.0 --interval 400ms --rate 100mbit --dry-run
    remusnet apply vif1.0 --memory 64MB
    remusnet apply vif1.0 --policy real-time --classifier auto
    remusnet apply --domain guest
    """
    from remusnet.api.protection import PlanOptions, groups_of

    groups = groups_of(vifs, domain, uri)
    if not groups:
        raise InvalidInput("what is to be protected? Give VIF, or --domain NAME (see --help)")
    options = PlanOptions(policy, interval, rate, classifier, buffer, limit, memory, decouple)
    plan = options.plan(groups)
    if dry_run:
        from remusnet.plan.render import render

        click.echo(render(plan, "json" if as_json else "sh"), nl=False)
        return

    from remusnet.report.kernel import applied_json, applied_text

    done = options.apply(plan, run_dir, force=force)
    warn(done.notes)
    echo(applied_json(done) if as_json else applied_text(done), nl=False, wrap=not as_json)
