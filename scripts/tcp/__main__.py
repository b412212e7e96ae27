"""``scripts/tcp-table``."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from types import FrameType

from remusnet.errors import InvalidInput, RemusnetError
from remusnet.lab.build import virtual_kernel
from remusnet.lab.compare_tcp import MEMORY
from remusnet.lab.uml import Uml
from scripts.tcp.figures import Figures, Seen, emulated, in_kernel, misses
from scripts.tcp.rows import PHASES, ROWS, SWITCHES, Row

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/explanation/tcp.md"
KEPT = ROOT / "tests/data/tcp-linux"
_ALL: dict[str, Row] = {**ROWS, **SWITCHES}
_TABLES = {"rows": ROWS, "switches": SWITCHES}
_HEAD = (
    "| what | interval | Linux: median | p95 | copies | emulator: median | p95 | copies | ratios "
    "|\n|---|---|---|---|---|---|---|---|---|\n"
)
_EXAMPLES = f"""examples:
  scripts/tcp-table                             # what is kept, beside the emulator of now
  scripts/tcp-table --run                       # first runs what isn't kept yet: some 20 minutes
  scripts/tcp-table --run --only 'far-*'        # only these; --list has the names
  scripts/tcp-table --run --again --only loss-200
  scripts/tcp-table --write                     # and puts the tables, dated, into the manual

A row is {PHASES} connections or more whose starts divide a checkpoint's period, in a Linux kernel
in virtual time and in the emulator. What the kernel did is kept in tests/data/tcp-linux, a file a
row, as soon as the row has ended: ended early, the script goes on there the next time. A kept row
whose scenario has changed since counts as missing. Times in ms; copies are segments sent again.

exit codes: 0 all is close enough (times 15 %, copies 20 %); 1 something isn't, or a row isn't kept;
2 usage; 3 no kernel with virtual time: 'remusnet lab setup --virtual-time' builds it."""


def main(words: Sequence[str] | None = None) -> int:
    """Run, compare, print."""
    arguments = _parser().parse_args(words)
    try:
        if arguments.write and arguments.only:
            raise InvalidInput("--write takes all rows: leave --only out")
        wanted = _wanted(arguments.only)
        if arguments.list:
            for row in wanted.values():
                print(f"{row.name:18} {row.what}, {row.interval_ms} ms")
            return 0
        if arguments.run:
            _run(wanted, again=arguments.again)
        return _report(wanted, arguments)
    except RemusnetError as error:
        print(f"scripts/tcp-table: {error}".splitlines()[0], file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("scripts/tcp-table: stopped; ended rows are kept", file=sys.stderr)
        return 130


def _wanted(patterns: Sequence[str]) -> Mapping[str, Row]:
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in _ALL):
            raise InvalidInput(f"no row is called {pattern!r}: --list has their names")
    return {
        name: row
        for name, row in _ALL.items()
        if not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)
    }


def _run(wanted: Mapping[str, Row], *, again: bool) -> None:
    """In the kernel, what isn't kept."""
    missing = [row for row in wanted.values() if again or kept(row) is None]
    if not missing:
        return
    lab = Uml(MEMORY, virtual_kernel())
    KEPT.mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(missing, 1):
        place = f"{number} of {len(missing)}: "
        seen = in_kernel(row, lab, _date(), partial(_tell_at, place))
        new = KEPT / f".{row.name}.new"
        new.write_text(seen.text(), encoding="utf-8")
        new.replace(KEPT / f"{row.name}.json")
        _tell("")
        if not sys.stderr.isatty():
            print(f"{place}{row.name} has run", file=sys.stderr, flush=True)


