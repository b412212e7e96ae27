"""Policies, and what is wrong with a policy file, as a table, as lines and as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from rich.console import Console

from remusnet.plan.domains import DomainPolicies
from remusnet.policy import Policy, Verdict
from remusnet.policy.conditions import CONDITIONS, describe_verdict
from remusnet.policy.toml import unreachable
from remusnet.report.layout import Column, print_records
from remusnet.tables.mistakes import MistakenFile, shown_origin


def print_policies(console: Console, policies: Iterable[Policy]) -> None:
    """Name, what it holds and what bypasses, of each policy."""
    columns = (Column("POLICY"), Column("HOLDS", prose=True), Column("BYPASSES", prose=True))
    rows = [
        (policy.name, *(describe_verdict(policy, verdict) for verdict in Verdict))
        for policy in policies
    ]
    print_records(console, columns, rows)


def policy_summary(policy: Policy) -> dict[str, Any]:
    """``name``, ``description``, ``default``, and ``holds`` and ``bypasses`` in plain words."""
    return {
        "name": policy.name,
        "description": policy.description,
        "default": policy.default.value,
        "holds": describe_verdict(policy, Verdict.HOLD),
        "bypasses": describe_verdict(policy, Verdict.BYPASS),
    }


def policy_json(policy: Policy) -> dict[str, Any]:
    """The whole policy; a rule's ``match`` has the keys of a policy file, each with a list.

    Numbers stay numbers; addresses, port ranges and words are strings.
    """
    return {
        "name": policy.name,
        "description": policy.description,
        "default": policy.default.value,
        "holds_odd": policy.holds_odd,
        "rules": [
            {
                "name": rule.name,
                "verdict": rule.verdict.value,
                "match": {
                    condition.key: [item if isinstance(item, int) else str(item) for item in items]
                    for condition in CONDITIONS
                    if (items := condition.ordered(rule.match))
                },
            }
            for rule in policy.rules
        ],
    }


def check_lines(file: str, outcome: Policy | DomainPolicies | MistakenFile) -> list[str]:
    """What to tell a person of a file: each mistake, or that it is right."""
    file = shown_origin(file)
    if isinstance(outcome, MistakenFile):
        return [f"{file}: {mistake}" for mistake in outcome.mistakes]
    if isinstance(outcome, DomainPolicies):
        domains = f"{_counted(len(outcome.domains), 'domain')}, else {outcome.default.policy}"
        vifs = f"; {_counted(len(outcome.vifs), '[[vif]]')}" if outcome.vifs else ""
        return [f"{file}: ok ({domains}{vifs})"]
    return [
        f"{file}: ok ({outcome.name}, {_counted(len(outcome.rules), 'rule')})",
        *(f"{file}: warning: {warning}" for warning in _warnings(outcome)),
    ]


def check_json(file: str, outcome: Policy | DomainPolicies | MistakenFile) -> dict[str, Any]:
    """The same for a script: ``file``, ``ok``, ``mistakes`` and ``warnings``."""
    mistakes: list[dict[str, str]] = []
    warnings: list[str] = []
    if isinstance(outcome, MistakenFile):
        mistakes = [asdict(mistake) for mistake in outcome.mistakes]
    elif isinstance(outcome, Policy):
        warnings = _warnings(outcome)
    return {"file": file, "ok": not mistakes, "mistakes": mistakes, "warnings": warnings}


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 or what.endswith(']') else 's'}"


def _warnings(policy: Policy) -> list[str]:
    return [
        f"rule {name!r} is never asked: one before it matches every frame"
        for name in unreachable(policy)
    ]
