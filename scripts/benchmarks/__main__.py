"""``scripts/bench``."""

from __future__ import annotations

import argparse
import json
import sys
from importlib import import_module

from scripts.benchmarks.ratio import Result, measure

SUBJECTS = {"captures": "judging and replaying captures, against tshark"}


def main() -> int:
    subjects = "\n".join(f"  {name:<10} {text}" for name, text in SUBJECTS.items())
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures speeds as ratios, each against something else in the same run.",
        epilog=f"subjects:\n{subjects}\n\nA ratio below its goal is marked; it is no failure: "
        "a busy machine is no bug.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help="default: all")
    parser.add_argument("--rounds", type=int, default=3, help="best of how many (default: 3)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    unknown = set(arguments.subjects) - set(SUBJECTS)
    if unknown or arguments.rounds < 1:
        parser.error(f"unknown: {', '.join(sorted(unknown))}" if unknown else "rounds: at least 1")
    results = []
    for subject in arguments.subjects or SUBJECTS:
        with import_module(f"scripts.benchmarks.{subject}").ratios() as ratios:
            for ratio in ratios:
                print(f"measuring: {ratio.what} ...", file=sys.stderr)
                results.append(measure(ratio, arguments.rounds))
    if arguments.json:
        print(json.dumps([_as_json(each) for each in results], indent=2))
    else:
        _print(results)
    return 0


def _as_json(result: Result) -> dict[str, object]:
    return {
        "what": result.ratio.what,
        "than": result.ratio.than,
        "goal": result.ratio.goal,
        "times_as_fast": round(result.times_as_fast, 3),
        "seconds": round(result.ours, 6),
        "their_seconds": round(result.theirs, 6),
    }


def _print(results: list[Result]) -> None:
    print(f"{'what':<36} {'against':<30} {'ours':>10} {'theirs':>10} {'ratio':>8} {'goal':>6}")
    for each in results:
        mark = "" if each.times_as_fast >= each.ratio.goal else "  below its goal"
        print(
            f"{each.ratio.what:<36} {each.ratio.than:<30} {each.ours * 1000:>7.1f} ms "
            f"{each.theirs * 1000:>7.1f} ms {each.times_as_fast:>8.2f} {each.ratio.goal:>6.4g}"
            f"{mark}"
        )


if __name__ == "__main__":
    sys.exit(main())
