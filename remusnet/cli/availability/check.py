"""``remusnet availability check``: every mistake in model files."""

from __future__ import annotations

import json

import click

from remusnet.cli._completing import files
from remusnet.cli._protecting import json_option
from remusnet.cli.availability._options import blueprint_of
from remusnet.errors import InvalidInput
from remusnet.tables.mistakes import Mistake, MistakenFile, shown_origin


@click.command("check")
@click.argument("models", metavar="FILE...", nargs=-1, required=True, shell_complete=files)
@json_option
@click.pass_context
def command(context: click.Context, models: tuple[str, ...], as_json: bool) -> None:
    """Check model files and name every mistake.

    Mistakes go to standard error, one a line, each with its key and what would be right. The exit
    code is 2 if a file has any. What only shows when a net runs, as one that dies, "run" says.

    \b
    remusnet availability check model.toml
    """
    results = [(file, _mistakes(file)) for file in models]
    if as_json:
        entries = [
            {"file": file, "ok": not found, "mistakes": [_as_json(each) for each in found]}
            for file, found in results
        ]
        click.echo(json.dumps(entries, indent=2))
    else:
        for file, found in results:
            name = shown_origin(file)
            if not found:
                click.echo(f"{name}: ok")
            for mistake in found:
                click.echo(f"{name}: {mistake}", err=True)
    if any(found for _, found in results):
        context.exit(InvalidInput.exit_code)


def _mistakes(file: str) -> tuple[Mistake, ...]:
    try:
        blueprint_of(file, ())
    except MistakenFile as error:
        return error.mistakes
    return ()


def _as_json(mistake: Mistake) -> dict[str, str]:
    return {"path": mistake.path, "problem": mistake.problem, "expected": mistake.expected}
