"""``remusnet status``: what is installed, and how much it holds."""

from __future__ import annotations

from pathlib import Path

import click

from remusnet.cli._completing import files, vifs
from remusnet.cli._domains import domain_options
from remusnet.cli._protecting import json_option, run_dir_option
from remusnet.cli._terminal import echo, warn


@click.command("status")
@click.argument("vifs", metavar="[VIF...]", nargs=-1, shell_complete=vifs)
@domain_options
@run_dir_option
@json_option
@click.option(
    "--watch", is_flag=True, help="Again and again: a table, or in a pipe a line a second."
)
@click.option(
    "--prometheus",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    shell_complete=files,
    help="Write metrics, as one step, for the node exporter's textfile collector; -: print them.",
)
def command(
    vifs: tuple[str, ...],
    domain: str | None,
    uri: str,
    run_dir: Path,
    as_json: bool,
    watch: bool,
    prometheus: Path | None,
) -> None:
    """Show what protects VIF (without VIF: every vif), and how much it holds.

    What the kernel can't be asked, the plug's limit and whether it is open, is the
    receipt's word and marked as unverified.

    \b
    remusnet status
    remusnet status vif1.0 --json
    remusnet status --domain guest
    remusnet status --watch
    remusnet status --prometheus /var/lib/prometheus/node-exporter/remusnet.prom
    """
    if watch:
        _watch(vifs, domain, uri, run_dir, as_json, prometheus)
        return
    if prometheus is not None:
        _metrics(prometheus, vifs, domain, run_dir, as_json)
        return
    from remusnet.api.protection import status
    from remusnet.report.kernel import status_json, status_text

    found = status(*vifs, domain=domain, connect=uri, run_dir=run_dir)
    warn(found.notes)
    echo(status_json(found) if as_json else status_text(found), nl=False, wrap=not as_json)


def _watch(
    vifs: tuple[str, ...],
    domain: str | None,
    uri: str,
    run_dir: Path,
    as_json: bool,
    prometheus: Path | None,
) -> None:
    from remusnet.api.protection import groups_of
    from remusnet.cli._live import watch_status

    if prometheus is not None:
        raise click.UsageError("--watch or --prometheus, not both")
    chosen = tuple(vif for group in groups_of(vifs, domain, uri) for vif in group)
    watch_status(chosen, run_dir, as_json=as_json)


def _metrics(
    file: Path, vifs: tuple[str, ...], domain: str | None, run_dir: Path, as_json: bool
) -> None:
    from remusnet.api.monitoring import metrics_text, write_metrics

    if domain is not None or as_json:
        raise click.UsageError("--prometheus goes with neither --domain nor --json")
    if str(file) == "-":
        click.echo(metrics_text(*vifs, run_dir=run_dir), nl=False)
    else:
        write_metrics(file, *vifs, run_dir=run_dir)
