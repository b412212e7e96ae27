"""``scripts/availability-experiment``."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from remusnet.availability.fitting.events import read_events
from remusnet.availability.fitting.history import history_of
from remusnet.availability.models.parameters import parse_time, shown_time
from remusnet.availability.models.supervision import PRESETS
from remusnet.errors import InvalidInput, RemusnetError
from scripts.experiment.comparing import Figure, figures, restart_times
from scripts.experiment.run import Options, Recording, Run, recording

_EXAMPLES = """examples:
  scripts/availability-experiment                             # 20 failures a preset, 6 minutes
  scripts/availability-experiment --long                      # 200 failures a preset, an hour
  scripts/availability-experiment --preset none --repair 3s-30s --actor-life 60s
  scripts/availability-experiment --long --record results     # keeps what was measured
  scripts/availability-experiment --replay results            # compares it once more

The server runs on loopback. Each of its eight standing actors fails after times without memory;
under none that ends the process, and the script starts it again after its repair. Faults that would
be a fifth of one actor in 30 s are held back. Exit codes: 0 the model's figures are within the
measured 95 % intervals, 1 one is not, 2 usage."""
# Under none every failure takes a repair: what is alive in between is short, or it takes hours.
_LIFE = {"none": "16s", "thesis": "40s", "resilient": "40s"}
_PASSING = ('"kind": "transaction"', '"kind": "session"')
# Where there is one, files are in memory: others' writes to the disk don't stop the server then.
_MEMORY = Path("/dev/shm")


def main(words: Sequence[str] | None = None) -> int:
    """Run it, or compare what was recorded; 1 where a figure disagrees."""
    arguments = _parser().parse_args(words)
    try:
        if arguments.replay is not None:
            runs = [_read(arguments.replay, name) for name in _recorded(arguments)]
        else:
            runs = [_ran(name, arguments) for name in arguments.preset or PRESETS]
        found = [each for run, events in runs for each in figures(run, events)]
    except (RemusnetError, OSError) as error:
        print(f"availability-experiment: {error}", file=sys.stderr)
        return 2 if isinstance(error, InvalidInput | OSError) else 1
    if arguments.json:
        rows = [{**asdict(each), "agrees": each.agrees} for each in found]
        print(json.dumps({"figures": rows, "runs": [asdict(run.options) for run, _ in runs]}))
    else:
        for run, events in runs:
            _print(run, events, [each for each in found if each.preset == run.options.preset])
    return 0 if all(each.agrees for each in found) else 1


def _ran(preset: str, arguments: argparse.Namespace) -> tuple[Recording, list[str]]:
    life = arguments.actor_life or parse_time(_LIFE[preset])
    options = Options(
        preset=preset,
        failures=arguments.failures or (200 if arguments.long else 20),
        actor_life_s=life,
        repair_s=arguments.repair,
        call_mean_s=arguments.call_mean,
        rate=arguments.rate,
        seed=arguments.seed,
        at_most_s=arguments.at_most,
    )
    where = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="availability-experiment-", dir=where) as folder:
        run = Run(Path(folder), options, lambda text: _progress(f"{preset}: {text}", arguments))
        found = asyncio.run(run.run())
        _progress("", arguments)
        # What standing actors did: of the others there are hundreds of lines a second.
        lines = run.events.read_text().splitlines(keepends=True)
        events = [line for line in lines if not any(kind in line for kind in _PASSING)]
    if arguments.record is not None:
        arguments.record.mkdir(parents=True, exist_ok=True)
        (arguments.record / f"{preset}.json").write_text(found.text())
        (arguments.record / f"{preset}.events.jsonl").write_text("".join(events))
    return found, events


def _recorded(arguments: argparse.Namespace) -> list[str]:
    there = [name for name in PRESETS if (arguments.replay / f"{name}.json").exists()]
    if not there:
        raise InvalidInput(f"{arguments.replay}: no recording in it")
    return [name for name in there if name in (arguments.preset or PRESETS)]


def _read(folder: Path, preset: str) -> tuple[Recording, list[str]]:
    try:
        run = recording((folder / f"{preset}.json").read_text())
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidInput(f"{folder / f'{preset}.json'}: no recording: {error}") from None
    events = folder / f"{preset}.events.jsonl"
    return run, events.read_text().splitlines(keepends=True) if events.exists() else []


def _print(run: Recording, events: list[str], found: list[Figure]) -> None:
    options = run.options
    sent = sum(row[1] for rows in run.probes.values() for row in rows)
    print(
        f"{options.preset}: {run.failures} failures in {shown_time(run.seconds)}, {sent} probes; "
        f"an actor's life {shown_time(options.actor_life_s)}, seed {options.seed}"
    )
    if run.ends_s:
        start, end = (1000 * sum(each) / len(each) for each in (run.starts_s[1:], run.ends_s))
        low, high = options.repair_s
        print(f"  repair {low:g} to {high:g} s, end {end:.0f} ms, start {start:.0f} ms")
    print(f"  {'share of probes or of time':30} {'measured':>10}  {'95 % interval':24} model")
    for each in found:
        measured, low, high = each.measured.value, each.measured.low, each.measured.high
        interval = f"{_percent(low)} to {_percent(high)}"
        mark = "" if each.agrees else "  <- outside"
        said = _percent(each.predicted)
        print(f"  {each.what:30} {_percent(measured):>10}  {interval:24} {said}{mark}")
    if options.preset != "none":
        for name, value in restart_times(history_of(read_events(events, "events"))).items():
            shown = [f"{1000 * each:.3g}" for each in (value.value, value.low, value.high)]
            print(f"  {name + ': a restart':30} {shown[0]:>7} ms  {shown[1]} to {shown[2]} ms")
    print()


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def _progress(text: str, arguments: argparse.Namespace) -> None:
    if sys.stderr.isatty() and not arguments.json:
        print(f"\r{text:60}" + ("" if text else "\r"), end="", file=sys.stderr, flush=True)


def _time(text: str) -> float:
    try:
        return parse_time(text)
    except InvalidInput as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _repair(text: str) -> tuple[float, float]:
    low, _, high = text.partition("-")
    found = _time(low), _time(high or low)
    # A probe waits for 2 s: one must not outlive the failure that it has met.
    if not 3 <= found[0] <= found[1] <= 30:
        raise argparse.ArgumentTypeError(f"expected 3s to 30s, as in 3s-5s, not {text!r}")
    return found


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"expected a number above 0, not {text!r}")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/availability-experiment",
        description="Let the actors of remusnet's SIP server fail far more often than by "
        "themselves, probe its services, and hold what was lost against the model's prediction.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--preset", action="append", choices=PRESETS, help="only this; repeat it")
    parser.add_argument("--long", action="store_true", help="200 failures a preset, not 20")
    parser.add_argument("--failures", type=int, metavar="N", help="as many a preset")
    parser.add_argument("--actor-life", type=_time, metavar="TIME", help="mean (none: 16s; 40s)")
    parser.add_argument("--repair", type=_repair, default=(3.0, 5.0), metavar="3s-5s")
    parser.add_argument("--call-mean", type=_time, default=5.0, metavar="TIME", help="(5s)")
    parser.add_argument(
        "--rate", type=_number, default=7.0, metavar="N", help="probes of each service a second (7)"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the faults (1)")
    parser.add_argument(
        "--at-most", type=_time, default=86_400.0, metavar="TIME", help="end a preset then (1d)"
    )
    parser.add_argument("--record", type=Path, metavar="DIR", help="keep what was measured there")
    parser.add_argument("--replay", type=Path, metavar="DIR", help="compare what was kept there")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
