"""A scenario under several policies: traffic, verdicts, buffer, network, measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from remusnet.classify.columns import columns
from remusnet.emulator.machine.timeline import Timeline, timeline
from remusnet.emulator.run.outcome import Run, under
from remusnet.emulator.run.recordings import Simulation
from remusnet.emulator.traffic.conversations import conversations
from remusnet.emulator.traffic.departures import departures
from remusnet.emulator.traffic.rtp import sources
from remusnet.emulator.traffic.verdicts import stream_verdicts
from remusnet.errors import InvalidInput, quoted
from remusnet.frames import Frames, Int64s
from remusnet.metrics.unmeasured import unmeasured
from remusnet.policy.policy import Policy
from remusnet.results.comparison import Comparison, Setting
from remusnet.results.scene import ScenarioSetting
from remusnet.scenario.scenario import Scenario


def run_scenario(
    scenario: Scenario,
    policies: Sequence[Policy],
    *,
    recordings: Sequence[Frames] = (),
    release: bool = False,
    on_run: Callable[[Policy], None] | None = None,
) -> Simulation:
    """Run ``scenario`` under each of ``policies``: equal scenarios give equal results.

    ``recordings``: the captures that the scenario names, in its order. With ``release`` there are,
    for each outcome, the frames that arrived, in order, at their times; without, none. ``on_run``
    is told each policy as its run begins.

    Raises InvalidInput: two policies of one name, or captures without guest traffic; ValueError for
    another number of captures than the scenario names.
    """
    names = [policy.name for policy in policies]
    for name in names:
        if names.count(name) > 1:
            raise InvalidInput(f"policy {quoted(name)} is there twice; each run needs its own name")
    if len(recordings) != len(scenario.recordings):
        raise ValueError(f"{len(recordings)} captures for {len(scenario.recordings)}")
    run = Run(
        scenario,
        timeline(scenario),
        tuple(sources(scenario)),
        tuple(conversations(scenario)),
        tuple(recordings),
        release,
    )
    verdicts = stream_verdicts(run.sources, scenario.host, policies)
    ran = []
    for policy, holds in zip(policies, verdicts, strict=True):
        if on_run is not None:
            on_run(policy)
        ran.append(under(run, policy, holds))
    outcomes = tuple(each.outcome for each in ran)
    # What the guest sends may depend on the policy: the first one's run is counted.
    commit = outcomes[0].output_commit
    paths = sorted({each.path for each in ran})
    setting = _setting(scenario, run.timeline, commit.held + commit.bypassed, "; ".join(paths))
    transfers = [each for o in outcomes if o.scene is not None for each in o.scene.transfers]
    notes = [
        f"{quoted(each.file)}: {note}"
        for each, frames in zip(scenario.recordings, recordings, strict=True)
        for note in unmeasured(frames, columns(frames))
    ]
    notes += departures(scenario, policies, transfers)
    setting = replace(setting, notes=tuple(notes))
    released = tuple(each.released for each in ran if each.released is not None)
    return Simulation(Comparison(setting, outcomes), released)


def frames_sent(simulation: Simulation) -> int:
    """Frames of all runs together, as ``speed`` counts them."""
    scenes = (outcome.scene for outcome in simulation.comparison.outcomes)
    return sum(scene.counts.frames for scene in scenes if scene is not None)


def _setting(scenario: Scenario, timeline: Timeline, guest_frames: int, path: str) -> Setting:
    remus, host = scenario.checkpointing, scenario.host
    planned = timeline.checkpoints
    return Setting(
        capture=scenario.name,
        guest=host.mac,
        guest_reason="the scenario's",
        guest_frames=guest_frames,
        schedule=str(remus.kind) if remus else "none",
        interval_ns=remus.interval_ns if remus else 0,
        pause_ns=_mean(planned.resume_ns - planned.suspend_ns),
        commit_delay_ns=_mean(planned.commit_ns - planned.resume_ns),
        period_ns=_mean(np.diff(planned.commit_ns)) or (remus.interval_ns if remus else 0),
        limit=host.limit,
        scenario=ScenarioSetting(
            scenario.name,
            scenario.description,
            scenario.assumptions,
            scenario.seed,
            scenario.duration_ns,
            path,
            scenario.client.buffer,
            scenario.client.loss_robustness,
        ),
    )


def _mean(values: Int64s) -> int:
    """The mean of int64[n], to the nanosecond; 0 of none."""
    return round(int(values.sum()) / len(values)) if len(values) else 0
