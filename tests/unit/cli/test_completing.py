"""What shells are told, parameter by parameter; test_completion.py has the shells themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import signature
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from remusnet.cli import _completing
from remusnet.cli.main import cli

NAMES_A_FILE = ("FILE", "DIR", "CAPTURE", "OUT")


@pytest.fixture(autouse=True)
def devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("lo", "eth0", "vif1.0", "vif1.0-emu", "ifb-1.0", "xenbr0"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(_completing, "_DEVICES", tmp_path)


def offered(*words: str) -> list[str]:
    """What may stand in the place of the last word; a file or a folder by its kind."""
    found = ShellComplete(cli, {}, "remusnet", "_REMUSNET_COMPLETE").get_completions(
        list(words[:-1]), words[-1]
    )
    return [item.value if item.type == "plain" else f"<{item.type}>" for item in found]


@pytest.mark.parametrize("command", ["plan", "apply", "status", "verify", "remove"])
def test_vifs_come_before_other_devices_and_buffer_devices_do_not(command: str) -> None:
    assert offered(command, "") == ["vif1.0", "vif1.0-emu", "eth0", "xenbr0"]
    assert offered(command, "vif1.0", "vif1.0-") == ["vif1.0-emu"]


@pytest.mark.parametrize("words", [("plug",), ("checkpoint",), ("plan", "vif1.0", "--buffer")])
def test_buffer_devices_are_offered_where_one_is_asked_for(words: tuple[str, ...]) -> None:
    assert offered(*words, "") == ["ifb-1.0"]


def test_without_sysfs_there_are_no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_completing, "_DEVICES", Path("/nowhere"))
    assert offered("plan", "") == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("classify", ""), ["<file>"]),
        (("simulate", "fig8"), ["fig8", "<file>"]),
        (("simulate", "--capture", ""), ["<file>"]),
        (("simulate", "--out", ""), ["<file>"]),
        (("simulate", "--junit", ""), ["<file>"]),
        (("simulate", "--report", ""), ["<dir>"]),
        (("simulate", "--interval", ""), ["50ms", "100ms", "200ms", "400ms", "1s"]),
        (("simulate", "--period", "1.5"), ["1.5ms", "1.5s", "1.5us", "1.5ns", "1.5min"]),
        (("simulate", "--limit", "10M"), ["10MB", "10MiB"]),
        (("simulate", "--assert", "mos"), ["mos", "mos.min"]),
        (("simulate", "--schedule", "x"), ["xl", "xend"]),
        (("figures", ""), ["<dir>"]),
        (("policy", "show", "re"), ["real-time", "<file>"]),
        (("policy", "check", ""), ["<file>"]),
        (("scenario", "show", "fig11"), ["fig11"]),
        (("scenario", "check", "fig8"), ["fig8", "<file>"]),
        (("plan", "vif1.0", "--classifier", ""), ["u32", "bpf", "flower"]),
        (("apply", "vif1.0", "--classifier", ""), ["u32", "bpf", "flower", "auto"]),
        (("plan", "vif1.0", "--templates", ""), ["<dir>"]),
        (("status", "--run-dir", ""), ["<dir>"]),
        (("completion", ""), ["bash", "zsh", "fish"]),
    ],
)
def test_each_value_is_offered_what_it_can_be(words: tuple[str, ...], expected: list[str]) -> None:
    assert offered(*words) == expected


def test_whatever_names_a_file_is_completed() -> None:
    """So that no option that comes later is forgotten."""
    seen = 0
    for path, command in _commands((), cli):
        for parameter in command.params:
            if _shown(command, parameter).rstrip(".]").endswith(NAMES_A_FILE):
                option = [parameter.opts[0]] if isinstance(parameter, click.Option) else []
                assert {"<file>", "<dir>"} & set(offered(*path, *option, "")), (path, parameter)
                seen += 1
    assert seen > 15


def _shown(command: click.Command, parameter: click.Parameter) -> str:
    """What stands for the value in the usage line; click 8.1 asks for no context."""
    make: Callable[..., str] = parameter.make_metavar
    return make(click.Context(command)) if signature(make).parameters else make()


def _commands(
    path: tuple[str, ...], command: click.Command
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from _commands((*path, name), found)


def test_policies_by_commas_are_completed_one_by_one() -> None:
    assert offered("sweep", "--policy", "tcp") == ["tcp-only", "<file>"]
    assert offered("sweep", "--policy", "tcp-only,h") == ["tcp-only,hold-all"]
    assert offered("sweep", "--policy", "tcp-only,hold-all,x") == []
