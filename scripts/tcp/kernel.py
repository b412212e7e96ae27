"""A row in a real kernel, in virtual time: `scripts.tcp.bed` as a job of the lab."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from remusnet.lab.errors import LabDied
from remusnet.lab.guard import Guard
from remusnet.lab.runs import Job, Run
from remusnet.lab.uml import Uml
from remusnet.lab.visible import SOURCE, inside
from remusnet.lab.xstate import kernel_release
from scripts.tcp.figures import Seen
from scripts.tcp.rows import PHASES, Row

HERE = Path(__file__).resolve().parent
MEMORY = "1024M"
"""Less makes socket buffers smaller than a host's, and so bursts."""
_MOST_S = 1_800
_FILES = ("bed.py", "traffic.py")

Tell = Callable[[str], None]


def in_kernel(row: Row, lab: Uml, date: str, tell: Tell) -> Seen:
    """Run it: a minute or two. ``tell`` hears how far it is.

    Raises ``LabUnavailable`` and ``LabDied``.
    """
    with Guard(Path("/tmp"), "remusnet-inside-") as guard:
        place = inside(SOURCE, lab.account, guard.directory, "remusnet")
        files = {name: (HERE / name).read_text(encoding="utf-8") for name in _FILES}
        files["terms"] = json.dumps(row.terms())
        script = 'exec "$0" "$LAB_JOB/bed.py"'
        job = Job(["sh", "-c", script, place.python], place.environment, files=files)
        began = time.monotonic()
        with lab.start(job) as run:
            result = run.wait(_MOST_S, lambda: tell(_progress(row, run, began)))
    if result.status != 0:
        said = (result.stderr.strip() or "nothing").splitlines()[-1]
        raise LabDied(f"{row.name}: the traffic in the kernel failed: {said}")
    return _seen(row, result.stdout, kernel_release(lab.kernel.modules), date)


def _progress(row: Row, run: Run, began: float) -> str:
    ended = run.read("stdout").count('"took_ms"')
    return f"{row.name}: {ended} of {PHASES} connections, {time.monotonic() - began:.0f} s"


def _seen(row: Row, output: str, kernel: str, date: str) -> Seen:
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    took_ms = sorted(round(line["took_ms"], 3) for line in lines if "took_ms" in line)
    if len(took_ms) != PHASES:
        raise LabDied(f"{row.name}: {len(took_ms)} of {PHASES} connections ended")
    counters: dict[str, dict[str, int]] = {}
    for line in lines:
        if line.get("value"):
            counters.setdefault(line["side"], {})[line["counter"]] = line["value"]
    return Seen(row.terms(), kernel, date, tuple(took_ms), counters)
