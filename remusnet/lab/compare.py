"""A scenario's frames through a real kernel's rules and plug, beside what the emulator says."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from remusnet.emulator.run.departures import Departures, departures
from remusnet.frames import Bools, Int64s
from remusnet.lab import script
from remusnet.lab.errors import LabDied
from remusnet.lab.guard import Guard
from remusnet.lab.runs import Job, Run
from remusnet.lab.script import Seen, Step, Terms
from remusnet.lab.uml import Uml
from remusnet.lab.visible import SOURCE, inside
from remusnet.lab.xstate import kernel_release
from remusnet.policy import Policy
from remusnet.policy.toml import to_toml
from remusnet.results.agreement import NO_EPOCH, Agreement, Passing
from remusnet.results.stream import NEVER
from remusnet.scenario.scenario import Scenario

_MODULE = "remusnet.lab.replay"
_BOOT_S, _FACTOR = 300, 20
"""A run may take so long, and the scenario's duration so many times: machines are busy."""

_SIGHTING = np.dtype([("where", "u1"), ("number", "<u4"), ("time_ns", "<i8"), ("crc", "<u4")])

_AT_A_TIME = 1 << 16

STEP_NS = 2_000
"""A virtual clock moves by 256 ns with each read, and now and then a timer of the kernel's own
reads it too: in smaller steps two runs would not always be the same."""

Tell = Callable[[str], None]


def compare(
    scenario: Scenario, policy: Policy, lab: Uml, *, classifier: str, tell: Tell
) -> Agreement:
    """Send what the guest of ``scenario`` sends under ``policy`` through a kernel of ``lab``.

    In real time that takes as long as the scenario. ``tell`` hears what is done now. Raises
    ``LabUnavailable``, ``LabDied``, and InvalidInput as `departures` does.
    """
    tell(f"emulating {scenario.name} under {policy.name}")
    emulated = departures(scenario, policy)
    limit = scenario.host.limit
    terms = Terms(to_toml(policy), classifier, limit, lab.kernel.virtual)
    with Guard(Path("/tmp"), "remusnet-inside-") as guard:
        tell("starting the kernel")
        place = inside(SOURCE, lab.account, guard.directory, _MODULE)
        job = Job(
            [place.python, "-m", _MODULE],
            place.environment,
            files={
                script.TERMS: terms.text(),
                script.STEPS: script.written_steps(_steps(emulated)),
            },
        )
        with lab.start(job) as run:
            wait(run, scenario, tell, _reached)
            return _agreement(scenario, policy, lab, emulated, run.directory)


def wait(run: Run, scenario: Scenario, tell: Tell, reached: Callable[[Path], int | None]) -> None:
    """Waits until the run in the kernel has ended; raises ``LabDied`` where it failed.

    ``reached``: what time of the scenario it is there, by the files of the run's directory.
    """

    def watch() -> None:
        time_ns = reached(run.directory)
        if time_ns is not None:
            tell(f"{scenario.name}: {time_ns / 1e9:.0f} of {scenario.duration_ns / 1e9:.0f} s")

    result = run.wait(_BOOT_S + _FACTOR * scenario.duration_ns / 1e9, watch)
    if result.status != 0:
        said = (result.stderr.strip() or "nothing").splitlines()[-1]
        raise LabDied(f"the run in the kernel failed: {said}")


