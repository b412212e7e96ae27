"""What commands share: ``--policy``."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.shell_completion import CompletionItem
from click.testing import CliRunner, Result

from remusnet.cli._options import PolicyType, policy_option
from remusnet.errors import InvalidInput
from remusnet.policy import PRESETS, Policy

RIGHT = b'name = "mine"\ndefault = "hold"\n'


@click.command()
@policy_option()
def single(policy: Policy) -> None:
    click.echo(policy.name)


@click.command()
@policy_option(multiple=True)
def several(policies: tuple[Policy, ...]) -> None:
    click.echo(" ".join(policy.name for policy in policies))


def invoke(command: click.Command, *args: str) -> str:
    """What ``command`` prints. Raises what it raises."""
    result: Result = CliRunner().invoke(command, args, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output.strip()


def test_without_the_option_the_policy_is_the_default_one() -> None:
    assert invoke(single) == "tcp-only"
    assert invoke(several) == "tcp-only"


def test_several_policies_keep_the_order_typed(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_bytes(RIGHT)
    args = ("--policy", "hold-all", "--policy", str(file), "--policy", "tcp-only")
    assert invoke(several, *args) == "hold-all mine tcp-only"


def test_two_policies_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidInput, match="two policies are named 'hold-all'"):
        invoke(several, "--policy", "hold-all", "--policy", "hold-all")


def test_help_names_the_default() -> None:
    assert "[default: (tcp-only)]" in " ".join(invoke(single, "--help").split())


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_goes_by_its_name(name: str) -> None:
    assert PolicyType().convert(name, None, None) is PRESETS[name]


def test_a_file_goes_by_its_ending_or_a_slash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mine.toml", "hold-all", "mine"):
        Path(name).write_bytes(RIGHT)
    assert invoke(single, "--policy", "mine.toml") == "mine"
    assert invoke(single, "--policy", "./mine") == "mine"
    assert invoke(single, "--policy", "./hold-all") == "mine"
    assert invoke(single, "--policy", "hold-all") == "hold-all"
    with pytest.raises(InvalidInput, match="unknown policy: 'mine'"):
        invoke(single, "--policy", "mine")


@pytest.mark.parametrize(
    ("incomplete", "expected"),
    [
        ("", list(PRESETS)),
        ("ho", ["hold-all"]),
        ("./po", []),
    ],
)
def test_completion_offers_presets_and_files(incomplete: str, expected: list[str]) -> None:
    items: list[CompletionItem] = PolicyType().shell_complete(
        click.Context(single), single.params[0], incomplete
    )
    assert [item.value for item in items if item.type == "plain"] == expected
    assert [item.value for item in items if item.type == "file"] == [incomplete]
