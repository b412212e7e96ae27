"""``remusnet lab run --compare`` of what reacts: the kernel's own TCP beside the emulator's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from remusnet.cli.main import main
from remusnet.lab import compare_tcp
from remusnet.lab.build import build
from remusnet.lab.tcp_script import Host
from remusnet.scenario.traffic import Tcp
from remusnet.tcp.stack import Stack
from tests.kernel.lab.wait import wait_until

pytestmark = pytest.mark.kernel

HEAD = """\
name = "office"
duration = "{duration}s"
policies = ["{policy}"]
[checkpoint]
interval = "200ms"
pause = "{pause}ms"
[network]
delay = "1ms"
{network}
"""
EXCHANGES = """\
[[tcp]]
count = {count}
spacing = "1045500us"
exchanges = {exchanges}
think = "{think}ms"
response = {response}
"""


def office(
    folder: Path, *, policy: str = "tcp-only", pause: int = 50, network: str = "", **more: int
) -> str:
    """A scenario's file."""
    values = {"count": 3, "exchanges": 3, "think": 137, "response": 2000, "duration": 4, **more}
    path = folder / "office.toml"
    text = HEAD.format(policy=policy, pause=pause, network=network, **values)
    path.write_text(text + EXCHANGES.format(**values))
    return str(path)


def run(
    capsys: pytest.CaptureFixture[str], word: str, *options: str
) -> tuple[int | str | None, str]:
    """``remusnet lab run --only tcp``: its exit code and what it printed."""
    with pytest.raises(SystemExit) as ended:
        main(["lab", "run", word, "--compare", "--only", "tcp", *options])
    return ended.value.code, capsys.readouterr().out


def test_in_real_time_answers_take_as_long_as_the_emulator_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The best of three, in which a busy machine may leave an answer for a commit later."""
    for _ in range(3):
        code, out = run(capsys, office(tmp_path), "--json")
        found = json.loads(out)
        (only,) = found["runs"][0]["tcp"]["groups"]
        print(only["measures"])
        counts = {each["name"]: each["kernel"] for each in only["measures"]}
        assert (counts["answers"], counts["connections done"]) == (9, 3)
        # A machine so busy that it disagrees mostly says how late it was itself.
        if code == 0 or found["runs"][0]["tcp"]["late_ms"]["p95"] > 50:
            return
    pytest.fail(str(only["measures"]))


def test_what_a_kernel_cannot_have_is_said_before_anything_runs(tmp_path: Path) -> None:
    word = office(tmp_path, count=3000, exchanges=1)
    for options, said in ((["--only", "tcp"], "at most"), ([], "--only frames leaves out")):
        done = subprocess.run(
            [sys.executable, "-m", "remusnet", "lab", "run", word, "--compare", *options],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert said in done.stderr


def children(process: int) -> dict[int, str]:
    """The children of ``process``, and where each is."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                stat = (entry / "stat").read_text()
                if int(stat.rpartition(")")[2].split()[1]) == process:
                    found[int(entry.name)] = os.readlink(entry / "cwd")
    return found


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.long)]
)
def test_killed_while_connections_run_it_leaves_no_process_and_no_file(
    number: signal.Signals, tmp_path: Path
) -> None:
    word = office(tmp_path, duration=600, count=100)
    with subprocess.Popen(
        [sys.executable, "-m", "remusnet", "lab", "run", word, "--compare", "--only", "tcp"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:

        def directories() -> list[Path]:
            found = (Path(each) for each in children(process.pid).values())
            return [each for each in found if each.name.startswith("remusnet-lab-")]

        wait_until(lambda: any((d / "done").exists() for d in directories()), "it runs", 120)
        (directory,) = directories()
        all_of_it = children(process.pid)
        os.killpg(process.pid, number)
        process.wait(timeout=60)
    # Those that watch over the directories end once these are gone.
    wait_until(lambda: not any(Path("/proc", str(p)).exists() for p in all_of_it), "they end", 60)
    assert not directory.exists()


# Virtual time


@pytest.fixture(scope="module")
def virtual() -> None:
    """The kernel with virtual time; compiled the first time only."""
    build(print)


CASES: dict[str, dict[str, Any]] = {
    "requests and answers": {"count": 20, "exchanges": 10, "duration": 60, "pause": 0},
    "a guest that pauses": {"count": 20, "exchanges": 10, "duration": 60},
    "everything held": {"count": 10, "exchanges": 5, "duration": 40, "policy": "hold-all"},
    "without a copy": {
        "count": 5,
        "exchanges": 1,
        "response": 60_000,
        "duration": 40,
        "policy": "stock-remus",
    },
    "answers after idle": {
        "count": 10,
        "exchanges": 5,
        "think": 1000,
        "response": 100_000,
        "duration": 60,
    },
    "through a queue": {
        "count": 10,
        "exchanges": 1,
        "response": 1_000_000,
        "duration": 60,
        "network": 'rate = "100mbit"\nqueue = 1000',
    },
}


@pytest.mark.long
@pytest.mark.usefixtures("virtual")
@pytest.mark.parametrize("name", CASES)
def test_in_virtual_time_connections_agree_and_two_runs_are_alike(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    word = office(tmp_path, **CASES[name])
    first = run(capsys, word, "--virtual-time", "--json")
    (only,) = json.loads(first[1])["runs"][0]["tcp"]["groups"]
    with capsys.disabled():
        print(f"\n{name}: {[(m['name'], m['ratio']) for m in only['measures']]}", end="")
    assert first[0] == 0, only["measures"]
    # A timer of the kernel's own may have read the clock once more: 256 ns.
    (again,) = json.loads(run(capsys, word, "--virtual-time", "--json")[1])["runs"][0]["tcp"][
        "groups"
    ]
    for one, other in zip(only["measures"], again["measures"], strict=True):
        assert other["kernel"] == pytest.approx(one["kernel"], rel=1e-4)


@pytest.mark.long
@pytest.mark.usefixtures("virtual")
def test_a_kernel_with_other_settings_is_noticed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else agreement would say nothing: here only the emulator begins anew after idle."""
    told = compare_tcp._host

    def other(stack: Stack, groups: tuple[Tcp, ...]) -> Host:
        host = told(stack, groups)
        return Host(
            {**host.sysctls, "tcp_slow_start_after_idle": "0"}, host.route, nodelay=host.nodelay
        )

    monkeypatch.setattr(compare_tcp, "_host", other)
    code, out = run(capsys, office(tmp_path, **CASES["answers after idle"]), "--virtual-time")
    assert (code, out.splitlines()[-1]) == (1, "the kernel's TCP does not agree")
    assert " NO\n" in out