def _reached(directory: Path) -> int | None:
    path = directory / script.DONE
    if not path.exists() or (size := path.stat().st_size) < script.TIME.size:
        return None
    with path.open("rb") as file:
        file.seek((size // script.TIME.size - 1) * script.TIME.size)
        (time_ns,) = script.TIME.unpack(file.read(script.TIME.size))
    return int(time_ns)


def _steps(emulated: Departures) -> Iterator[Step]:
    """The steps in order of time; of equal times a commit, a suspend, then frames, as emulated."""
    planned = emulated.checkpoints
    times = np.concatenate([planned.commit_ns, planned.suspend_ns, emulated.sent_ns])
    commits, operations = len(planned), 2 * len(planned)
    frames = enumerate(emulated.frames())
    # As numpy's own integers, one by one: a list of them all would take more than the frames do.
    for row in _order(emulated):
        if row >= operations:
            number, frame = next(frames)
            yield Step(int(times[row]), script.numbered(frame, number))
        else:
            yield Step(int(times[row]), b"", buffer=bool(row >= commits))


def _order(emulated: Departures) -> Int64s:
    """Commits, suspends and frames, counted through, as they come.

    A commit belongs to the suspend before it, and may be at the same time.
    """
    planned = emulated.checkpoints
    count, frames = len(planned), len(emulated.sent_ns)
    times = np.concatenate([planned.commit_ns, planned.suspend_ns, emulated.sent_ns])
    of = np.arange(count)
    # Within a time: what an earlier checkpoint does comes before a later one, a suspend before its
    # own commit, frames after all.
    rank = np.concatenate([2 * of + 1, 2 * of, np.full(frames, 2 * count)])
    place = np.concatenate([np.zeros(2 * count, np.int64), np.arange(frames)])
    return np.lexsort((place, rank, times))


def _agreement(
    scenario: Scenario, policy: Policy, lab: Uml, emulated: Departures, directory: Path
) -> Agreement:
    count, frames = len(emulated.checkpoints), len(emulated)
    released_ns, sent_ns, opened_ns = _done(emulated, directory)
    seen, changed, length = _passing(emulated, directory, released_ns, opened_ns)
    ours = emulated.checkpoints.commit_ns
    epoch = np.full(frames, NO_EPOCH, np.int64)
    left = emulated.held & (emulated.left_ns != NEVER)
    epoch[left] = np.searchsorted(ours, emulated.left_ns[left], side="left")
    emulated_passing = Passing(emulated.held, emulated.dropped, epoch, emulated.left_ns)
    late_ns = sent_ns - emulated.sent_ns
    known = left & (epoch < count)
    late_ns[known] = (released_ns - ours)[epoch[known]]
    if lab.kernel.virtual:
        both = seen.left & emulated_passing.left
        later_ns = in_steps(seen.left_ns - emulated.left_ns)
        seen = replace(seen, left_ns=np.where(both, emulated.left_ns + later_ns, seen.left_ns))
        late_ns = in_steps(late_ns)
    return Agreement(
        scenario=scenario.name,
        policy=policy.name,
        kernel=kernel_release(lab.kernel.modules),
        virtual=lab.kernel.virtual,
        limit=scenario.host.limit,
        checkpoints=count,
        sent_ns=emulated.sent_ns,
        length=length,
        emulated=emulated_passing,
        seen=seen,
        replay_late_ns=late_ns,
        changed=changed,
    )


def _done(emulated: Departures, directory: Path) -> tuple[Int64s, Int64s, int]:
    """When each of c commits was told and each of n frames sent (int64[c], int64[n]), and when the
    plug was opened at the end.
    """
    done_ns = np.memmap(directory / script.DONE, "<i8", "r")
    count = len(emulated.checkpoints)
    at = np.empty(2 * count + len(emulated), np.int64)
    at[_order(emulated)] = done_ns[:-1]
    return at[:count], at[2 * count :], int(done_ns[-1])


def in_steps(late_ns: Int64s) -> Int64s:
    """How late each of n frames was in virtual time (int64[n]), in whole `STEP_NS`, rounded up.

    An early value stays as it is.
    """
    return np.where(late_ns > 0, -(-late_ns // STEP_NS) * STEP_NS, late_ns)


def _passing(
    emulated: Departures, directory: Path, released_ns: Int64s, opened_ns: int
) -> tuple[Passing, Bools, Int64s]:
    """What became of each of n frames, whose bytes came out as others (bool[n]), and their lengths
    (int64[n]).

    What only leaves when the plug is opened at the end would have stayed in it for good.
    """
    frames = len(emulated)
    held, kept = np.zeros((2, frames), np.bool_)
    epoch = np.full(frames, NO_EPOCH, np.int64)
    left_ns = np.full(frames, NEVER, np.int64)
    crc = np.zeros(frames, np.uint32)
    # A frame is seen at the buffer before it is at the client, and read in that order.
    for sightings in _sightings(directory / script.SEEN):
        released = sightings[sightings["where"] == Seen.BUFFER]
        arrived = sightings[sightings["where"] == Seen.CLIENT]
        held[released["number"]] = True
        in_time = released[released["time_ns"] < opened_ns]
        kept[released["number"]] = True
        kept[in_time["number"]] = False
        epoch[in_time["number"]] = (
            np.searchsorted(released_ns, in_time["time_ns"], side="right") - 1
        )
        left_ns[arrived["number"]] = arrived["time_ns"]
        crc[arrived["number"]] = arrived["crc"]
    left_ns[kept] = NEVER
    never = left_ns == NEVER
    length = np.empty(frames, np.int64)
    changed = np.zeros(frames, np.bool_)
    for number, frame in enumerate(emulated.frames()):
        length[number] = len(frame)
        sent = zlib.crc32(script.numbered(frame, number))
        changed[number] = not never[number] and crc[number] != sent
    dropped = never & ~held
    return Passing(held | dropped, dropped, epoch, left_ns), changed, length


def _sightings(path: Path) -> Iterator[npt.NDArray[np.void]]:
    """Many at a time."""
    with path.open("rb") as file:
        while len(found := np.fromfile(file, _SIGHTING, _AT_A_TIME)):
            yield found