def kept(row: Row) -> Seen | None:
    """What the kernel did with ``row``; None where it hasn't been run as it is now."""
    path = KEPT / f"{row.name}.json"
    try:
        seen = Seen.read(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidInput(f"{path}: no figures of a row: {error}") from None
    return seen if seen.scenario == row.scenario() else None


def _report(wanted: Mapping[str, Row], arguments: argparse.Namespace) -> int:
    compared: dict[str, tuple[Seen, Figures]] = {}
    lacking = []
    for name, row in wanted.items():
        seen = kept(row)
        if seen is None:
            lacking.append(name)
            continue
        _tell(f"emulating {name}")
        compared[name] = seen, emulated(row)
    _tell("")
    far = {name: found for name, (s, e) in compared.items() if (found := misses(s.figures, e))}
    if arguments.json:
        print(json.dumps({name: _facts(*both) for name, both in compared.items()}, indent=2))
    else:
        for table in _TABLES.values():
            print("".join(lines(compared, table)), end="")
    for name, found in far.items():
        print(f"{name}: {'; '.join(found)}", file=sys.stderr)
    if lacking:
        print(f"not run (--run does): {', '.join(lacking)}", file=sys.stderr)
    if arguments.write:
        if lacking:
            raise InvalidInput("--write takes all rows: run them first")
        _write(compared)
    return 1 if far or lacking else 0


def lines(compared: Mapping[str, tuple[Seen, Figures]], rows: Mapping[str, Row]) -> Iterator[str]:
    """A table in Markdown; nothing where it has no rows."""
    before = ""
    for name, row in rows.items():
        if name not in compared:
            continue
        if not before:
            yield _HEAD
        seen, ours = compared[name]
        theirs = seen.figures
        what = "" if row.what == before else row.what
        before = row.what
        ratios = f"{ours.median_ms / theirs.median_ms:.2f}, {ours.p95_ms / theirs.p95_ms:.2f}"
        if theirs.copies:
            ratios += f", {ours.copies / theirs.copies:.2f}"
        yield f"| {what} | {row.interval_ms} ms | {_cells(theirs)} | {_cells(ours)} | {ratios} |\n"


def _cells(figures: Figures) -> str:
    return f"{figures.median_ms:,.0f} | {figures.p95_ms:,.0f} | {figures.copies:,}"


def _facts(seen: Seen, ours: Figures) -> dict[str, object]:
    def facts(figures: Figures) -> dict[str, float]:
        return {
            "median_ms": figures.median_ms,
            "p95_ms": figures.p95_ms,
            "copies": figures.copies,
        }

    return {
        "kernel": facts(seen.figures) | {"release": seen.kernel, "date": seen.date},
        "emulator": facts(ours),
        "misses": misses(seen.figures, ours),
    }


def _write(compared: Mapping[str, tuple[Seen, Figures]]) -> None:
    """Between the page's marks."""
    text = PAGE.read_text(encoding="utf-8")
    releases = sorted({seen.kernel for seen, _ in compared.values()})
    dates = sorted({seen.date for seen, _ in compared.values()})
    said = (
        f"Linux {', '.join(releases)}, run on {' to '.join(dict.fromkeys((dates[0], dates[-1])))}; "
    )
    said += f"the emulator of {_date()}:\n\n"
    for word, rows in _TABLES.items():
        begin, end = f"<!-- {word}: made by scripts/tcp-table -->\n", f"<!-- end of {word} -->\n"
        before, found, rest = text.partition(begin)
        _, ended, after = rest.partition(end)
        if not (found and ended):
            raise InvalidInput(f"{PAGE}: the lines {begin.strip()} and {end.strip()} are missing")
        made = said + "".join(lines(compared, rows))
        text = f"{before}{begin}\n{made}\n{end}{after}"
    PAGE.write_text(text, encoding="utf-8")


def _date() -> str:
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def _tell(text: str) -> None:
    """How far it is, in a line that the next takes the place of."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _tell_at(place: str, text: str) -> None:
    _tell(place + text)


def _on_signal(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)  # as an exception it ends the kernel


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/tcp-table",
        description="Compare the emulator's TCP with a real kernel's, row by row, and make the "
        "tables of docs/explanation/tcp.md.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--list", action="store_true", help="the rows' names")
    parser.add_argument("--only", action="append", default=[], metavar="ROW", help="repeat it; * ?")
    parser.add_argument("--run", action="store_true", help="run what isn't kept in the kernel")
    parser.add_argument("--again", action="store_true", help="with --run: what is kept, too")
    parser.add_argument("--write", action="store_true", help="put the tables into the manual")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    return parser


if __name__ == "__main__":
    for _number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(_number, _on_signal)
    sys.exit(main())
