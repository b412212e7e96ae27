"""Counts the files and functions of remusnet that its three flows enter. See --help."""

from __future__ import annotations

import argparse
import inspect
import json
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.kernel.lab.bed import Bed

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = f"{ROOT}/remusnet/"
GOALS: dict[str, int | None] = {"policy": 25, "capture": 22, "xl": None}
"""Files that a reader can follow; docs/explanation/rooms.md says what stands between."""
MOST = {"policy": 25, "capture": 22, "xl": 16}
"""Files that the flows enter today, those for every room included: --check fails above."""
TITLES = {
    "policy": "policy to kernel",
    "capture": "capture to metrics",
    "xl": "xl to plug",
}
HELP = """\
What is counted: a flow is run, and Python reports each function that it calls (sys.setprofile). A
file of remusnet/ counts once one of its functions has run. Calls while a module is imported do not
count, nor do generated methods (of dataclasses), nor files that only have values. Lines are those
of the whole files, comments included. Of the files that count, those right in remusnet/ are what
every room may use (errors, units, frames, files): who knows them need not enter them again, so the
count without them is printed too. Goals and limits are for the count with them. The flows:

  policy   a policy file, read, planned and applied (u32) to a vif that nothing protects yet,
           receipt and check after it included: what "remusnet apply" does behind its options
  capture  the call of tests/data under tcp-only, from the file to the measures of each stream:
           what "remusnet simulate" does between its options and its tables
  xl       the netbuf script's setup and teardown, made ready as "xen install" does, with stand-ins
           for the tools of xenstore

policy and xl run in a UML kernel with the real sch_plug (as scripts/uml does; about 20 s).

examples:
  scripts/flows
  scripts/flows capture --functions
  scripts/flows --json

exit codes: 0 counted; 1 a flow enters more files than it did (--check); 3 no UML kernel.
"""


class Trace:
    """Which functions of remusnet have run while it was on."""

    def __init__(self) -> None:
        self.entered: dict[CodeType, None] = {}

    @contextmanager
    def on(self) -> Iterator[None]:
        """Within it, calls are noted."""
        sys.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event != "call" or code in self.entered or not code.co_filename.startswith(PACKAGE):
            return
        if not code.co_flags & inspect.CO_OPTIMIZED or _is_importing(frame):
            return
        self.entered[code] = None

    def as_json(self) -> list[tuple[str, str]]:
        """File and function, in the order of the first calls."""
        return [
            (code.co_filename.removeprefix(f"{ROOT}/"), code.co_qualname) for code in self.entered
        ]


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        code = frame.f_code
        of_ours = code.co_name == "<module>" and code.co_filename.startswith(PACKAGE)
        if of_ours or code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def trace_capture() -> list[tuple[str, str]]:
    """From a capture to its measures."""
    from remusnet.api.simulation import CaptureCase
    from remusnet.policy import preset
    from remusnet.schedule import Schedule

    times = Schedule(200_000_000, 50_000_000, 5_000_000)
    case = CaptureCase(str(ROOT / "tests/data/call.pcap"), times, 50_000_000, (preset("tcp-only"),))
    trace = Trace()
    with trace.on():
        case.run()
    return trace.as_json()


def trace_in_kernel() -> dict[str, list[tuple[str, str]]]:
    """The other two, inside a UML kernel."""
    from tests.kernel.lab.bed import open_bed

    with open_bed() as bed, tempfile.TemporaryDirectory() as scratch:
        found = {"policy": trace_policy(bed, Path(scratch))}
    with open_bed() as bed, tempfile.TemporaryDirectory() as scratch:
        return found | {"xl": trace_xl(bed, Path(scratch))}


def trace_policy(bed: Bed, scratch: Path) -> list[tuple[str, str]]:
    """From a policy file to the kernel."""
    from remusnet.api.protection import PlanOptions
    from remusnet.policy import preset
    from remusnet.policy.toml import named_policy, to_toml
    from remusnet.tables.documents import read_text
    from tests.kernel.lab.bed import VIF

    file = scratch / "policy.toml"
    file.write_text(to_toml(preset("real-time")))
    trace = Trace()
    with bed.dom0.entered(), trace.on():
        options = PlanOptions(named_policy(str(file), read_text), 200_000_000, 10**8)
        options.apply(options.plan([VIF]), scratch / "run")
    return trace.as_json()


