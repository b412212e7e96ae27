"""A policy as the text of a TOML file, with comments in plain words."""

from __future__ import annotations

import json

from remusnet.policy.conditions import CONDITIONS
from remusnet.policy.policy import Policy, Rule
from remusnet.policy.verdict import Verdict
from remusnet.policy.words import describe_rule

_WIDTH = 100
_WHAT_HAPPENS = {Verdict.HOLD: "is held", Verdict.BYPASS: "bypasses"}


def to_toml(policy: Policy) -> str:
    """The text that `remusnet.policy.toml.load` reads back as an equal policy.

    Two things a file can not say: ``holds_odd=False``, which only ``stock-remus`` has (a comment
    says it), and a description that is not one printable line.
    """
    head = [f'name = "{policy.name}"']
    if policy.description:
        head.append(f"description = {_basic_string(policy.description)}")
    rest = "What no rule matches" if policy.rules else "Every frame"
    head += [
        "",
        f"# {rest} {_WHAT_HAPPENS[policy.default]}.",
        *(_ODD_HELD if policy.holds_odd else _ODD_BYPASSES),
        f'default = "{policy.default}"',
    ]
    return "\n\n".join(["\n".join(head), *(_rule(rule) for rule in policy.rules)]) + "\n"


_ODD_HELD = ("# Frames too short or too odd to be judged are held, whatever this file says.",)
_ODD_BYPASSES = (
    "# Frames too short or too odd to be judged are not held for that: they go by these rules.",
    "# Only stock-remus does that: the policy of a file always holds them.",
)


def _basic_string(text: str) -> str:
    # JSON's escapes are TOML's; only DEL goes bare in JSON and not in TOML.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _rule(rule: Rule) -> str:
    lines = [
        f"# {describe_rule(rule)}.",
        "[[rule]]",
        f'name = "{rule.name}"',
        f'verdict = "{rule.verdict}"',
    ]
    for condition in CONDITIONS:
        alternatives = condition.ordered(rule.match)
        if alternatives is not None:
            lines += _assignment(condition.key, [condition.write(each) for each in alternatives])
    return "\n".join(lines)


def _assignment(key: str, items: list[str]) -> list[str]:
    if len(items) == 1:
        return [f"{key} = {items[0]}"]
    line = f"{key} = [{', '.join(items)}]"
    return [line] if len(line) <= _WIDTH else [f"{key} = [", *(f"    {i}," for i in items), "]"]
