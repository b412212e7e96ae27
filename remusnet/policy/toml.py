"""A policy from the text of a TOML file, or every mistake in it at once; and a policy as such text.

The format is described in ``docs/reference/policy-file.md``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from remusnet.policy.conditions import CONDITIONS, Condition, describe_rule
from remusnet.policy.policy import (
    NAME,
    RESERVED_NAMES,
    Match,
    Policy,
    Rule,
)
from remusnet.policy.presets import PRESETS, preset
from remusnet.policy.verdict import Verdict
from remusnet.tables.documents import (
    Unfit,
    is_path,
    key_path,
    parse,
    read_word,
    unknown_keys,
    words,
)
from remusnet.tables.mistakes import Mistake, MistakenFile, shown

MOST_RULES = 1000
LONGEST_DESCRIPTION = 500

_POLICY_KEYS = ("name", "description", "default", "extends", "rule")
_RULE_KEYS = ("name", "verdict", *(condition.key for condition in CONDITIONS))
_NAME_EXPECTED = (
    "at most 64 letters, digits, dots, hyphens and underscores, the first a letter or digit"
)
# What resolves each contradiction that Match refuses, by how its message begins.
_REMEDIES = {
    "ports need": 'protocol = "udp" beside them, for example',
    "icmp_type needs": 'protocol = "icmp" or protocol = "icmpv6" beside it',
    "payload needs": 'protocol = "udp", or no protocol',
    "payload can": 'fragment = "whole", or no fragment',
    "ports can": 'fragment = "whole" or "first", or no fragment',
    "addresses and": "addresses of one IP version, and its ethertype or none",
    "ethertype is": 'ethertype = "ipv4", "ipv6" or both, or no ethertype',
}


class PolicyFileError(MistakenFile):
    """A policy file with mistakes."""


def load(text: str, origin: str) -> Policy:
    """The policy that ``text`` describes; ``origin`` is its file's name, for messages.

    Raises PolicyFileError with every mistake that it has; broken TOML is one mistake.
    """
    table = _parse(text, origin)
    mistakes: list[Mistake] = []
    unknown_keys(table, _POLICY_KEYS, "", mistakes)
    base = _base(table, mistakes)
    name = _policy_name(table, mistakes)
    description = _description(table, mistakes)
    if "extends" in table and "default" not in table:
        default = base.default if base else Verdict.HOLD
    else:
        default = _verdict(table, "default", "", mistakes)
    rules = _rules(table.get("rule", []), base.rules if base else (), mistakes)
    if mistakes:
        raise PolicyFileError(origin, tuple(mistakes))
    return Policy(
        name=name,
        description=description,
        rules=(*rules, *(base.rules if base else ())),
        default=default,
    )


def named_policy(word: str, read: Callable[[str], str]) -> Policy:
    """The shipped policy ``word``, or the one in the file at that path.

    ``read``: the text at a path, see `remusnet.tables.documents.read_text`. Raises InvalidInput:
    for an unknown name with a suggestion, and what ``read`` and `load` raise for a file.
    """
    return load(read(word), word) if is_path(word) else preset(word)


def unreachable(policy: Policy) -> tuple[str, ...]:
    """The names of the rules that are never asked: one before them matches every frame."""
    for index, rule in enumerate(policy.rules):
        if rule.match == Match():
            return tuple(later.name for later in policy.rules[index + 1 :])
    return ()


def _parse(text: str, origin: str) -> dict[str, Any]:
    found = parse(text)
    if isinstance(found, Mistake):
        raise PolicyFileError(origin, (found,))
    return found


def _base(table: dict[str, Any], mistakes: list[Mistake]) -> Policy | None:
    """The preset that the file extends, if it does."""
    if "extends" not in table:
        return None
    try:
        return PRESETS[read_word(table["extends"], PRESETS, "policy")]
    except Unfit as error:
        mistakes.append(Mistake("extends", error.problem, error.expected))
        return None


def _policy_name(table: dict[str, Any], mistakes: list[Mistake]) -> str:
    name = table.get("name")
    if isinstance(name, str) and NAME.fullmatch(name):
        return name
    problem = f"invalid name: {shown(name)}" if "name" in table else "missing"
    mistakes.append(Mistake("name", problem, _NAME_EXPECTED))
    return ""


def _description(table: dict[str, Any], mistakes: list[Mistake]) -> str:
    description = table.get("description", "")
    # It ends in comments of shell scripts and on terminals.
    if (
        isinstance(description, str)
        and description.isprintable()
        and len(description) <= LONGEST_DESCRIPTION
    ):
        return description
    problem = f"invalid description: {shown(description)}"
    expected = f"one line of at most {LONGEST_DESCRIPTION} printable characters"
    mistakes.append(Mistake("description", problem, expected))
    return ""


def _verdict(table: dict[str, Any], key: str, prefix: str, mistakes: list[Mistake]) -> Verdict:
    """The verdict under ``key``; any, where it is a mistake."""
    path = key_path(prefix, key)
    if key not in table:
        mistakes.append(Mistake(path, "missing", words(Verdict)))
        return Verdict.HOLD
    try:
        return Verdict(read_word(table[key], list(Verdict), "verdict"))
    except Unfit as error:
        mistakes.append(Mistake(path, error.problem, error.expected))
        return Verdict.HOLD


def _rules(tables: object, inherited: tuple[Rule, ...], mistakes: list[Mistake]) -> list[Rule]:
    if not isinstance(tables, list):
        problem = f"{shown(tables)} where rules belong"
        mistakes.append(Mistake("rule", problem, "[[rule]], in double brackets"))
        return []
    if len(tables) > MOST_RULES:
        problem = f"too many rules: {len(tables)}"
        mistakes.append(Mistake("rule", problem, f"at most {MOST_RULES}"))
        return []
    taken = {rule.name: "the policy that this one extends" for rule in inherited}
    rules = []
    for number, table in enumerate(tables, start=1):
        path = f"rule[{number}]"
        if not isinstance(table, dict):
            mistakes.append(Mistake(path, f"{shown(table)} where a rule belongs", "[[rule]]"))
            continue
        unknown_keys(table, _RULE_KEYS, path, mistakes)
        name = _rule_name(table, number, taken, mistakes)
        verdict = _verdict(table, "verdict", path, mistakes)
        match = _match(table, path, mistakes)
        if name is not None and match is not None:
            rules.append(Rule(name, verdict, match))
    return rules


def _rule_name(
    table: dict[str, Any], number: int, taken: dict[str, str], mistakes: list[Mistake]
) -> str | None:
    """The rule's name, noted in ``taken``; None where it is a mistake."""
    path = f"rule[{number}].name"
    name = table.get("name", f"rule-{number}")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        mistakes.append(Mistake(path, f"invalid name: {shown(name)}", _NAME_EXPECTED))
        return None
    if name in RESERVED_NAMES:
        problem = f"reserved name: {shown(name)}"
        mistakes.append(Mistake(path, problem, f"any name but {', '.join(sorted(RESERVED_NAMES))}"))
        return None
    if name in taken:
        problem = f"name taken by {taken[name]}: {shown(name)}"
        mistakes.append(Mistake(path, problem, "a name of its own"))
        return None
    taken[name] = f"rule[{number}]"
    return name


