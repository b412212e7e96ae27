"""``remusnet plan``: what would be done to the kernel, without doing it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from remusnet.cli._options import policy_option
from remusnet.errors import InvalidInput, quoted
from remusnet.units import format_duration, format_rate, parse_duration, parse_rate, parse_size

if TYPE_CHECKING:
    from remusnet.policy import Policy

DEFAULT_INTERVAL_NS = 200_000_000
"""xl's own default (xl.1, remus -i)."""
DEFAULT_RATE = 10**9
LARGEST_TEMPLATE = 1 << 20


@click.command("plan")
@click.argument("vifs", metavar="VIF...", nargs=-1, required=True)
@policy_option()
@click.option("--classifier", default="u32", show_default=True, help="Kind of kernel filter.")
@click.option("--buffer", metavar="IFB", help="One buffer device for all VIFs.")
@click.option(
    "--interval",
    metavar="TIME",
    default=format_duration(DEFAULT_INTERVAL_NS),
    show_default=True,
    help="Checkpoint interval.",
)
@click.option(
    "--rate",
    metavar="RATE",
    default=format_rate(DEFAULT_RATE),
    show_default=True,
    help="Rate of the link, for the plug's limit.",
)
@click.option("--limit", metavar="SIZE", help="The plug's limit.  [default: 2 x rate x interval]")
@click.option(
    "--format",
    "form",
    type=click.Choice(("sh", "batch", "json")),
    default="sh",
    show_default=True,
    help="A script to read, ip and tc batches, or JSON.",
)
@click.option("--templates", metavar="DIR", help="Use the *.j2 files of DIR instead of ours.")
@click.option("--undo", is_flag=True, help="Print what takes the plan back.")
def command(
    vifs: tuple[str, ...],
    policy: Policy,
    classifier: str,
    buffer: str | None,
    interval: str,
    rate: str,
    limit: str | None,
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
    remusnet plan vif1.0 --undo | sh -x
    """
    from remusnet.plan.build import build_plan
    from remusnet.plan.render import render

    interval_ns = parse_duration(interval)
    if interval_ns == 0:
        raise InvalidInput(f"invalid interval: {quoted(interval)}; expected more than 0")
    plan = build_plan(
        vifs,
        policy,
        classifier=classifier,
        buffer=buffer,
        rate=parse_rate(rate),
        interval_ns=interval_ns,
        limit=None if limit is None else parse_size(limit),
    )
    own = None if templates is None else _read_templates(Path(templates))
    click.echo(render(plan, form, undo=undo, templates=own), nl=False)


def _read_templates(folder: Path) -> dict[str, str]:
    """The templates in ``folder`` by file name. Raises InvalidInput where there is none to read."""
    if not folder.is_dir():
        raise InvalidInput(f"no such folder: {quoted(str(folder))}")
    found = {}
    for path in sorted(folder.glob("*.j2")):
        if path.stat().st_size > LARGEST_TEMPLATE:
            raise InvalidInput(f"{quoted(str(path))}: larger than a template can be")
        try:
            found[path.name] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{quoted(str(path))}: not UTF-8 ({error.reason})") from error
    if not found:
        raise InvalidInput(f"no *.j2 templates in {quoted(str(folder))}")
    return found
