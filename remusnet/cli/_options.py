"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from remusnet import defaults
from remusnet.cli._completing import files
from remusnet.cli._quantities import DURATION
from remusnet.errors import InvalidInput, quoted
from remusnet.policy import DEFAULT_POLICY, PRESETS, Policy
from remusnet.policy.toml import named_policy
from remusnet.tables.documents import read_text

if TYPE_CHECKING:
    _ParamType = click.ParamType[Policy | str]
else:
    _ParamType = click.ParamType  # older clicks have no type parameter

_Function = TypeVar("_Function", bound=Callable[..., Any])


class PolicyType(_ParamType):
    """The name of a preset, or the path of a policy file: it ends in .toml or has a slash.

    ``others``: words that stand for no policy, and are left as they are. Converting raises
    InvalidInput, see `remusnet.policy.toml.named_policy`.
    """

    name = "policy"

    def __init__(self, *others: str) -> None:
        self._others = others

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Policy | str:
        """The policy that ``value`` names, or one of ``others`` as it is."""
        if isinstance(value, Policy) or value in self._others:
            found: Policy | str = value
            return found
        return named_policy(value, read_text)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The presets, and files beside them."""
        presets = [
            CompletionItem(name, help=policy.description)
            for name, policy in PRESETS.items()
            if name.startswith(incomplete)
        ]
        others = [CompletionItem(word) for word in self._others if word.startswith(incomplete)]
        return [*presets, *others, CompletionItem(incomplete, type="file")]


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


# How a simulated guest and a driven plug are checkpointed.
interval_option = click.option(
    "--interval",
    type=DURATION,
    metavar="TIME",
    default=defaults.INTERVAL,
    show_default=True,
    help="The checkpoint interval (xl's own default).",
)
commit_delay_option = click.option(
    "--commit-delay",
    type=DURATION,
    metavar="TIME",
    default=defaults.COMMIT_DELAY,
    show_default=True,
    help="From the resume to the commit. The default is an assumption.",
)
schedule_option = click.option(
    "--schedule",
    type=click.Choice(["xl", "xend"]),
    default="xl",
    show_default=True,
    help="What the interval is counted from: xl the commit, xend the suspend.",
)

junit_option = click.option(
    "--junit",
    metavar="FILE",
    shell_complete=files,
    help="Write what the assertions found as JUnit XML.",
)


def junit_file(junit: str | None, assertions: Sequence[object]) -> Path | None:
    """The file of --junit. Raises InvalidInput where there are no ``assertions`` for it."""
    if junit is None:
        return None
    if not assertions:
        raise InvalidInput("--junit tells of assertions: give some with --assert")
    return Path(junit)
