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

import trustme

from remusnet.errors import RemusnetError
from remusnet.sip.presets import PRESETS
from scripts.sip.faults import BeyondLimit, Faults
from scripts.sip.sipp import HOST, LATEST, Sipp, free_port
from scripts.sip.tls import TlsPhones
from tests.lib.sip_process import ServerProcess, exchange_udp, serving

_EXAMPLES = """examples:
  scripts/sip-chaos                                    # 60 s, 10 calls and registrations a second
  scripts/sip-chaos --seconds 300 --rate 50            # the long run
  scripts/sip-chaos --supervision thesis --json        # what the thesis's strategies lose
  scripts/sip-chaos --seed 7                           # the same draws again
  scripts/sip-chaos --seconds 20 --beyond              # over the limit: who escalates, and its cost

Calls and registrations go over UDP and TCP, by sipp, and a tenth of them over TLS. A fifth of the
calls is cancelled while it rings. Exit codes: 0 nothing was lost, and with --beyond each actor
escalated once and no other did, 1 something was or others did, 2 usage, 3 sipp is missing."""
# Of all calls, of all registrations: how, over what, and what share.
CALLS = (("call", "udp", 0.4), ("call", "tcp", 0.3), ("call", "tls", 0.1))
CANCELLED = (("cancel", "udp", 0.1), ("cancel", "tcp", 0.1))
REGISTRATIONS = (("register", "udp", 0.5), ("register", "tcp", 0.4), ("register", "tls", 0.1))
# All of it comes from one address, and is no flood.
_FILE = """\
listen = ["udp:127.0.0.1:0", "tcp:127.0.0.1:0", "tls:127.0.0.1:0"]
domains = ["example.org"]
authenticate = false
flood.trusted = ["127.0.0.0/8"]
tls = { certificate = "server.pem", key = "server.pem" }
"""
Phones = Sipp | TlsPhones


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
    escalated: dict[str, int] = field(default_factory=dict)
    expected: dict[str, int] | None = None  # with --beyond
    server_ended: bool = False
    # Of the server: what it has computed, and how long it could have, but waited for a processor.
    cpu_s: float | None = None
    waited_s: float | None = None

    @property
    def lost(self) -> int:
        """Calls and registrations."""
        return self.calls_lost + self.registrations_lost

    @property
    def as_expected(self) -> bool:
        """Whether those escalated that were to, and nobody else."""
        return self.expected is None or self.expected == self.escalated


def chaos(folder: Path, arguments: argparse.Namespace) -> Report:
    """Serve, call, register, crash; then count."""
    report = Report(arguments.supervision, arguments.seconds, arguments.rate, arguments.seed)
    events = folder / "events.jsonl"
    (folder / "sip.toml").write_text(_FILE)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    authority.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(
        str(folder / "server.pem")
    )
    options = [str(folder / "sip.toml"), "--min-expires", "1s", "--allow-faults"]
    options += ["--supervision", arguments.supervision, "--events", str(events)]
    with ExitStack() as stack:
        server = stack.enter_context(serving(folder, *options, listen=("udp", "tcp", "tls")))
        callees, others = _agents(folder, server, arguments, stack)
        kind = BeyondLimit if arguments.beyond else Faults
        faults = kind(server.control, arguments.seed)
        begun = time.monotonic()
        end = begun + arguments.seconds
        for second in range(1, int(arguments.seconds) + 1):
            # By the clock: a machine that is busy makes a crash late, and no crash fewer.
            time.sleep(max(begun + second - time.monotonic(), 0))
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
            report.cpu_s, report.waited_s = _processor_s(server.process.pid)
            server.end()
    report.faults, report.faults_by_kind = faults.by_kind.total(), dict(faults.by_kind)
    lines = [json.loads(line) for line in events.read_text().splitlines()]
    told = Counter(line["event"] for line in lines)
    report.restarts, report.resumed = told["restarted"], told["resumed"]
    report.escalations = told["escalated"]
    report.escalated = dict(Counter(e["actor"] for e in lines if e["event"] == "escalated"))
    if isinstance(faults, BeyondLimit):
        report.expected = dict(Counter(faults.struck))
    return report


