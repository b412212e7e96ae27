"""``remusnet plan``: what would be done to the kernel, without doing it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from remusnet.cli._completing import folders
from remusnet.cli._protecting import plan_options
from remusnet.errors import InvalidInput, quoted

if TYPE_CHECKING:
    from remusnet.plan.plan import Plan
    from remusnet.policy import Policy

LARGEST_TEMPLATE = 1 << 20
_OPERATIONS_A_SECOND = 5000
"""A slow processor renders more than that."""


@click.command("plan")
@plan_options
@click.option(
    "--format",
    "form",
    type=click.Choice(("sh", "batch", "json")),
    default="sh",
    show_default=True,
    help="A script to read, ip and tc batches, or JSON.",
)
@click.option(
    "--templates",
    metavar="DIR",
    shell_complete=folders,
    help="Use the *.j2 files of DIR instead of ours.",
)
@click.option("--undo", is_flag=True, help="Print what takes the plan back.")
def command(
    vifs: tuple[str, ...],
    policy: Policy,
    classifier: str,
    buffer: str | None,
    interval: int,
    rate: int,
    limit: int | None,
    memory: int | None,
    decouple: bool,
    form: str,
    templates: str | None,
    undo: bool,
) -> None:
    """Print the commands that would protect VIF: a dry run.

    Nothing is touched; neither root, nor tc, nor the device is needed. Without
    --buffer each VIF has a buffer device named after it (ifb-1.0 for vif1.0).

    \b
    remusnet plan vif1.0
    remusnet plan vif1.0 vif1.0-emu --buffer ifb-1 --policy real-time
    remusnet plan vif1.0 --interval 400ms --rate 100mbit --format batch
    remusnet plan vif1.0 --memory 64MB
    remusnet plan vif1.0 --undo | sh -x
    """
    from remusnet.api.protection import PlanOptions
    from remusnet.plan.render import render

    options = PlanOptions(policy, interval, rate, classifier, buffer, limit, memory, decouple)
    plan = options.plan(vifs)
    if templates is None:
        click.echo(render(plan, form, undo=undo), nl=False)
    else:
        click.echo(_render_own(plan, form, _read_templates(Path(templates)), undo=undo), nl=False)


def _render_own(plan: Plan, form: str, templates: dict[str, str], *, undo: bool) -> str:
    """Renders in a process of its own: a template can loop, or fill the memory."""
    from remusnet.host.bounded import bounded

    seconds = 1 + len(plan.operations) // _OPERATIONS_A_SECOND
    return bounded(rendered, plan, form, undo, templates, seconds=seconds, what="the templates")


def rendered(plan: Plan, form: str, undo: bool, templates: dict[str, str]) -> str:
    """`render`, by position."""
    from remusnet.plan.render import render

    return render(plan, form, undo=undo, templates=templates)


def _read_templates(folder: Path) -> dict[str, str]:
    """The templates in ``folder`` by file name. Raises InvalidInput where there is none to read."""
    if not folder.is_dir():
        raise InvalidInput(f"no such folder: {quoted(str(folder))}")
    found = {}
    for path in sorted(folder.glob("*.j2")):
        if not path.is_file():
            raise InvalidInput(f"{quoted(str(path))}: not a file")
        if path.stat().st_size > LARGEST_TEMPLATE:
            raise InvalidInput(f"{quoted(str(path))}: larger than a template can be")
        try:
            found[path.name] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{quoted(str(path))}: not UTF-8 ({error.reason})") from error
    if not found:
        raise InvalidInput(f"no *.j2 templates in {quoted(str(folder))}")
    return found
