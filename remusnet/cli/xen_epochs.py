"""``remusnet xen fit``: what a guest's checkpoints take, from measured ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from remusnet.cli._completing import files
from remusnet.cli._protecting import json_option
from remusnet.cli._quantities import RATE
from remusnet.cli._terminal import echo
from remusnet.errors import InvalidInput, quoted

if TYPE_CHECKING:
    from remusnet.scenario.epochs import Trace


@click.command("fit")
@click.argument("epochs", metavar="FILE.csv...", nargs=-1, required=True, shell_complete=files)
@click.option(
    "-o",
    "--output",
    metavar="FILE.toml",
    type=click.Path(path_type=Path),
    shell_complete=files,
    help="Write the guest file there, and print what it is worth.",
)
@click.option(
    "--check",
    "checks",
    multiple=True,
    metavar="FILE.csv",
    shell_complete=files,
    help="Compare a trace with the fit that was not fitted. Repeat it.",
)
@click.option(
    "--link",
    type=RATE,
    metavar="RATE",
    help="How fast the backup takes dirty memory, where no trace says how much there was.",
)
@click.option("--name", default="guest", show_default=True, help="What the guest is called.")
@json_option
def fit_epochs(
    epochs: tuple[str, ...],
    output: Path | None,
    checks: tuple[str, ...],
    link: int | None,
    name: str,
    as_json: bool,
) -> None:
    """Find what a guest's checkpoints take, from traces of them.

    Each FILE.csv has the checkpoints of one interval, as remusnet xen measure writes them; any
    replicator can. Three intervals at least, as far apart as you would consider, tell how fast the
    guest dirties its memory, and where that levels off. It prints a guest file, for sweep and tune.

    \b
    remusnet xen fit epochs-*.csv -o guest.toml
    remusnet xen fit epochs-{50,200,800}ms.csv --check epochs-400ms.csv
    remusnet tune call.toml --guest guest.toml --require 'tcp.hold.p99 < 300ms'
    """
    from remusnet.scenario.guest import LONGEST_NAME
    from remusnet.sweep.fit import fit
    from remusnet.sweep.fit_words import guest_file, text, to_json

    if not name.isprintable() or not 0 < len(name) <= LONGEST_NAME:
        raise InvalidInput(
            f"--name {quoted(name[:LONGEST_NAME])}: expected one line of at most "
            f"{LONGEST_NAME} characters"
        )
    found = fit(
        [_trace(each) for each in epochs],
        checks=[_trace(each) for each in checks],
        name=name,
        link=link,
    )
    written = guest_file(found)
    if output is not None:
        try:
            output.write_text(written, encoding="utf-8")
        except OSError as error:
            raise InvalidInput(f"{quoted(str(output))}: {error.strerror or error}") from None
    if as_json:
        click.echo(json.dumps(to_json(found), indent=2))
    elif output is not None:
        echo(text(found))
        click.echo(f"wrote {quoted(str(output))}")
    else:
        click.echo(f"{text(found)}\n", err=True)
        click.echo(written, nl=False)


def _trace(path: str) -> Trace:
    from remusnet.host.policy_files import read_text
    from remusnet.scenario.epochs import LARGEST_FILE, read

    return read(read_text(path, LARGEST_FILE), path)
