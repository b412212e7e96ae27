from __future__ import annotations

import shlex

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from remusnet.cli._typed import TypedCommand, typed


@click.command("try", cls=TypedCommand)
@click.argument("source", required=False)
@click.option("-p", "--policy", multiple=True)
@click.option("--pause", default="50ms")
@click.option("--report")
@click.option("--json", "as_json", is_flag=True)
@click.option("--all/--some", "everything")
@click.pass_context
def command(context: click.Context, /, **_: object) -> None:
    click.echo(typed(context, without=("report",)))


def said(*arguments: str) -> str:
    done = CliRunner().invoke(command, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output.removesuffix("\n")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "try"),
        (["a.pcap"], "try a.pcap"),
        (["--policy", "a", "x", "-p", "b"], "try --policy a --policy b x"),
        (["--policy=a", "-pb"], "try --policy a --policy b"),
        (["--report", "out", "--pause", "1ms"], "try --pause 1ms"),
        (["--json", "x"], "try --json x"),
        (["--pause", "1ms", "--pause", "2ms"], "try --pause 2ms"),
        (["it's.pcap"], """try 'it'"'"'s.pcap'"""),
        (["--", "-x"], "try -- -x"),
        (["-"], "try -"),
        (["--some"], "try --some"),
        (["--all", "--report=x"], "try --all"),
    ],
)
def test_what_was_typed_is_said_without_what_is_left_out(
    arguments: list[str], expected: str
) -> None:
    assert said(*arguments) == expected


@given(st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc"))), st.text("ab -'\"$\\"))
def test_a_shell_reads_it_as_it_was_typed(policy: str, source: str) -> None:
    arguments = ["--policy", policy, "--", source]
    again = shlex.split(said(*arguments))[1:]
    assert said(*again) == said(*arguments)
    assert again == ["--policy", policy, *again[2:-1], source]
