"""A scenario in a real kernel, beside the emulator: read, run, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from remusnet.api.scenarios import load_scenario, policies_of
from remusnet.errors import InvalidInput, quoted
from remusnet.lab.compare import compare
from remusnet.lab.compare_tcp import compare_tcp, only_tcp
from remusnet.lab.uml import Uml
from remusnet.policy import Policy
from remusnet.results.agreement import Agreement
from remusnet.results.likeness import Likeness
from remusnet.scenario.scenario import Scenario

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LabRun:
    """What a kernel made of a scenario under one policy.

    ``frames``: of the frames that the emulated guest sent; ``tcp``: of connections over the
    kernel's own TCP. None of what wasn't asked for, or isn't in the scenario.
    """

    frames: Agreement | None
    tcp: Likeness | None

    @property
    def agrees(self) -> bool:
        """Whether the kernel does, in all that was compared."""
        return all(each.agrees for each in (self.frames, self.tcp) if each is not None)

    @property
    def scenario(self) -> str:
        """Its name."""
        return next(each.scenario for each in (self.frames, self.tcp) if each is not None)

    @property
    def kernel(self) -> str:
        """Its version."""
        return next(each.kernel for each in (self.frames, self.tcp) if each is not None)

    def to_json(self) -> dict[str, object]:
        """One element of ``runs`` in ``lab run --json``."""
        frames = {} if self.frames is None else self.frames.to_json()
        policy = next(each.policy for each in (self.frames, self.tcp) if each is not None)
        return {
            "policy": policy,
            **frames,
            "agrees": self.agrees,
            "tcp": None if self.tcp is None else self.tcp.to_json(),
        }


@dataclass(frozen=True, slots=True)
class LabCase:
    """A scenario (a shipped one's name, or a file), and what is to be other than it says.

    ``policies``: none for the scenario's own; ``duration_ns``, ``seed``: None for the scenario's.
    ``frames``, ``tcp``: what to compare, of what the scenario has.
    """

    word: str
    classifier: str
    policies: tuple[Policy, ...] = ()
    duration_ns: int | None = None
    seed: int | None = None
    frames: bool = True
    tcp: bool = True

    def run(self, lab: Uml, tell: Tell) -> tuple[LabRun, ...]:
        """Each policy in kernels of its own, one after the other.

        Raises InvalidInput, ``LabUnavailable`` and ``LabDied``.
        """
        from remusnet.scenario.scenario_file import overridden

        over = {"calls": None, "duration_ns": self.duration_ns, "seed": self.seed}
        scenario = overridden(load_scenario(self.word), **over)
        policies = self.policies or policies_of(scenario, self.word)
        if self.tcp and (scenario.tcp or not self.frames):
            _require_tcp(scenario, alone=not self.frames)
        return tuple(self._run(scenario, each, lab, tell) for each in policies)

    def _run(self, scenario: Scenario, policy: Policy, lab: Uml, tell: Tell) -> LabRun:
        frames = tcp = None
        if self.frames:
            frames = compare(scenario, policy, lab, classifier=self.classifier, tell=tell)
        if self.tcp and scenario.tcp:
            tcp = compare_tcp(scenario, policy, lab, classifier=self.classifier, tell=tell)
        return LabRun(frames, tcp)


def _require_tcp(scenario: Scenario, *, alone: bool) -> None:
    """Before anything runs: what a kernel's TCP can't be asked."""
    try:
        only_tcp(scenario)
    except InvalidInput as error:
        if alone or scenario.checkpointing is None:
            raise
        raise InvalidInput(f"{error}; --only frames leaves out {quoted('tcp')}") from None
