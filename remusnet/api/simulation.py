"""A scenario or a capture through Remus's buffer: read, run, and what came of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from remusnet import capture as captures
from remusnet import defaults
from remusnet.api import words
from remusnet.api.recordings import Reader
from remusnet.api.scenarios import (
    beside,
    load_scenario,
    names_capture,
    policies_of,
    schedule_of,
)
from remusnet.api.words import PolicyWord
from remusnet.emulator.run.recordings import simulate as replay_frames
from remusnet.errors import InvalidInput, RemusnetError, quoted
from remusnet.frames import Frames
from remusnet.plan.devices import plug_limit
from remusnet.policy import PRESETS, Policy
from remusnet.report.result import Result
from remusnet.results.comparison import Simulation
from remusnet.schedule import Schedule, ScheduleKind

if TYPE_CHECKING:
    from remusnet.scenario.scenario import Scenario

MOST_CALLS, LARGEST_SEED = 1_000_000, 2**63 - 1

Tell = Callable[[str], None]


def _silent(_: str) -> None:
    pass


@dataclass(frozen=True, slots=True, eq=False)
class Simulated:
    """A simulation, the seconds that it took, and how many frames went through it.

    ``files``: where the frames went that left, one file for each policy, if they were asked for.
    """

    simulation: Simulation
    seconds: float
    frames: int
    files: tuple[Path, ...] = ()

    @property
    def released(self) -> tuple[Frames, ...]:
        """The frames that left under each policy; of a scenario only where they were kept."""
        return self.simulation.released


@dataclass(frozen=True, slots=True)
class ScenarioCase:
    """A scenario (a shipped one's name, or a file), and what is to be other than it says.

    ``policies``: none for the scenario's own; ``calls`` in all, ``duration_ns``, ``seed``: None for
    the scenario's. ``out``: a file for what arrives (see `released_files`). ``keep``: keep the
    frames that arrive, for a report. ``advise``: try what settings of TCP would gain.
    """

    word: str
    policies: tuple[Policy, ...] = ()
    calls: int | None = None
    duration_ns: int | None = None
    seed: int | None = None
    out: str | None = None
    keep: bool = False
    advise: bool = False

    def run(self, read: Reader = captures.read_frames, tell: Tell = _silent) -> Simulated:
        """Simulate it. ``read``: reads the captures that it names; ``tell``: called at each step.

        Raises InvalidInput.
        """
        # It builds packets with scapy, which a recording can do without: 0.4 s of import.
        from remusnet.emulator.run.scenario_run import frames_sent, run_scenario
        from remusnet.scenario.scenario_file import overridden

        over = {"calls": self.calls, "duration_ns": self.duration_ns, "seed": self.seed}
        scenario = overridden(load_scenario(self.word), **over)
        policies = self.policies or policies_of(scenario, self.word)
        names = _captures_of(scenario, self.word)
        recordings = [read(name) for name in names]
        files = released_files(self.out, names, policies)
        start = time.perf_counter()

        def on_run(policy: Policy) -> None:
            number = policies.index(policy) + 1
            tell(f"{scenario.name} under {policy.name} ({number} of {len(policies)})")

        simulation = run_scenario(
            scenario,
            policies,
            recordings=[recording.frames for recording in recordings],
            keep_frames=self.keep or bool(files),
            advise=self.advise,
            on_run=on_run,
        )
        seconds = time.perf_counter() - start
        _write(files, simulation)
        return Simulated(simulation, seconds, frames_sent(simulation), files)


@dataclass(frozen=True, slots=True)
class CaptureCase:
    """A capture, and the Remus that it goes through.

    ``policies``: none for all shipped ones; ``limit``: bytes of the plug; ``guest``: its MAC or IP
    address, None for the busiest sender; ``out``: see `released_files`.
    """

    capture: str
    schedule: Schedule
    limit: int
    policies: tuple[Policy, ...] = ()
    guest: str | None = None
    out: str | None = None

    def run(self, read: Reader = captures.read_frames, tell: Tell = _silent) -> Simulated:
        """Replay it. ``read``: reads it; ``tell``: called at each step. Raises InvalidInput."""
        policies = self.policies or tuple(PRESETS.values())
        files = released_files(self.out, [self.capture], policies)
        recording = read(self.capture)
        count = len(policies)
        many = "1 policy" if count == 1 else f"{count} policies"
        tell(f"replaying {len(recording.frames)} frames under {many}")
        start = time.perf_counter()
        simulation = replay_frames(
            recording.frames,
            policies,
            self.schedule,
            self.limit,
            capture=recording.name,
            guest=self.guest,
            numbers=recording.numbers,
            notes=recording.warnings,
        )
        seconds = time.perf_counter() - start
        _write(files, simulation)
        return Simulated(simulation, seconds, len(recording.frames) * count, files)


def simulate(
    source: str | Path | None = None,
    *,
    capture: str | Path | None = None,
    policies: Sequence[PolicyWord] = (),
    calls: int | None = None,
    duration: str | None = None,
    seed: int | None = None,
    interval: str = defaults.INTERVAL,
    period: str | None = None,
    pause: str = defaults.PAUSE,
    commit_delay: str = defaults.COMMIT_DELAY,
    schedule: str = "xl",
    guest: str | None = None,
    rate: str = defaults.RATE,
    limit: str | None = None,
    out: str | Path | None = None,
) -> Result:
    """Send calls through Remus's buffer, and compare policies: ``remusnet simulate``.

    ``source`` is a scenario (the name of a shipped one, or a file), or a capture (pcap or
    pcapng); ``capture`` is a capture, whatever its name. ``policies`` are names, files and
    `Policy` values; without any they are the scenario's own, else all shipped ones.

    ``calls``, ``duration`` and ``seed`` are for scenarios, and replace the scenario's own.
    ``interval`` to ``limit`` are for captures: checkpoints every ``interval`` (or ``period``, from
    commit to commit), each stopping the guest for ``pause`` and committed ``commit_delay`` later;
    ``schedule`` is ``xl`` or ``xend``; ``guest`` is the protected guest's MAC or IP address, if it
    isn't the busiest sender; ``rate`` of its link, for the plug's default ``limit``.
    ``out``: a file for the frames that left, as nanosecond pcap (of several policies
    ``NAME-POLICY.pcap``). Times, rates and sizes are text with a unit.

    The result checks assertions, and has every metric as an attribute:

        >>> result = remusnet.simulate("fig8", policies=["tcp-only"], duration="1s")
        >>> result.check("commit.violations == 0")
        >>> max(result.rtp.jitter.mean) < 10
        True

    Raises InvalidInput for a mistake in a file, a value or an assertion, TypeError for a scenario
    and a capture at once, or neither; ``result.check`` raises AssertionError.
    """
    __tracebackhide__ = True
    done = simulated(
        source,
        capture=capture,
        policies=policies,
        calls=calls,
        duration=duration,
        seed=seed,
        interval=interval,
        period=period,
        pause=pause,
        commit_delay=commit_delay,
        schedule=schedule,
        guest=guest,
        rate=rate,
        limit=limit,
        out=out,
    )
    return Result(done.simulation.comparison)


def simulated(
    source: str | Path | None = None,
    *,
    capture: str | Path | None = None,
    policies: Sequence[PolicyWord] = (),
    calls: int | None = None,
    duration: str | None = None,
    seed: int | None = None,
    interval: str = defaults.INTERVAL,
    period: str | None = None,
    pause: str = defaults.PAUSE,
    commit_delay: str = defaults.COMMIT_DELAY,
    schedule: str = "xl",
    guest: str | None = None,
    rate: str = defaults.RATE,
    limit: str | None = None,
    out: str | Path | None = None,
    folder: Path = Path(),
    keep: bool = False,
) -> Simulated:
    """As `simulate`, with all that it came to. Relative paths begin in ``folder``.

    ``keep``: keep the frames of a scenario. Raises as `simulate` does, an error of ours without
    where inside remusnet it was noticed: that doesn't help a user to correct the file.
    """
    __tracebackhide__ = True  # pytest shows the line of the test, not this one
    if (source is None) == (capture is None):
        raise TypeError("expected a scenario or capture=, and not both")
    try:
        to = None if out is None else words.path("out", out)
        if source is not None and _is_capture(source, folder):
            source, capture = None, source
        chosen = words.policies(policies, folder)
        if capture is None:
            words.whole("calls", calls, 1, MOST_CALLS)
            words.whole("seed", seed, 0, LARGEST_SEED)
            word = words.from_folder(words.path("scenario", source), folder)
            long = None if duration is None else words.duration("duration", duration, "'60s'")
            return ScenarioCase(word, chosen, calls, long, seed, to, keep).run()
        times = _schedule(interval, period, pause, commit_delay, schedule)
        if limit is None:
            plug = plug_limit(words.rate("rate", rate), times.interval_ns)
        else:
            plug = words.size("limit", limit)
        if guest is not None:
            words.text("guest", guest, "'00:16:3e:00:00:01'")
        file = str(folder / words.path("capture", capture))
        return CaptureCase(file, times, plug, chosen, guest, to).run()
    except RemusnetError as error:
        raise error.with_traceback(None) from None


def released_files(
    out: str | None, captures: Sequence[str], policies: Sequence[Policy]
) -> tuple[Path, ...]:
    """Where each policy's frames go: ``FILE``, or ``FILE-POLICY.pcap`` for each of several.

    Raises InvalidInput for standard output, which has the report, and for a capture that is read.
    """
    if out is None:
        return ()
    path = Path(out)
    if not path.name or out == "-":
        raise InvalidInput(f"--out: expected a file's name, not {quoted(out)}")
    files = [path]
    if len(policies) > 1:
        suffix = path.suffix if path.suffix == ".pcap" else ""
        stem = path.name.removesuffix(suffix)
        files = [path.with_name(f"{stem}-{policy.name}.pcap") for policy in policies]
    for capture in captures:
        for file in files:
            if capture != "-" and os.path.realpath(file) == os.path.realpath(capture):
                raise InvalidInput(f"--out: would overwrite the capture {quoted(capture)}")
    return tuple(files)


def _write(files: Sequence[Path], simulation: Simulation) -> None:
    # Where no file was asked for, a scenario keeps no frames.
    for file, frames in zip(files, simulation.released, strict=False):
        captures.write(file, frames)


def _captures_of(scenario: Scenario, word: str) -> list[str]:
    return [str(beside(word, each.file)) for each in scenario.recordings]


def _is_capture(source: str | Path, folder: Path) -> bool:
    word = words.path("scenario", source)
    there = folder / word
    return names_capture(str(there) if there.is_file() else word)


def _schedule(
    interval: str, period: str | None, pause: str, commit_delay: str, schedule: str
) -> Schedule:
    times = {"interval": interval, "pause": pause, "commit_delay": commit_delay}
    found = {name: words.duration(name, each) for name, each in times.items()}
    period_ns = None if period is None else words.duration("period", period, "'400ms'")
    kinds = [str(each) for each in ScheduleKind]
    if schedule not in kinds:
        raise InvalidInput(f"schedule: expected one of {', '.join(kinds)}, not {schedule!r}")
    return schedule_of(
        found["interval"], period_ns, found["pause"], found["commit_delay"], ScheduleKind(schedule)
    )
