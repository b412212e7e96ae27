"""Rules in order, and what holds when none matches."""

from __future__ import annotations

import re
from dataclasses import dataclass

from remusnet.policy.match import Match
from remusnet.policy.verdict import Verdict

# Names reach file names and comments of shell scripts, so they are kept plain.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
DEFAULT_RULE = "default"
ODD_RULE = "odd"
RESERVED_NAMES = frozenset({DEFAULT_RULE, ODD_RULE})


@dataclass(frozen=True, slots=True)
class Rule:
    """``match -> verdict``. Raises ValueError for a name that is not plain."""

    name: str
    verdict: Verdict
    match: Match

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name) or self.name in RESERVED_NAMES:
            raise ValueError(f"invalid rule name: {self.name!r}")


@dataclass(frozen=True, slots=True)
class Policy:
    """What a guest may send early: the first rule that matches decides, else ``default``.

    What can not be seen counts against bypassing: a rule that holds also takes a frame that it
    *might* match (a later fragment, where it asks for ports), a rule that lets bypass needs to be
    sure. ``holds_odd``: frames too short or too odd to be judged are held without asking the rules;
    only the baseline policy ``stock-remus`` does without, as Xen's own script does.

    Raises ValueError for a name that is not plain, or rules of the same name.
    """

    name: str
    rules: tuple[Rule, ...]
    default: Verdict
    description: str = ""
    holds_odd: bool = True

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"invalid policy name: {self.name!r}")
        names = [rule.name for rule in self.rules]
        if len(set(names)) != len(names):
            raise ValueError("two rules have the same name")

    @staticmethod
    def from_toml(text: str) -> Policy:
        """The policy that ``text`` describes, in the form of a policy file.

            >>> policy = remusnet.Policy.from_toml('''
            ... name = "my-media"
            ... extends = "real-time"
            ... [[rule]]
            ... name = "game"
            ... verdict = "bypass"
            ... protocol = "udp"
            ... destination-port = "27015"
            ... ''')
            >>> remusnet.plan("vif1.0", policy=policy).classification.policy.rules[0].name
            'game'

        Raises InvalidInput, one line with the first mistake and their number.
        """
        from remusnet.policy.toml import load

        return load(text, "the policy")
