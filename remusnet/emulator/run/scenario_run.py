"""A scenario under several policies: traffic, verdicts, buffer, network, measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from remusnet.classify.columns import columns
from remusnet.emulator.machine.epochs import Checkpoints, Tally, Timeline, most_rtp_held, steady
from remusnet.emulator.run.gains import gains
from remusnet.emulator.run.outcome import Run, Seen, arrived_frames, outcome_of
from remusnet.emulator.run.recordings import mix, require_own_names
from remusnet.emulator.run.stepwise import Exchanges, filled, lanes_of, run_loop, tally_flights
from remusnet.emulator.run.vectorised import Keeping, measured, run_stream
from remusnet.emulator.traffic.conversations import conversations
from remusnet.emulator.traffic.rtp import Lost, sources
from remusnet.emulator.traffic.rtp_frames import stream_verdicts
from remusnet.emulator.traffic.tcp_notes import tcp_notes
from remusnet.errors import quoted
from remusnet.frames import Frames, Int64s
from remusnet.metrics.rtp_packets import unmeasured
from remusnet.policy.policy import Policy
from remusnet.policy.presets import STOCK_REMUS
from remusnet.results.comparison import Comparison, Outcome, Setting, Simulation
from remusnet.results.exchanges import Transfer
from remusnet.results.scene import FailureMarks, ScenarioSetting
from remusnet.scenario.quantity import Growing, Quantity, Saturating, generator
from remusnet.scenario.scenario import Checkpointing, FailureKind, Scenario, constant

KEPT_PACKETS = 500_000
"""Packets of a run that the results keep one by one, for figures and for what a listener hears:
64 bytes each. All others are in the numbers, not in the series."""

VECTORISED = "vectorised: RTP many packets at a time"
STEPWISE = "stepwise: every frame alone"


@dataclass(frozen=True, slots=True, eq=False)
class Ran:
    """An outcome, the frames that arrived (None where they weren't kept), and RTP's way."""

    outcome: Outcome
    frames: Frames | None
    path: str


def run_scenario(
    scenario: Scenario,
    policies: Sequence[Policy],
    *,
    recordings: Sequence[Frames] = (),
    keep_frames: bool = False,
    advise: bool = False,
    on_run: Callable[[Policy], None] | None = None,
) -> Simulation:
    """Run ``scenario`` under each of ``policies``: equal scenarios give equal results.

    ``recordings``: the captures that the scenario names, in its order. With ``keep_frames`` there
    are, for each outcome, the frames that arrived, in order, at their times; without, none.
    ``advise``: run again what a setting of TCP would change, and note its gain
    (`remusnet.emulator.run.gains`); without, notes are general. ``on_run`` is called with each
    policy as its run begins.

    Raises InvalidInput: two policies of one name, or captures without guest traffic; ValueError for
    another number of captures than the scenario names.
    """
    require_own_names(policies)
    if len(recordings) != len(scenario.recordings):
        raise ValueError(f"{len(recordings)} captures for {len(scenario.recordings)}")
    run = Run(
        scenario,
        timeline(scenario),
        tuple(sources(scenario)),
        tuple(conversations(scenario)),
        tuple(recordings),
        keep_frames,
    )
    verdicts = stream_verdicts(run.sources, scenario.host, policies)
    ran = []
    for policy, holds in zip(policies, verdicts, strict=True):
        if on_run is not None:
            on_run(policy)
        ran.append(_run_under(run, policy, holds))
    outcomes = tuple(each.outcome for each in ran)
    # What the guest sends may depend on the policy: the first one's run is counted.
    commit = outcomes[0].output_commit
    paths = sorted({each.path for each in ran})
    setting = _setting(scenario, run.timeline, commit.held + commit.bypassed, "; ".join(paths))
    notes = [
        f"{quoted(each.file)}: {note}"
        for each, frames in zip(scenario.recordings, recordings, strict=True)
        for note in unmeasured(frames, columns(frames))
    ]
    notes += _advice(run, policies, verdicts, outcomes) if advise else tcp_notes(scenario, policies)
    setting = replace(setting, notes=tuple(notes))
    released = tuple(each.frames for each in ran if each.frames is not None)
    return Simulation(Comparison(setting, outcomes), released)


def _advice(
    run: Run,
    policies: Sequence[Policy],
    verdicts: Sequence[Sequence[bool]],
    outcomes: Sequence[Outcome],
) -> Sequence[str]:
    """As `tcp_notes`, with what settings gain under the first policy that holds TCP with a copy."""
    scenario = run.scenario
    for policy, holds, outcome in zip(policies, verdicts, outcomes, strict=True):
        scene = outcome.scene
        copied = policy.name != STOCK_REMUS.name and scenario.host.ring_slots is None
        if scene is None or not copied or outcome.tcp.max is None:
            continue

        def rerun(
            changed: Scenario, policy: Policy = policy, holds: Sequence[bool] = holds
        ) -> Sequence[Transfer]:
            other = replace(run, scenario=changed, conversations=tuple(conversations(changed)))
            loop = _seen(other, policy, holds).loop
            return Exchanges(other.conversations, [] if loop is None else loop.said).transfers()

        found = gains(scenario, scene.counts.frames, scene.transfers, rerun)
        return *found, *tcp_notes(scenario, policies, general=False)
    return tcp_notes(scenario, policies)


def _run_under(run: Run, policy: Policy, holds: Sequence[bool]) -> Ran:
    """``run`` under ``policy``, which holds the streams that ``holds`` says."""
    seen = _seen(run, policy, holds)
    mixed = [
        mix(recording, frames, policy, run.scenario, run.timeline)
        for recording, frames in zip(run.scenario.recordings, run.recordings, strict=True)
    ]
    for each in mixed:
        seen.tally.add(each.tally)
    outcome = outcome_of(run, policy, seen, mixed)
    return Ran(outcome, arrived_frames(run, seen, mixed) if run.keep_frames else None, seen.path)


def _seen(run: Run, policy: Policy, holds: Sequence[bool]) -> Seen:
    """RTP by stretches where nothing couples one stream to the others, else frame by frame.

    Whether reactive traffic fills what RTP leaves of plug and ring shows when it has run.
    """
    scenario, timeline = run.scenario, run.timeline
    host = scenario.host
    most = most_rtp_held(run.sources, holds, timeline, host.jitter_ns + scenario.network.jitter_ns)
    fits = most.bytes <= host.limit and (host.ring_slots is None or most.frames <= host.ring_slots)
    if scenario.network.rate is not None or not fits:
        return _all_stepwise(run, policy, holds)
    loop = None
    if run.conversations:
        slots = None if host.ring_slots is None else host.ring_slots - most.frames
        loop = run_loop(
            scenario, timeline, list(run.conversations), [], policy,
            limit=host.limit - most.bytes, slots=slots,
        )  # fmt: skip
        if loop.vif.stalls or loop.vif.plug.drops:
            return _all_stepwise(run, policy, holds)
    seen = Seen([], Tally(), VECTORISED, _guarded(run, holds), loop)
    if loop is not None:
        seen.tally.add(tally_flights(loop.flights, timeline))
    keeping = Keeping(KEPT_PACKETS)
    for source, hold in zip(run.sources, holds, strict=True):
        keep = keeping.take(source.packets) or run.keep_frames
        stream, counted = run_stream(source, scenario, timeline, hold=hold, keep=keep)
        seen.streams.append(stream)
        seen.tally.add(counted)
    return seen


def _all_stepwise(run: Run, policy: Policy, holds: Sequence[bool]) -> Seen:
    lanes, planned = lanes_of(run.sources, holds, run.scenario, run.timeline)
    host = run.scenario.host
    loop = run_loop(
        run.scenario, run.timeline, list(run.conversations), lanes, policy,
        limit=host.limit, slots=host.ring_slots,
    )  # fmt: skip
    packets = filled(planned, loop.flights)
    streams = [
        measured(source, each, keep=True) for source, each in zip(run.sources, packets, strict=True)
    ]
    tally = tally_flights(loop.flights, run.timeline)
    tally.packets += sum(each.count(Lost.NOBODY) for each in packets)
    return Seen(streams, tally, STEPWISE, _guarded(run, holds), loop)


def _guarded(run: Run, holds: Sequence[bool]) -> list[bool]:
    """Which streams are held: without checkpoints nothing is."""
    return [hold and run.timeline.protected for hold in holds]


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


_FAR = 10
"""Standard deviations that chance doesn't reach."""
_LEAST_RUN_NS = 1
"""A guest runs between two checkpoints, if only for this long: xend may find no time for more."""


def timeline(scenario: Scenario) -> Timeline:
    """The timeline of ``scenario``, which depends on nothing but it and its seed."""
    remus = scenario.checkpointing
    if remus is None:
        none = np.zeros(0, np.int64)
        return Timeline(Checkpoints(none, none, none), None, protected=False)
    # Jitter may carry a packet past the end; its epoch has to be closed as well.
    host, network = scenario.host, scenario.network
    late_ns = network.delay_ns + _FAR * (host.jitter_ns + network.jitter_ns)
    end_ns = scenario.duration_ns + late_ns
    planned = _planned(remus, end_ns, generator(scenario.seed, "checkpoints"))
    return Timeline(planned, _marks(scenario, planned), protected=True)


def _marks(scenario: Scenario, planned: Checkpoints) -> FailureMarks | None:
    failure = scenario.failure
    if failure is None:
        return None
    committed = int(np.searchsorted(planned.commit_ns, failure.at_ns, side="right"))
    # The state that the first checkpoint of all transfers is there before the traffic begins.
    state_ns = int(planned.suspend_ns[committed - 1]) if committed else 0
    split = failure.kind is FailureKind.SPLIT_BRAIN
    return FailureMarks(
        failed_ns=failure.at_ns,
        state_ns=state_ns if failure.rollback else failure.at_ns,
        resume_ns=failure.resume_ns,
        path_ns=failure.path_ns,
        stale_until_ns=failure.at_ns + failure.stale_ns if split else None,
    )


def _planned(remus: Checkpointing, end_ns: int, rng: np.random.Generator) -> Checkpoints:
    """Checkpoints until one has closed the epoch in which ``end_ns`` lies."""
    first_ns = remus.interval_ns if remus.first_ns is None else remus.first_ns
    steps = [remus.pause, remus.transfer, remus.commit_delay]
    fixed = [constant(step) for step in steps]
    if None in fixed:
        return _varying(remus, first_ns, end_ns, rng)
    pause, transfer, delay = (each or 0 for each in fixed)
    busy_ns = pause + transfer + delay
    period_ns = remus.kind.period_ns(remus.interval_ns, busy_ns)
    count = max(0, -(-(end_ns - first_ns) // period_ns)) + 1
    return steady(first_ns, count, period_ns, pause, busy_ns)


def _varying(
    remus: Checkpointing, first_ns: int, end_ns: int, rng: np.random.Generator
) -> Checkpoints:
    """One checkpoint after the other: what the guest dirtied depends on how long it ran.

    Chance is drawn many at a time: a scenario has far fewer epochs than packets, but not few.
    """
    steps = (remus.pause, remus.transfer, remus.commit_delay)
    drawn = [_Drawn(step, rng) for step in steps]
    suspends: list[int] = []
    resumes: list[int] = []
    commits: list[int] = []
    suspend_ns, resume_ns = first_ns, 0
    while True:
        ran_ns = suspend_ns - resume_ns
        pause, transfer, delay = (each.next(ran_ns) for each in drawn)
        resume_ns = suspend_ns + pause
        commit_ns = resume_ns + transfer + delay
        suspends.append(suspend_ns)
        resumes.append(resume_ns)
        commits.append(commit_ns)
        if suspend_ns >= end_ns:
            break
        period_ns = remus.kind.period_ns(remus.interval_ns, commit_ns - suspend_ns)
        suspend_ns = max(suspend_ns + period_ns, resume_ns + _LEAST_RUN_NS)
    return Checkpoints(*(np.array(each, np.int64) for each in (suspends, resumes, commits)))


class _Drawn:
    """The values of one quantity, epoch by epoch."""

    _MANY = 1024

    def __init__(self, quantity: Quantity, rng: np.random.Generator) -> None:
        self.quantity = quantity
        self.rng = rng
        self.left: list[int] = []

    def next(self, ran_ns: int) -> int:
        """The next value, for a guest that ran for ``ran_ns``."""
        quantity = self.quantity
        if isinstance(quantity, Growing | Saturating):
            return int(quantity.draw(self.rng, np.array([ran_ns], np.int64))[0])
        if not self.left:
            unused: Int64s = np.zeros(self._MANY, np.int64)
            self.left = quantity.draw(self.rng, unused).tolist()[::-1]
        return self.left.pop()
