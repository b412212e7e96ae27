"""A scenario in a real kernel, beside the emulator: read, run, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from remusnet.api.scenarios import load_scenario, policies_of
from remusnet.lab.compare import compare
from remusnet.lab.uml import Uml
from remusnet.policy import Policy
from remusnet.results.agreement import Agreement

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LabCase:
    """A scenario (a shipped one's name, or a file), and what is to be other than it says.

    ``policies``: none for the scenario's own; ``duration_ns``, ``seed``: None for the scenario's.
    """

    word: str
    classifier: str
    policies: tuple[Policy, ...] = ()
    duration_ns: int | None = None
    seed: int | None = None

    def run(self, lab: Uml, tell: Tell) -> tuple[Agreement, ...]:
        """Each policy in a kernel of its own, one after the other.

        Raises InvalidInput, ``LabUnavailable`` and ``LabDied``.
        """
        from remusnet.scenario.scenario_file import overridden

        over = {"calls": None, "duration_ns": self.duration_ns, "seed": self.seed}
        scenario = overridden(load_scenario(self.word), **over)
        policies = self.policies or policies_of(scenario, self.word)
        return tuple(
            compare(scenario, each, lab, classifier=self.classifier, tell=tell) for each in policies
        )
