"""Options that several commands share, and the reading of the files that they name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from remusnet.errors import InvalidInput, quoted
from remusnet.policy import DEFAULT_POLICY, PRESETS, Policy, preset
from remusnet.policy.mistakes import Mistake, PolicyFileError
from remusnet.policy.toml import load

if TYPE_CHECKING:
    _ParamType = click.ParamType[Policy]
else:
    _ParamType = click.ParamType  # older clicks have no type parameter

LARGEST_POLICY_FILE = 1 << 20

_Function = TypeVar("_Function", bound=Callable[..., Any])


def load_policy_file(path: str) -> Policy:
    """The policy in the file at ``path``.

    Raises PolicyFileError, one line, for a file that is missing, can not be read, is not UTF-8,
    is larger than `LARGEST_POLICY_FILE` bytes, or has mistakes.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(LARGEST_POLICY_FILE + 1)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error), "a file to read") from None
    except ValueError as error:  # a NUL in the name
        raise _unreadable(path, str(error), "a file's name") from None
    if len(content) > LARGEST_POLICY_FILE:
        raise _unreadable(path, "too large", f"at most {LARGEST_POLICY_FILE >> 20} MiB")
    try:
        text = content.decode("utf-8-sig")  # some editors begin a file with a byte order mark
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"not UTF-8 (byte {error.start + 1})", "text in UTF-8") from None
    return load(text, path)


def _unreadable(path: str, problem: str, expected: str) -> PolicyFileError:
    return PolicyFileError(path, (Mistake("", problem, expected),))


def is_policy_path(word: str) -> bool:
    """Whether ``word`` is the path of a policy file (not the name of a preset)."""
    return "/" in word or word.endswith(".toml")


class PolicyType(_ParamType):
    """The name of a preset, or the path of a policy file: it ends in .toml or has a slash.

    Converting raises InvalidInput: for an unknown name with a suggestion, for a file as
    `load_policy_file` does.
    """

    name = "policy"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Policy:
        """The policy that ``value`` names."""
        if isinstance(value, Policy):
            return value
        return load_policy_file(value) if is_policy_path(value) else preset(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The presets; a path once it is one, else files beside them."""
        presets = [
            CompletionItem(name, help=policy.description)
            for name, policy in PRESETS.items()
            if name.startswith(incomplete)
        ]
        return presets or [CompletionItem(incomplete, type="file")]


def policy_option(*, multiple: bool = False) -> Callable[[_Function], _Function]:
    """``--policy NAME|FILE``, which gives a command its ``policy``.

    With ``multiple`` it can be repeated, and gives ``policies``, a tuple in the order typed.
    Without the option it is the default policy. Two policies of one name raise InvalidInput:
    reports and output files are told apart by it.
    """
    return click.option(
        "--policy",
        "policies" if multiple else "policy",
        type=PolicyType(),
        metavar="NAME|FILE",
        multiple=multiple,
        default=(DEFAULT_POLICY.name,) if multiple else DEFAULT_POLICY.name,
        show_default=DEFAULT_POLICY.name,
        callback=_distinct if multiple else None,
        help="A shipped policy, or a policy file (.toml, or a path with a slash)."
        + (" Repeat it to compare." if multiple else ""),
    )


def _distinct(
    _context: click.Context, _parameter: click.Parameter, policies: tuple[Policy, ...]
) -> tuple[Policy, ...]:
    names = [policy.name for policy in policies]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidInput(f"two policies are named {quoted(twice)}; give one another name")
    return policies