def _match(table: dict[str, Any], path: str, mistakes: list[Mistake]) -> Match | None:
    conditions: dict[str, Any] = {}
    for condition in CONDITIONS:
        if condition.key in table:
            place = key_path(path, condition.key)
            alternatives = _alternatives(condition, table[condition.key], place, mistakes)
            if alternatives is not None:
                conditions[condition.field] = alternatives
    if "protocol" in table and "protocol" not in conditions:
        return None  # what needs a protocol would only repeat that mistake
    try:
        return Match(**conditions)
    except ValueError as error:
        problem = str(error)
        remedy = next(
            (text for start, text in _REMEDIES.items() if problem.startswith(start)),
            "conditions that can hold together",
        )
        mistakes.append(Mistake(path, problem.replace("icmp_type", "icmp-type"), remedy))
        return None


def _alternatives(
    condition: Condition, value: object, path: str, mistakes: list[Mistake]
) -> object | None:
    """The field's value, of one TOML value or a list of them; None where one is a mistake."""
    if value == []:
        mistakes.append(Mistake(path, "an empty list", "at least one value, or no such key"))
        return None
    items = [(path, value)]
    if isinstance(value, list):
        items = [(f"{path}[{number}]", item) for number, item in enumerate(value, start=1)]
    read = []
    for item_path, item in items:
        try:
            read.append(condition.read(item))
        except Unfit as error:
            mistakes.append(Mistake(item_path, error.problem, error.expected))
    return condition.gather(read) if len(read) == len(items) else None


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
