"""scripts/flows: what it counts, and what it doesn't."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.lib import flows

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def capture() -> list[tuple[str, str]]:
    return flows.trace_capture()


def test_a_flow_enters_files_that_are_there_from_its_door_to_its_end(
    capture: list[tuple[str, str]],
) -> None:
    files = list(dict.fromkeys(file for file, _ in capture))
    assert all((ROOT / file).is_file() for file in files)
    assert files[0] == "remusnet/api/simulation.py"
    assert {"remusnet/capture/reader.py", "remusnet/metrics/rtp.py"} <= set(files)
    assert ("remusnet/capture/reader.py", "read") in capture


def test_a_capture_enters_no_more_files_than_a_reader_can_follow(
    capture: list[tuple[str, str]],
) -> None:
    assert flows.count(capture) <= flows.MOST["capture"]
    assert flows.MOST["capture"] == flows.GOALS["capture"]
    assert flows.MOST["policy"] == flows.GOALS["policy"]  # counted in a kernel: --check


def test_what_runs_while_a_module_is_imported_does_not_count() -> None:
    code = (
        "from scripts.lib.flows import Trace; trace = Trace()\n"
        "with trace.on():\n"
        "    import remusnet.units, remusnet.policy\n"
        "    remusnet.units.parse_size('1MB')\n"
        "import json; print(json.dumps(trace.as_json()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [
        ["remusnet/units.py", "parse_size"],
        ["remusnet/units.py", "_parse"],
    ]


def test_the_report_says_how_many_and_how_long(
    capture: list[tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    flows.present("capture", capture, functions=True)
    first, *lines = capsys.readouterr().out.splitlines()
    count = len({file for file, _ in capture})
    alone = len({file for file, _ in capture if file.count("/") > 1})
    assert 0 < alone < count
    assert first.startswith(
        f"capture to metrics: {count} files (goal 22), {alone} without those for every room, "
    )
    assert sum("remusnet/" in line for line in lines) == count
    assert "      read" in lines
