"""``remusnet lab run --compare``: what the emulator says of each frame is what the kernel does."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from remusnet.api.scenarios import load_scenario
from remusnet.cli.main import main
from remusnet.emulator.run.departures import Departures
from remusnet.lab import compare as comparing
from remusnet.lab.build import build
from remusnet.lab.compare import compare
from remusnet.lab.script import Step
from remusnet.lab.uml import Uml
from remusnet.policy import PRESETS
from remusnet.scenario.scenario_file import overridden
from tests.lib import long

pytestmark = pytest.mark.kernel

# hold-all fills the plug several times; real-time never does.
SMALL = """\
name = "small"
description = "Calls, SIP and TCP through a plug with room for four kilobytes."
duration = "2s"
policies = ["hold-all", "real-time"]
[checkpoint]
period = "200ms"
pause = "20ms"
commit-delay = "5ms"
[vif]
limit = "4kB"
[[calls]]
count = 2
[[sip]]
count = 2
[[tcp]]
count = 3
"""


@pytest.fixture
def small(tmp_path: Path) -> str:
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return str(path)


def run(
    capsys: pytest.CaptureFixture[str], word: str, *options: str
) -> tuple[int | str | None, str]:
    """``remusnet lab run``: its exit code and what it printed."""
    with pytest.raises(SystemExit) as ended:
        main(["lab", "run", word, "--compare", *options])
    return ended.value.code, capsys.readouterr().out


def counts(run: dict[str, Any], side: str) -> dict[str, int]:
    words = [frame[side]["verdict"] for frame in run["frames"]]
    return {word: words.count(word) for word in sorted(set(words))}


@pytest.mark.parametrize("figure", ["fig10", "fig11"])
def test_a_figure_in_real_time_agrees_and_its_medians_are_printed(
    figure: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = run(capsys, figure, "--duration", "2s")
    print(out)
    assert (code, out.splitlines()[-1]) == (0, "the kernel agrees")
    assert "same verdict, epoch and bytes: 100 of 100\n" in out
    assert f"\n{'held' if figure == 'fig10' else 'passed'} " in out.partition("median")[2]


def test_a_small_plug_drops_the_same_frames_in_both(
    small: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = run(capsys, small, "--json", "--only", "frames")
    found = json.loads(out)
    assert (code, found["agrees"]) == (0, True)
    hold_all, real_time = found["runs"]
    assert counts(hold_all, "kernel")["dropped"] > 30
    assert set(counts(real_time, "kernel")) == {"held", "passed"}
    for each in found["runs"]:
        assert counts(each, "kernel") == counts(each, "emulator")
        for frame in each["frames"]:
            ours, theirs = frame["emulator"], frame["kernel"]
            assert (ours["verdict"], ours["epoch"]) == (theirs["verdict"], theirs["epoch"])
        # However busy the machine is: no frame left before its time.
        ways = [each["later_ms"][way] for way in ("passed", "held")]
        assert all(way["least"] >= 0 for way in ways if way is not None)


def test_a_plug_that_is_not_told_of_a_commit_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else agreement would say nothing: here the kernel gets another order than the emulator."""
    told = comparing._steps

    def forgetful(emulated: Departures) -> Iterator[Step]:
        releases = 0
        for step in told(emulated):
            releases += not step.frame and not step.buffer
            yield step._replace(buffer=step.buffer or (releases == 3 and not step.frame))

    monkeypatch.setattr(comparing, "_steps", forgetful)
    scenario = overridden(load_scenario("fig10"), calls=None, duration_ns=2 * 10**9, seed=None)
    found = compare(scenario, PRESETS["hold-all"], Uml(), classifier="u32", tell=lambda _: None)
    assert not found.agrees
    assert {each.what for each in found.differences()} >= {"epoch"}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["fig11"], 2, "Missing option '--compare'"),
        (["nothing", "--compare"], 2, "nothing"),
        (["fig9", "--compare"], 2, "'fig9' has no checkpoints"),
        (["fig11", "--compare", "--classifier", "xdp"], 2, "--classifier"),
    ],
)
def test_a_mistake_is_one_line(words: Sequence[str], code: int, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "remusnet", "lab", "run", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


# Virtual time


@pytest.fixture(scope="module")
def virtual() -> None:
    """The kernel with virtual time; compiled the first time only."""
    build(print)


def drawn(random: Random, number: int) -> str:
    """A scenario whose checkpoints, traffic and plug are anything."""
    period = random.randrange(40, 800)
    pause = random.randrange(0, period // 3)
    delay = random.randrange(0, period // 3)
    return f"""\
name = "random-{number}"
description = "Drawn by lot."
duration = "10s"
seed = {random.randrange(10**6)}
policies = ["{random.choice(["hold-all", "tcp-only", "real-time"])}"]
[checkpoint]
period = "{period}ms"
pause = "{pause}ms"
commit-delay = "{delay}ms"
[vif]
limit = "{random.choice([3, 20, 2000])}kB"
[network]
delay = "{random.randrange(1, 40)}ms"
jitter = "{random.randrange(0, 3)}ms"
[[calls]]
count = {random.randrange(1, 6)}
drift-ppm = {random.randrange(0, 1000)}
[[sip]]
count = {random.randrange(1, 4)}
[[tcp]]
count = {random.randrange(1, 4)}
"""


def cases(folder: Path) -> Iterator[str]:
    yield "fig10"
    yield "fig11"
    small = folder / "small.toml"
    small.write_text(SMALL.replace("2s", "20s"))
    yield str(small)
    big = folder / "big.toml"
    big.write_text(SMALL.replace("2s", "20s").replace("4kB", "1MB"))
    yield str(big)
    random = Random(long.seed())
    for number in range(3):
        path = folder / f"random{number}.toml"
        path.write_text(drawn(random, number))
        yield str(path)


@pytest.mark.long
@pytest.mark.usefixtures("virtual")
def test_in_virtual_time_each_frame_is_within_a_tenth_of_a_millisecond_and_runs_are_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for word in cases(tmp_path):
        options = ("--virtual-time", "--json", "--only", "frames")
        first = run(capsys, word, *options)
        found = json.loads(first[1])
        most = [
            (each["policy"], len(each["frames"]), way, spread["most"])
            for each in found["runs"]
            for way, spread in each["later_ms"].items()
            if spread is not None
        ]
        with capsys.disabled():
            print(f"\n{found['scenario']}: later by at most, ms: {most}", end="")
        assert first[0] == 0, found["scenario"]
        assert run(capsys, word, *options) == first


def processor_s() -> float:
    """What this process and those that it has waited for have used of processors."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


@pytest.mark.long
@pytest.mark.usefixtures("virtual")
def test_twenty_virtual_minutes_of_ten_calls_lose_no_frame_and_let_none_leave_early(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "calls.toml"
    path.write_text(
        'name = "calls"\ndescription = "Ten calls."\nduration = "1200s"\n'
        'policies = ["hold-all"]\n[checkpoint]\nperiod = "200ms"\n[[calls]]\ncount = 10\n'
    )
    begun, used = time.monotonic(), processor_s()
    code, out = run(capsys, str(path), "--virtual-time")
    seconds, used = time.monotonic() - begun, processor_s() - used
    with capsys.disabled():
        print(f"\n{out}{seconds:.0f} s, {used:.0f} s of a processor")
    assert code == 0
    # Two minutes on a machine that does nothing else; on a busy one only the processor's time says.
    assert used < 120
    assert "600,000 of 600,000" in out
