"""A change on trial: begun, guarded, confirmed or taken back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from remusnet.api.protection import PlanOptions
from remusnet.host.guard import Guard, GuardKilled, post
from remusnet.host.trial import Trial, begin, give_up, has_gone_back, keep, settle
from remusnet.kernel.journal import because
from remusnet.kernel.wire.netlink import require_rights
from remusnet.plan.plan import Plan
from remusnet.results.protection import Applied
from remusnet.results.trial import Ending, Outcome


@dataclass(frozen=True, slots=True)
class Trying:
    """A trial that has begun: what was ``applied``, and the ``guard``."""

    applied: Applied
    guard: Guard

    @property
    def trial(self) -> Trial:
        """What is on trial, until when, and what was there before."""
        return self.guard.trial

    def confirm(self) -> Outcome:
        """Keeps what is tried; where that comes too late, how the trial has ended."""
        if keep(self.trial, self.guard.run_dir):
            return Outcome(self.trial.vifs, Ending.CONFIRMED, self.trial.old)
        return self.ended()

    def ended(self) -> Outcome:
        """Waits for the end. Where the guard was killed it goes back at once."""
        try:
            found = self.guard.ended(None)
            assert found is not None  # without a limit it waits
        except GuardKilled:
            return self.abandoned()
        return found

    def abandoned(self) -> Outcome:
        """Goes back in the place of a guard that was killed; how it has ended, if it has."""
        for each in settle(self.guard.run_dir):
            if each.vifs == self.trial.vifs:
                return each
        back = has_gone_back(self.trial, self.guard.run_dir)
        ending = Ending.BACK if back else Ending.CONFIRMED
        return Outcome(self.trial.vifs, ending, self.trial.old)


def start(
    options: PlanOptions, plan: Plan, run_dir: Path, timeout_ns: int, *, force: bool = False
) -> Trying | Applied:
    """Applies ``plan``, which ``options`` have made, on trial for ``timeout_ns``.

    An `Applied` alone where there was nothing to change, and so nothing to try. Raises what
    `PlanOptions.apply` raises: then there is no trial; and Conflict where one of its vifs is on
    trial already, or belongs to ``xl``.
    """
    require_rights("change network devices")
    trial, lock = begin(plan, run_dir, timeout_ns)
    guard = post(trial, run_dir, lock)
    try:
        with because("try", trial.number):
            done = options.apply(plan, run_dir, force=force, tried=True)
    except BaseException:
        give_up(trial, run_dir)
        guard.ended(None)
        raise
    if done.operations:
        return Trying(done, guard)
    give_up(trial, run_dir)
    guard.ended(None)
    return done
