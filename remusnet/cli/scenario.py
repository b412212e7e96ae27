"""``remusnet scenario``: which scenarios ship, and whether a scenario file is right."""

from __future__ import annotations

import json

import click

from remusnet.api.scenarios import load_scenario
from remusnet.cli._completing import scenarios, scenarios_or_files
from remusnet.cli._groups import Group
from remusnet.cli._terminal import echo
from remusnet.errors import InvalidInput
from remusnet.tables.mistakes import MistakenFile, shown_origin

_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("scenario", cls=Group)
def command() -> None:
    """List, show and check scenarios for simulate.

    \b
    remusnet scenario list
    remusnet scenario show fig11 > mine.toml
    remusnet scenario check mine.toml
    """


@command.command("list")
@_json_option
def list_scenarios(as_json: bool) -> None:
    """List the scenarios that ship with remusnet."""
    from remusnet.scenario.library import names, shipped

    found = [shipped(name) for name in names()]
    if as_json:
        entries = [{"name": each.name, "description": each.description} for each in found]
        click.echo(json.dumps(entries, indent=2))
        return
    width = max(len(each.name) for each in found)
    for each in found:
        echo(f"{each.name:{width}}  {each.description}")


@command.command("show")
@click.argument("name", metavar="NAME", shell_complete=scenarios)
def show(name: str) -> None:
    """Print a shipped scenario's file, to begin your own with."""
    from remusnet.scenario.library import text

    click.echo(text(name), nl=False)


@command.command("check")
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, shell_complete=scenarios_or_files
)
@_json_option
@click.pass_context
def check(context: click.Context, files: tuple[str, ...], as_json: bool) -> None:
    """Check scenario files and name every mistake.

    Mistakes go to standard error, one a line, each with its key and what would
    be right; tables are counted from 1. The exit code is 2 if a file has any.
    A shipped scenario's name does as well as a file.
    """
    results = [(file, _mistakes(file)) for file in files]
    if as_json:
        click.echo(json.dumps([_as_json(*each) for each in results], indent=2))
    else:
        for file, found in results:
            name = shown_origin(file)
            if found is None:
                click.echo(f"{name}: ok")
                continue
            for mistake in found.mistakes:
                click.echo(f"{name}: {mistake}", err=True)
    if any(found is not None for _, found in results):
        context.exit(InvalidInput.exit_code)


def _mistakes(file: str) -> MistakenFile | None:
    try:
        load_scenario(file)
    except MistakenFile as error:
        return error
    return None


def _as_json(file: str, found: MistakenFile | None) -> dict[str, object]:
    mistakes = () if found is None else found.mistakes
    return {
        "file": file,
        "ok": found is None,
        "mistakes": [
            {"path": each.path, "problem": each.problem, "expected": each.expected}
            for each in mistakes
        ],
    }
