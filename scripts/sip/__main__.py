"""``scripts/sip-chaos``."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random

from remusnet.errors import RemusnetError
from remusnet.sip.control import ask
from remusnet.sip.presets import PRESETS
from scripts.sip.sipp import HOST, LATEST, Sipp, free_port
from tests.lib.sip_process import ServerProcess, exchange_udp, serving

_EXAMPLES = """examples:
  scripts/sip-chaos                                    # 60 s, 10 calls and registrations a second
  scripts/sip-chaos --seconds 300 --rate 50            # the long run
  scripts/sip-chaos --supervision thesis --json        # what the thesis's strategies lose
  scripts/sip-chaos --seed 7                           # the same draws again

Half of the calls and registrations go over UDP, half over TCP. Exit codes: 0 nothing was lost,
1 something was, 2 usage, 3 sipp is missing."""
TRANSPORTS = ("udp", "tcp")
MOST = 4  # faults in WINDOW_S on one actor: one more, and a further one would escalate
WINDOW_S = 30.0


@dataclass(slots=True)
class Report:
    """What a run came to."""

    supervision: str
    seconds: float
    rate: float
    seed: int
    calls_placed: int = 0
    calls_lost: int = 0
    registrations: int = 0
    registrations_lost: int = 0
    slowest_call_ms: float | None = None
    slowest_registration_ms: float | None = None
    faults: int = 0
    faults_by_kind: dict[str, int] = field(default_factory=dict)
    restarts: int = 0
    resumed: int = 0
    escalations: int = 0
    server_ended: bool = False

    @property
    def lost(self) -> int:
        """Calls and registrations."""
        return self.calls_lost + self.registrations_lost


class Faults:
    """Draws a kind of actor, then one of that kind, and crashes it."""

    def __init__(self, control: Path, seed: int) -> None:
        self._control = control
        self._random = Random(seed)
        self._times: dict[str, list[float]] = {}
        self.by_kind: Counter[str] = Counter()

    def strike(self) -> None:
        """One fault. Raises RemusnetError where the server does not answer any more."""
        status = ask(self._control, {"do": "status"})
        now = time.monotonic()
        kinds: dict[str, list[str]] = {}
        for actor in status["actors"]:
            recent = [at for at in self._times.get(actor["path"], ()) if at > now - WINDOW_S]
            if len(recent) < MOST:
                kinds.setdefault(actor["kind"], []).append(actor["path"])
        kind = self._random.choice(sorted(kinds))
        path = self._random.choice(kinds[kind])
        try:
            ask(self._control, {"do": "crash", "actor": path})
        except RemusnetError as error:
            if "no actor" in str(error):
                return  # that transaction has ended meanwhile
            raise
        self._times.setdefault(path, []).append(now)
        self.by_kind[kind] += 1


def chaos(folder: Path, arguments: argparse.Namespace) -> Report:
    """Serve, call, register, crash; then count."""
    report = Report(arguments.supervision, arguments.seconds, arguments.rate, arguments.seed)
    events = folder / "events.jsonl"
    options = ["--no-auth", "--domain", "example.org", "--min-expires", "1s", "--allow-faults"]
    options += ["--supervision", arguments.supervision, "--events", str(events)]
    with ExitStack() as stack:
        server = stack.enter_context(serving(folder, *options))
        callees, others = _agents(folder, server, arguments, stack)
        faults = Faults(server.control, arguments.seed)
        end = time.monotonic() + arguments.seconds
        while time.monotonic() < end:
            time.sleep(1)
            if not arguments.json:
                _progress(end - time.monotonic(), faults)
            try:
                faults.strike()
            except RemusnetError:
                report.server_ended = server.process.poll() is not None
                break
        latest = time.monotonic() + (5 if report.server_ended else LATEST + 15)
        for each in others:
            each.wait(max(latest - time.monotonic(), 0.1))
        for each in callees:
            each.kill()
        _count(report, others)
        report.server_ended = server.process.poll() is not None
        if not report.server_ended:
            server.end()
    report.faults, report.faults_by_kind = faults.by_kind.total(), dict(faults.by_kind)
    told = Counter(json.loads(line)["event"] for line in events.read_text().splitlines())
    report.restarts, report.resumed = told["restarted"], told["resumed"]
    report.escalations = told["escalated"]
    return report


def _agents(
    folder: Path, server: ServerProcess, arguments: argparse.Namespace, stack: ExitStack
) -> tuple[list[Sipp], list[Sipp]]:
    """The callees, which are registered, and who calls them and registers."""
    callees, others = [], []
    each_rate = arguments.rate / len(TRANSPORTS)
    most = max(round(each_rate * arguments.seconds), 1)

    def start(name: str, transport: str, *words: str) -> Sipp:
        port = free_port(transport)
        made = Sipp(folder / f"{name}-{transport}", name, transport, port, *words)
        stack.callback(made.kill)
        if name == "callee":
            contact = f"<sip:callee@{HOST}:{port};transport={transport}>"
            to = f"<sip:callee-{transport}@example.org>"
            answer = exchange_udp(
                server.ports["udp"], "REGISTER", "sip:example.org", to=to, contact=contact
            )
            if " 200 " not in answer.splitlines()[0]:
                raise SystemExit(f"sip-chaos: the callee was refused: {answer.splitlines()[0]}")
        return made

    load = ["-r", f"{max(round(each_rate * 10), 1)}", "-rp", "10000", "-m", str(most)]
    load += [
        "-recv_timeout",
        f"{LATEST * 1000}",
        "-timeout",
        f"{arguments.seconds + LATEST + 10:.0f}",
    ]
    for transport in TRANSPORTS:
        callees.append(start("callee", transport))
        place = f"{HOST}:{server.ports[transport]}"
        others.append(start("call", transport, "-s", f"callee-{transport}", *load, place))
        others.append(start("register", transport, "-s", f"user-{transport}-", *load, place))
    return callees, others


def _count(report: Report, others: list[Sipp]) -> None:
    for each in others:
        figures = each.figures()
        lost = figures.placed - figures.good
        slowest = figures.slowest_ms
        if each.name == "call":
            report.calls_placed += figures.placed
            report.calls_lost += lost
            known = report.slowest_call_ms
            report.slowest_call_ms = max(filter(None, (known, slowest)), default=None)
        else:
            report.registrations += figures.placed
            report.registrations_lost += lost
            known = report.slowest_registration_ms
            report.slowest_registration_ms = max(filter(None, (known, slowest)), default=None)


def _progress(left: float, faults: Faults) -> None:
    if sys.stderr.isatty():
        total = faults.by_kind.total()
        print(f"\r{max(left, 0):4.0f} s left, {total} faults ", end="", file=sys.stderr, flush=True)


def _print(report: Report) -> None:
    kinds = ", ".join(f"{kind} {n}" for kind, n in sorted(report.faults_by_kind.items()))
    rows = {
        "supervision": report.supervision,
        "calls": f"{report.calls_placed} placed, {report.calls_lost} lost",
        "registrations": f"{report.registrations} placed, {report.registrations_lost} lost",
        "slowest": f"call {_ms(report.slowest_call_ms)}, "
        f"registration {_ms(report.slowest_registration_ms)}",
        "faults": f"{report.faults} ({kinds})",
        "restarts": f"{report.restarts}, resumed {report.resumed}",
        "escalations": str(report.escalations),
        "seed": str(report.seed),
    }
    if report.server_ended:
        rows["server"] = "ended"
    for name, text in rows.items():
        print(f"{name:14} {text}")


def _ms(value: float | None) -> str:
    return "none" if value is None else f"{value:.0f} ms"


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"expected a number above 0, not {text!r}")
    return value


def main() -> int:
    """Run it; 1 where something was lost."""
    parser = argparse.ArgumentParser(
        prog="scripts/sip-chaos",
        description="Call and register through remusnet's SIP server with sipp, on loopback ports "
        "that are free, and crash one of its actors each second.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=_positive, default=60.0, help="of load (60)")
    parser.add_argument("--rate", type=_positive, default=10.0, help="calls a second (10)")
    parser.add_argument("--seed", type=int, default=1, help="of the draws (1)")
    parser.add_argument("--supervision", choices=tuple(PRESETS), default="resilient")
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    arguments = parser.parse_args()
    if shutil.which("sipp") is None:
        print("sip-chaos: sipp is missing (Debian: sip-tester)", file=sys.stderr)
        return 3
    with tempfile.TemporaryDirectory(prefix="sip-chaos-") as folder:
        report = chaos(Path(folder), arguments)
    if sys.stderr.isatty() and not arguments.json:
        print("\r" + " " * 40 + "\r", end="", file=sys.stderr)
    if arguments.json:
        print(json.dumps(asdict(report)))
    else:
        _print(report)
    return 1 if report.lost or report.server_ended else 0


if __name__ == "__main__":
    sys.exit(main())
