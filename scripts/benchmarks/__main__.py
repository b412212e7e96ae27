"""``scripts/bench``."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path

from scripts.benchmarks import cost
from scripts.benchmarks.ratio import Ratio, Result, measure
from tests.kernel.lab.netns import unshare_command

ROOT = Path(__file__).parents[2]
# A private /run, for the names of the namespaces that the benchmark makes, and a /sys of its own.
_MOUNTS = 'mount -t tmpfs tmpfs /run && mount -t sysfs sysfs /sys && exec "$@"'
_LABS = {
    # 500 vifs, their devices and filters need more than the usual memory and time.
    "UML": (str(ROOT / "scripts" / "uml"), "--mem", "768M", "--timeout", "1500"),
    "namespaces": (*unshare_command(), "sh", "-c", _MOUNTS, "sh"),
}


@dataclass(frozen=True, slots=True)
class Subject:
    """What a module measures, and in which of `_LABS` (none: as this process)."""

    text: str
    lab: str = ""


SUBJECTS = {
    "captures": Subject("judging and replaying captures, against tshark"),
    "emulator": Subject("simulating calls, against SimPy; a replay, against a mere read"),
    "cost": Subject("ten times the packets, calls and epochs at once, against ten runs"),
    "plug": Subject("operations on a plug, against bare netlink and tc", lab="UML"),
    "apply": Subject("apply for many vifs, against ip and tc", lab="UML"),
    "hosts": Subject("a host of 500 vifs by its file, against ip and tc", lab="UML"),
    "forwarding": Subject("frames through a vif, with filters and without", lab="namespaces"),
    "netbuf": Subject("the script of xl remus -N, against Xen's own", lab="UML"),
    "actors": Subject("supervised actors, against pykka's; 100,000 of them, against 100 MB"),
    "availability": Subject("playing Petri nets, against SimPy and against one core"),
    "sweep": Subject("a sweep of 1,000 points on two cores, against one"),
    "sip": Subject("calls and registrations through the SIP server, against Kamailio"),
}


def main() -> int:
    arguments = _arguments()
    if arguments.figure:
        for line in cost.draw(arguments.figure, arguments.rounds):
            print(f"{line.growth.what}: {line.text}")
        return 0
    # With --json what is known so far goes to stderr; a lab's rows are printed when it has ended.
    rows = sys.stderr if arguments.json else sys.stdout
    results: list[Result] = []
    if not arguments.here:
        print(_HEADER, file=rows, flush=True)
    for name in arguments.subjects or SUBJECTS:
        lab = SUBJECTS[name].lab
        if lab and not arguments.here:
            found: Iterable[Result] = _in_lab(name, arguments, _LABS[lab])
        else:
            found = _here(name, arguments, lab or "this machine")
        for each in found:
            results.append(each)
            if not arguments.here:
                print(_row(each), file=rows, flush=True)
    if arguments.json:
        print(json.dumps([_as_json(each) for each in results], indent=2))
    return 0


def _arguments() -> argparse.Namespace:
    subjects = "\n".join(f"  {name:<10} {each.text}" for name, each in SUBJECTS.items())
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures speeds as ratios, each against something else in the same run.",
        epilog=f"subjects:\n{subjects}\n\nA ratio below its goal is marked; it is no failure: "
        "a busy machine is no bug. A row is\nprinted as soon as it is known.\n\n"
        "examples:\n"
        "  scripts/bench actors\n"
        "  scripts/bench sip --only call,registration --rounds 1",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help="default: all")
    parser.add_argument("--rounds", type=int, default=3, help="how many (default: 3)")
    parser.add_argument(
        "--only",
        type=lambda text: frozenset(text.split(",")),
        metavar="NAME,...",
        help="sip, actors: measure these rows alone; a name that there is not lists them",
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON at the end, and rows on stderr"
    )
    parser.add_argument(
        "--figure",
        type=Path,
        metavar="FILE.svg",
        help="cost: draw time against packets, calls and epochs instead, with fitted lines",
    )
    # Set where this runs inside its lab already.
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    unknown = set(arguments.subjects) - set(SUBJECTS)
    if unknown or arguments.rounds < 1:
        parser.error(f"unknown: {', '.join(sorted(unknown))}" if unknown else "rounds: at least 1")
    if arguments.figure and arguments.subjects != ["cost"]:
        parser.error("--figure is of cost")
    if arguments.only and len(arguments.subjects) != 1:
        parser.error("--only is of one subject")
    return arguments


def _here(name: str, arguments: argparse.Namespace, where: str) -> Iterator[Result]:
    with import_module(f"scripts.benchmarks.{name}").ratios() as ratios:
        for ratio in _chosen(name, ratios, arguments.only):
            print(f"measuring: {ratio.what} ...", file=sys.stderr)
            yield measure(ratio, arguments.rounds, where)


def _chosen(subject: str, ratios: Iterable[Ratio], only: frozenset[str] | None) -> Iterable[Ratio]:
    """Those rows. Raises SystemExit, with the names of all, where there is no such row."""
    if only is None:
        return ratios  # some subjects prepare a row when its turn comes
    ratios = list(ratios)
    names = list(dict.fromkeys(each.name for each in ratios if each.name))
    if unknown := only - set(names):
        has = ", ".join(names) or "none with a name"
        text = f"bench: {subject} has no row {', '.join(sorted(unknown))}; rows: {has}"
        print(text, file=sys.stderr)
        raise SystemExit(2)
    return [each for each in ratios if each.name in only]


def _in_lab(name: str, arguments: argparse.Namespace, enter: tuple[str, ...]) -> list[Result]:
    """The subject ``name``, measured by this program behind the command ``enter``."""
    only = ("--only", ",".join(sorted(arguments.only))) if arguments.only else ()
    done = subprocess.run(
        [
            *enter,
            *(sys.executable, "-m", "scripts.benchmarks"),
            *(name, "--here", "--json", "--rounds", str(arguments.rounds), *only),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    fields = Result.__dataclass_fields__
    return [
        Result(**{key: value for key, value in each.items() if key in fields})
        for each in json.loads(done.stdout)
    ]


def _as_json(result: Result) -> dict[str, object]:
    return {**asdict(result), "times_as_fast": round(result.times_as_fast, 3)}


_HEADER = (
    f"{'what':<36} {'against':<26} {'ours':>10} {'theirs':>10} {'ratio':>8} {'rounds':>11} "
    f"{'goal':>6}  where"
)


def _row(each: Result) -> str:
    mark = "" if each.times_as_fast >= each.goal else "  below its goal"
    return (
        f"{each.what:<36} {each.than:<26} {_amount(each, each.ours):>10} "
        f"{_amount(each, each.theirs):>10} {each.times_as_fast:>8.2f} "
        f"{f'{each.lowest:.2f}-{each.highest:.2f}':>11} "
        f"{f'{each.goal:.3g}' if each.goal else '-':>6}  "
        f"{each.where}{mark}"
    )


def _amount(result: Result, value: float) -> str:
    if result.unit in ("s", "CPU s"):
        return f"{value * 1000:.4g} ms"
    return f"{value:.4g} {result.unit}"


if __name__ == "__main__":
    sys.exit(main())
