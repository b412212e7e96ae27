"""``remusnet policy``: what the shipped policies do, and whether a policy file is right."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from remusnet.cli._completing import files
from remusnet.cli._groups import Group
from remusnet.cli._options import PolicyType
from remusnet.cli._terminal import console
from remusnet.errors import InvalidInput
from remusnet.policy import PRESETS, Policy
from remusnet.policy.toml import to_toml
from remusnet.tables.mistakes import MistakenFile

if TYPE_CHECKING:
    from remusnet.plan.domains import DomainPolicies

_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("policy", cls=Group)
def command() -> None:
    """List, show and check policies.

    A policy says what a guest may send before a checkpoint commits.

    \b
    remusnet policy list
    remusnet policy show real-time > mine.toml
    remusnet policy check mine.toml
    """


@command.command("list")
@_json_option
def list_policies(as_json: bool) -> None:
    """List the policies that ship with remusnet."""
    from remusnet.report.policies import policy_summary, print_policies

    if as_json:
        _print_json([policy_summary(policy) for policy in PRESETS.values()])
    else:
        print_policies(console(), PRESETS.values())


@command.command("show")
@click.argument("policy", metavar="NAME|FILE", type=PolicyType())
@_json_option
def show(policy: Policy, as_json: bool) -> None:
    """Print a policy as a policy file, with what it does in plain words.

    FILE ends in .toml or has a slash. What it extends is printed with it.

    \b
    remusnet policy show tcp-only
    remusnet policy show ./phones.toml
    """
    from remusnet.report.policies import policy_json

    if as_json:
        _print_json(policy_json(policy))
    else:
        click.echo(to_toml(policy), nl=False)


@command.command("check")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, shell_complete=files)
@_json_option
@click.pass_context
def check(context: click.Context, files: tuple[str, ...], as_json: bool) -> None:
    """Check policy files, and files of domains, and name every mistake.

    Mistakes go to standard error, one a line, each with its key and what would
    be right; rules are counted from 1. The exit code is 2 if a file has any.

    \b
    remusnet policy check phones.toml
    remusnet policy check /etc/remusnet/remusnet.toml
    remusnet policy check --json policies/*.toml
    """
    from remusnet.report.policies import check_json, check_lines

    outcomes = [(file, _outcome(file)) for file in files]
    wrong = any(isinstance(outcome, MistakenFile) for _, outcome in outcomes)
    if as_json:
        _print_json([check_json(file, outcome) for file, outcome in outcomes])
    else:
        for file, outcome in outcomes:
            for line in check_lines(file, outcome):
                click.echo(line, err=isinstance(outcome, MistakenFile))
    if wrong:
        context.exit(InvalidInput.exit_code)


def _outcome(file: str) -> Policy | DomainPolicies | MistakenFile:
    from remusnet.host.domain_files import load_either

    try:
        return load_either(file)
    except MistakenFile as error:
        return error


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2))