def _processor_s(pid: int) -> tuple[float, float]:
    """Seconds on a processor, and seconds of waiting for one, of a process's main thread."""
    text = Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()
    return int(text[0]) / 1e9, int(text[1]) / 1e9


def _agents(
    folder: Path, server: ServerProcess, arguments: argparse.Namespace, stack: ExitStack
) -> tuple[list[Phones], list[Phones]]:
    """The callees, which are registered, and who calls them and registers."""
    callees: list[Phones] = []
    others: list[Phones] = []
    authority = str(folder / "authority.pem")

    def sipp(name: str, transport: str, *words: str) -> Sipp:
        port = free_port(transport)
        made = Sipp(folder / f"{name}-{transport}", name, transport, port, *words)
        stack.callback(made.kill)
        return made

    def callee(name: str, transport: str) -> None:
        made = sipp(name, transport).listening()
        callees.append(made)
        contact = f"<sip:{name}@{HOST}:{made.port};transport={transport}>"
        to = f"<sip:{name}-{transport}@example.org>"
        answer = exchange_udp(
            server.ports["udp"], "REGISTER", "sip:example.org", to=to, contact=contact
        )
        if " 200 " not in answer.splitlines()[0]:
            raise SystemExit(f"sip-chaos: the callee was refused: {answer.splitlines()[0]}")

    def tls(name: str, rate: float, most: int) -> TlsPhones:
        made = TlsPhones(name, server.ports["tls"], authority, rate=rate, most=most)
        stack.callback(made.kill)
        return made

    for _name, transport, _share in CANCELLED:
        callee("callee", transport)
        callee("ringing", transport)
    callees.append(phones := tls("callee", 1, 0))
    if not phones.ready.wait(10):
        raise SystemExit("sip-chaos: the callee over TLS was refused")
    for rows in (CALLS + CANCELLED, REGISTRATIONS):
        left = max(round(arguments.rate * arguments.seconds), 1)
        for place, (name, transport, share) in enumerate(rows[::-1], start=1):
            rate = arguments.rate * share
            most = left if place == len(rows) else min(round(rate * arguments.seconds), left)
            left -= most
            if not most:
                continue
            if transport == "tls":
                others.append(tls(name, rate, most))
                continue
            whom = {"call": "callee-", "cancel": "ringing-", "register": "user-"}[name] + transport
            words = ["-s", whom, "-m", str(most)]
            if name == "register":
                words = ["-s", f"{whom}-", "-m", str(most), "-d", "1000"]
            words += ["-r", f"{max(round(rate * 10), 1)}", "-rp", "10000"]
            words += ["-recv_timeout", f"{LATEST * 1000}"]
            words += ["-timeout", f"{arguments.seconds + LATEST + 10:.0f}"]
            others.append(sipp(name, transport, *words, f"{HOST}:{server.ports[transport]}"))
    return callees, others


def _count(report: Report, others: list[Phones]) -> None:
    for each in others:
        figures = each.figures()
        lost = figures.placed - figures.good
        slowest = figures.slowest_ms
        if each.name in ("call", "cancel"):
            report.calls_placed += figures.placed
            report.calls_lost += lost
            known = report.slowest_call_ms
            report.slowest_call_ms = max(filter(None, (known, slowest)), default=None)
        else:
            report.registrations += figures.placed
            report.registrations_lost += lost
            known = report.slowest_registration_ms
            report.slowest_registration_ms = max(filter(None, (known, slowest)), default=None)


def _progress(left: float, faults: Faults | BeyondLimit) -> None:
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
        "escalations": ", ".join(f"{each} {n}" for each, n in report.escalated.items()) or "0",
        "seed": str(report.seed),
    }
    if report.expected is not None:
        rows["expected"] = "as they were" if report.as_expected else f"{report.expected}"
    if report.server_ended:
        rows["server"] = "ended"
    elif report.cpu_s is not None:
        # Where it waits for longer than it computes, the machine loses calls, and not the server.
        rows["server"] = f"{report.cpu_s:.1f} s of CPU, {report.waited_s:.1f} s of waiting for one"
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
    parser.add_argument(
        "--beyond",
        action="store_true",
        help="crash one actor of each kind six times at once, a kind a second: it escalates",
    )
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
    return 1 if report.lost or report.server_ended or not report.as_expected else 0


if __name__ == "__main__":
    sys.exit(main())
