"""``remusnet availability fit``: from measured failures to what a model takes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import click

from remusnet.cli._completing import files
from remusnet.cli._protecting import json_option
from remusnet.cli._terminal import echo
from remusnet.errors import InvalidInput, quoted
from remusnet.files import open_input

_BLOCK = 1 << 20


@click.command("fit")
@click.argument(
    "events",
    metavar="EVENTS",
    type=click.Path(path_type=Path, allow_dash=True),
    shell_complete=files,
)
@click.option(
    "-o",
    "--output",
    metavar="FILE.toml",
    type=click.Path(path_type=Path),
    shell_complete=files,
    help="Write the model file there, and print a table.",
)
@json_option
def command(events: Path, output: Path | None, as_json: bool) -> None:
    """Fit distributions of failures and restarts to what remusnet sip serve --events has written.

    EVENTS is that file; - is standard input. For each kind of actor exponential, lognormal,
    Weibull and Erlang are tried; what had not failed yet when it was last seen, counts as that. It
    prints a model file, for remusnet availability run, with the parameters for compare.

    \b
    remusnet availability fit events.jsonl
    remusnet availability fit events.jsonl -o measured.toml
    remusnet availability run measured.toml
    """
    from remusnet.availability.fitting.report import report_of
    from remusnet.availability.fitting.written import as_json as in_json
    from remusnet.availability.fitting.written import model_file, summary

    report = report_of(_lines(events), str(events))
    text = model_file(report, str(events))
    if output is not None:
        _write(output, text)
    if as_json:
        click.echo(json.dumps(in_json(report), indent=2))
    elif output is not None:
        echo(summary(report))
    else:
        echo(text.rstrip("\n"))


def _lines(path: Path) -> Iterator[str]:
    """The lines of a file that may be large. Raises InvalidInput."""
    if str(path) == "-":
        yield from sys.stdin
        return
    try:
        raw, first = open_input(path)
        with raw:
            rest = b""
            for block in chain([first], iter(lambda: raw.read(_BLOCK), b"")):
                *whole, rest = (rest + (block or b"")).split(b"\n")
                for line in whole:
                    yield line.decode("utf-8", "replace") + "\n"
            if rest:
                yield rest.decode("utf-8", "replace")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidInput(f"events {quoted(str(path))}: {reason}") from None


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{quoted(str(path))}: {error.strerror or error}") from None
