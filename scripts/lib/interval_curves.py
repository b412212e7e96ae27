"""The curves of docs/explanation/checkpoint-interval.md: three guests, and two policies."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from remusnet.api.sweeps import Sweep, guest_names, load_guest, metrics, sweep
from remusnet.policy import PRESETS
from remusnet.report.drawing import style, to_svg
from remusnet.sweep.curves import curves
from remusnet.sweep.grid import logarithmic
from remusnet.sweep.table import Mean, means_csv

CALL = "docs/examples/scenarios/thesis-call.toml"
SHORTEST_NS, LONGEST_NS, POINTS, REPEATS = 20_000_000, 1_000_000_000, 10, 2
ASKED = metrics(
    ["overhead", "tcp.hold.p99", "sip.setup.median", "rtp.jitter.max", "mos.min"],
)


def guests(policy: str, names: Sequence[str] = guest_names()) -> list[Mean]:
    """What each guest comes to under ``policy``, with its name in the place of a setting."""
    found = []
    for name in names:
        wanted = Sweep(
            CALL,
            logarithmic(SHORTEST_NS, LONGEST_NS, POINTS),
            (PRESETS[policy],),
            asked=ASKED,
            repeats=REPEATS,
            guest=load_guest(name),
        )
        found += [replace(each, settings=(("guest", name),)) for each in sweep(wanted).means]
    return found


def main(directory: Path) -> int:
    """Write the figures, and their numbers with the day they were made on."""
    every = {
        "interval-guests": guests("tcp-only"),
        "interval-policies": guests("tcp-only", ["busy-pbx"]) + guests("hold-all", ["busy-pbx"]),
    }
    directory.mkdir(parents=True, exist_ok=True)
    with style():
        for name, found in every.items():
            made = curves(found, ASKED)
            assert made is not None
            (directory / f"{name}.svg").write_text(to_svg(made), "utf-8", newline="\n")
            day = datetime.now(UTC).date().isoformat()
            text = f"# {day}, scripts/interval-curves\n{means_csv(found, ASKED, ['guest'])}"
            (directory / f"{name}.csv").write_text(text, "utf-8", newline="\n")
            print(f"wrote {directory / name}.svg, .csv")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
