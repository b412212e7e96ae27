"""``remusnet metrics``: what assertions can ask for."""

from __future__ import annotations

import click

from remusnet.cli import _completing
from remusnet.cli._terminal import console


@click.command("metrics")
@click.argument("words", metavar="[METRIC...]", nargs=-1, shell_complete=_completing.metrics)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(words: tuple[str, ...], as_json: bool) -> None:
    """List the metrics that simulate --assert can ask for, with unit and meaning.

    METRIC is a metric or its first words. Selectors choose among streams and runs:
    'rtp[policy=tcp-only, from=guest].jitter.mean < 6ms'.

    \b
    remusnet metrics
    remusnet metrics rtp.jitter mos
    remusnet metrics --json
    """
    from remusnet.report.metric_list import metrics_below, metrics_json, print_metrics

    found = metrics_below(words)
    if as_json:
        click.echo(metrics_json(found))
    else:
        print_metrics(console(), found)