def trace_xl(bed: Bed, scratch: Path) -> list[tuple[str, str]]:
    """From xl's call of the script to the plug, and back."""
    from remusnet.host.netbuf.compiled import make_ready
    from tests.kernel.lab.xenhost import open_xen_host

    entered: dict[tuple[str, str], None] = {}
    with open_xen_host(bed, scratch) as host:
        make_ready(host.places)
        for action in ("setup", "teardown"):
            out = scratch / f"{action}.json"
            by = [sys.executable, str(Path(__file__)), "--script", str(out)]
            ended = host.start(action, by=by)
            _, errors = ended.communicate(timeout=60)
            if ended.returncode:
                raise SystemExit(f"the script's {action} has failed: {errors}")
            entered |= dict.fromkeys(map(tuple, json.loads(out.read_text())))
    return list(entered)


def run_script(out: Path, script: str, arguments: list[str]) -> None:
    """The netbuf script, traced."""
    trace = Trace()
    sys.argv = [script, *arguments]
    try:
        with trace.on():
            runpy.run_path(script, run_name="__main__")
    finally:
        out.write_text(json.dumps(trace.as_json()))


def in_uml() -> dict[str, list[tuple[str, str]]]:
    """What `trace_in_kernel` finds in a kernel."""
    done = subprocess.run(
        [ROOT / "scripts/uml", ROOT / ".venv/bin/python", "-m", "scripts.lib.flows", "--in-kernel"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        print("scripts/flows: could not count in the UML kernel", file=sys.stderr)
        sys.exit(3)
    found = json.loads(done.stdout.splitlines()[-1])
    return {flow: [(file, name) for file, name in entered] for flow, entered in found.items()}


def count(entered: list[tuple[str, str]], *, common: bool = True) -> int:
    """How many files; without those that every room may use where ``common`` is false."""
    files = {Path(file) for file, _ in entered}
    return sum(common or file.parent != Path("remusnet") for file in files)


def present(flow: str, entered: list[tuple[str, str]], *, functions: bool) -> None:
    """A line for each file, in the order in which the flow enters them."""
    by_file: dict[str, list[str]] = {}
    for file, name in entered:
        by_file.setdefault(file, []).append(name)
    lines = {file: len((ROOT / file).read_text().splitlines()) for file in by_file}
    goal = f" (goal {GOALS[flow]})" if GOALS[flow] else ""
    print(
        f"{TITLES[flow]}: {len(by_file)} files{goal}, {count(entered, common=False)} without those "
        f"for every room, {len(set(entered))} functions, {sum(lines.values())} lines"
    )
    for file, names in by_file.items():
        print(f"  {lines[file]:5} lines {len(set(names)):4} functions  {file}")
        if functions:
            print(*(f"      {name}" for name in names), sep="\n")


def main() -> int:
    """Count, and say how many."""
    parser = argparse.ArgumentParser(
        prog="scripts/flows",
        description=__doc__.replace(" See --help.", ""),
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("flow", nargs="*", metavar="FLOW", help=f"{', '.join(TITLES)} (all)")
    parser.add_argument("--functions", action="store_true", help="name the functions too")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--check", action="store_true", help="fail where a flow enters more files than it did"
    )
    parser.add_argument("--in-kernel", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # head has seen enough
    if given.in_kernel:
        print(json.dumps(trace_in_kernel()))
        return 0
    flows = given.flow or list(TITLES)
    if unknown := [flow for flow in flows if flow not in TITLES]:
        parser.error(f"unknown flow: {unknown[0]}; expected {', '.join(TITLES)}")
    found = {"capture": trace_capture()} if "capture" in flows else {}
    if {"policy", "xl"} & set(flows):
        found |= in_uml()
    if given.json:
        print(json.dumps({flow: found[flow] for flow in flows}, indent=2))
    else:
        for flow in flows:
            present(flow, found[flow], functions=given.functions)
    over = [flow for flow in flows if count(found[flow]) > MOST[flow]]
    return 1 if given.check and over else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--script"]:
        run_script(Path(sys.argv[2]), sys.argv[3], sys.argv[4:])
    else:
        sys.exit(main())
