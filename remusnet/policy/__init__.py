"""What may leave early: verdicts, matches, rules, policies, the presets, and their TOML form."""

from __future__ import annotations

from remusnet.policy.policy import (
    Fragment,
    Link,
    Match,
    PayloadClass,
    Policy,
    PortRange,
    Rule,
    Tunnel,
)
from remusnet.policy.presets import DEFAULT_POLICY, PRESETS, preset
from remusnet.policy.verdict import Verdict

__all__ = [
    "DEFAULT_POLICY",
    "PRESETS",
    "Fragment",
    "Link",
    "Match",
    "PayloadClass",
    "Policy",
    "PortRange",
    "Rule",
    "Tunnel",
    "Verdict",
    "preset",
]
