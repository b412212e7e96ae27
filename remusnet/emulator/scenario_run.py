"""A scenario under several policies: traffic, verdicts, buffer, network, measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from remusnet.classify.columns import columns
from remusnet.classify.judging import judge_frames
from remusnet.emulator.held_to import held_to
from remusnet.emulator.released import Released
from remusnet.emulator.rtp_frames import Templates
from remusnet.emulator.scenario import BufferKind, Client, Scenario
from remusnet.emulator.schedule import Checkpoints
from remusnet.emulator.simulation import Simulation
from remusnet.emulator.sources import Source, sources
from remusnet.emulator.streams import Keeping, Tally, run_stream
from remusnet.emulator.timeline import Timeline, timeline
from remusnet.errors import InvalidInput, quoted
from remusnet.frames import Frames, Int64s
from remusnet.metrics.jitter_buffer import AdaptiveBuffer, FixedBuffer, JitterBuffer
from remusnet.metrics.outcome import Comparison, Outcome, Setting, Stream
from remusnet.metrics.output_commit import OutputCommit
from remusnet.metrics.percentiles import NS_PER_MS
from remusnet.metrics.scene import Counts, ScenarioSetting, Scene
from remusnet.metrics.tcp import HoldTimes
from remusnet.policy.policy import Policy

KEPT_PACKETS = 500_000
"""Packets of a run that the results keep one by one, for figures and for what a listener hears:
56 bytes each. All others are in the numbers, not in the series."""


def run_scenario(
    scenario: Scenario,
    policies: Sequence[Policy],
    *,
    recordings: Sequence[Frames] = (),
    release: bool = False,
) -> Simulation:
    """Run ``scenario`` under each of ``policies``: equal scenarios give equal results.

    ``recordings``: the captures that the scenario names, in its order. With ``release`` there are,
    for each outcome, the frames that arrived, in order, at their times; without, none.

    Raises InvalidInput: two policies of one name, or captures without guest traffic.
    """
    names = [policy.name for policy in policies]
    for name in names:
        if names.count(name) > 1:
            raise InvalidInput(f"policy {quoted(name)} is there twice; each run needs its own name")
    if len(recordings) != len(scenario.recordings):
        raise ValueError(f"{len(recordings)} captures for {len(scenario.recordings)}")
    run = _Run(scenario, timeline(scenario), tuple(sources(scenario)), release)
    verdicts = run.verdicts(policies)
    done = [run.under(policy, holds) for policy, holds in zip(policies, verdicts, strict=True)]
    outcomes = tuple(outcome for outcome, _, _ in done)
    setting = _setting(scenario, run.timeline, done[0][2] if done else 0)
    released = tuple(frames for _, frames, _ in done if frames is not None)
    return Simulation(Comparison(setting, outcomes), released)


def frames_sent(simulation: Simulation) -> int:
    """Frames of all runs together, as ``speed`` counts them."""
    scenes = (outcome.scene for outcome in simulation.comparison.outcomes)
    return sum(scene.counts.frames for scene in scenes if scene is not None)


@dataclass(frozen=True, slots=True)
class _Run:
    scenario: Scenario
    timeline: Timeline
    sources: tuple[Source, ...]
    release: bool

    def verdicts(self, policies: Sequence[Policy]) -> list[list[bool]]:
        """For each policy, what it does with each stream: True where it holds.

        A stream's packets differ in numbers and marker only, which no policy looks at.
        """
        templates = Templates(self.scenario.host)
        rows = [templates.of(source).row.tobytes() for source in self.sources]
        frames = Frames.of(rows)
        judgements = judge_frames(list(policies), frames, columns(frames)) if rows else []
        if not rows:
            return [[] for _ in policies]
        return [judgement.hold.tolist() for judgement in judgements]

    def under(self, policy: Policy, holds: list[bool]) -> tuple[Outcome, Frames | None, int]:
        """The outcome of one policy, the frames that arrived, and how many the guest sent."""
        scenario = self.scenario
        keeping = Keeping(KEPT_PACKETS)
        tally = Tally()
        streams: list[Stream] = []
        released = Released(scenario.host) if self.release else None
        for source, hold in zip(self.sources, holds, strict=True):
            keep = keeping.take(source.packets) or self.release
            stream, counted = run_stream(source, scenario, self.timeline, hold=hold, keep=keep)
            tally.add(counted)
            if released is not None:
                released.add_stream(source, stream)
            streams.append(stream)
        happened = self._happened()
        outcome = Outcome(
            policy=policy.name,
            streams=tuple(streams),
            tcp=HoldTimes(0, None, None, None),
            connections=(),
            output_commit=OutputCommit(tally.held, tally.bypassed, tally.dropped, tally.violations),
            suspend_ns=happened.suspend_ns,
            commit_ns=happened.commit_ns,
        )
        outcome = replace(outcome, scene=self._scene(outcome, happened, tally))
        frames = None if released is None else released.frames()
        return outcome, frames, tally.held + tally.bypassed

    def _happened(self) -> Checkpoints:
        return self.timeline.happened(self.scenario.duration_ns)

    def _scene(self, outcome: Outcome, happened: Checkpoints, tally: Tally) -> Scene:
        origins = [stream.origin for stream in outcome.streams if stream.origin is not None]
        counts = Counts(
            frames=tally.packets,
            lost_failure=sum(each.lost_failure for each in origins),
            lost_network=sum(each.lost_network for each in origins),
            duplicates=sum(stream.rtp.duplicates for stream in outcome.streams),
            index_reuse=sum(each.index_reuse for each in origins),
        )
        return Scene(
            resume_ns=happened.resume_ns,
            sip=(),
            transfers=(),
            counts=counts,
            failure=self.timeline.marks,
            held_to=held_to(self.scenario, outcome, self.timeline.marks),
        )


def _setting(scenario: Scenario, timeline: Timeline, guest_frames: int) -> Setting:
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
            "vectorised",
            _buffer(scenario.client),
            scenario.client.loss_robustness,
        ),
    )


def _buffer(client: Client) -> JitterBuffer:
    if client.kind is BufferKind.FIXED:
        return FixedBuffer(client.delay_ns / NS_PER_MS)
    return AdaptiveBuffer(
        client.delay_ns / NS_PER_MS, client.least_ns / NS_PER_MS, client.most_ns / NS_PER_MS
    )


def _mean(values: Int64s) -> int:
    """The mean of int64[n], to the nanosecond; 0 of none."""
    return round(int(values.sum()) / len(values)) if len(values) else 0
