"""``scripts/live-table``."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scripts.live.phones import PHONE, call

ROOT = Path(__file__).resolve().parents[2]
POLICIES = ("none", "tcp-only", "real-time", "hold-all", "stock-remus")
_RHYTHM = ("--pause", "30ms", "--commit-delay", "5ms", "--interval")
_TOLERANCE = 0.15
# Source address, SSRC, payload (words), packets, lost (percent), three deltas, two jitters.
_STREAM = re.compile(
    r" ([0-9.]+) +[0-9]+ +[0-9.]+ +[0-9]+ +0x[0-9A-F]{8} .*? ([0-9]+) +-?[0-9]+ \([-0-9.]+%\)"
    r"(?: +[-0-9.]+){4} +([0-9.]+) "
)
_EXAMPLES = """examples:
  scripts/live-table                    # on this machine: two minutes and a half
  scripts/live-table --uml              # the same in a UML kernel, with the kernel's own plug
  scripts/live-table --policies hold-all --interval 100ms --keep calls

A baresip under Remus is called by another on the host (SIP over TCP, G.711, 20 ms). Its RTP's mean
jitter: as the run measures it at the uplink, as tshark does at the host's end, and as simulate
predicts from what the phone sent in the run under "none". The prediction knows pauses, commits and
what the run under none was like: other work on the machine makes live jitter larger.

exit codes: 0 every jitter within 15 % of its prediction, 1 one is not, 2 usage, 3 something is
missing."""


@dataclass(frozen=True, slots=True)
class Row:
    """Mean jitter (ms) of what came from the phone; None: nothing came, or it wasn't predicted."""

    policy: str
    plug: str | None
    packets: int
    live_ms: float | None
    tshark_ms: float | None
    simulated_ms: float | None

    @property
    def is_close(self) -> bool:
        """Whether tshark agrees with the prediction, where there is one."""
        if self.simulated_ms is None:
            return self.policy == "none" and self.tshark_ms is not None
        if self.tshark_ms is None:
            return False
        return abs(self.tshark_ms / self.simulated_ms - 1) <= _TOLERANCE


def main() -> int:
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="remusnet-live-") as scratch:
        folder = Path(arguments.keep or scratch)
        folder.mkdir(exist_ok=True)
        rhythm = [*_RHYTHM, arguments.interval]
        if arguments.calls_only:
            _call_all(arguments, folder, rhythm)
            return 0
        if arguments.again:
            pass  # what an earlier run has kept
        elif arguments.uml:
            _call_in_uml(arguments, folder)
        else:
            _call_all(arguments, folder, rhythm)
        rows = [_row(each, folder, rhythm) for each in ("none", *arguments.policies)]
    if arguments.json:
        print(json.dumps([asdict(each) for each in rows], indent=2))
    else:
        _print(rows)
    return 0 if all(each.is_close for each in rows) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/live-table",
        description="RTP jitter under Remus, live, beside what simulate predicts.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--policies", nargs="+", default=list(POLICIES[1:]), choices=POLICIES[1:])
    parser.add_argument("--interval", default="200ms", help="of checkpoints (default: 200ms)")
    parser.add_argument("--seconds", type=float, default=20, help="of each call (default: 20)")
    parser.add_argument("--uml", action="store_true", help="in a UML kernel")
    parser.add_argument("--keep", metavar="DIR", help="leave captures and results in DIR (new)")
    parser.add_argument("--again", action="store_true", help="no calls: the table of --keep DIR")
    parser.add_argument("--json", action="store_true", help="print JSON")
    # Set where this runs inside UML: tshark and simulate wait until it is over.
    parser.add_argument("--calls-only", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _call_all(arguments: argparse.Namespace, folder: Path, rhythm: list[str]) -> None:
    for policy in ("none", *arguments.policies):
        print(f"calling, under {policy} ...", file=sys.stderr, flush=True)
        result = call(folder / policy, policy, rhythm, arguments.seconds)
        (folder / policy / "result.json").write_text(json.dumps(result))


def _call_in_uml(arguments: argparse.Namespace, folder: Path) -> None:
    folder.chmod(0o777)  # what runs inside has the rights of an ordinary account
    words = ["--calls-only", "--keep", str(folder), "--interval", arguments.interval]
    words += ["--seconds", str(arguments.seconds), "--policies", *arguments.policies]
    lab = [str(ROOT / "scripts/uml"), "--timeout", "1000", "--dir", str(folder)]
    inside = ["env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "scripts.live"]
    subprocess.run([*lab, *inside, *words], check=True)


def _row(policy: str, folder: Path, rhythm: list[str]) -> Row:
    result = json.loads((folder / policy / "result.json").read_text())
    packets, seen = _tshark(folder / policy / "client.pcapng")
    simulated = None if policy == "none" else _simulated(policy, folder, rhythm)
    return Row(policy, result["plug"], packets, _jitter(result["streams"]), seen, simulated)


def _jitter(streams: list[dict[str, Any]]) -> float | None:
    """Of the phone's stream, in what ``remusnet --json`` says of streams."""
    mine = [each for each in streams if each["flow"].startswith(f"udp {PHONE}:")]
    return mine[0]["jitter_ms"]["mean"] if len(mine) == 1 else None


def _tshark(capture: Path) -> tuple[int, float | None]:
    """Packets of the phone's stream in a capture, and their mean jitter in ms."""
    words = ["--enable-heuristic", "rtp_udp", "-z", "rtp,streams"]
    command = ["tshark", "-q", *words, "-r", str(capture)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    mine = [row for row in _tshark_rows(done.stdout) if row[0] == PHONE]
    return mine[0][1:] if len(mine) == 1 else (0, None)


def _tshark_rows(printed: str) -> list[tuple[str, int, float]]:
    """Source, packets and mean jitter (ms) of each stream."""
    return [(each[1], int(each[2]), float(each[3])) for each in _STREAM.finditer(printed)]


def _simulated(policy: str, folder: Path, rhythm: list[str]) -> float | None:
    """What ``simulate`` makes of what the uplink saw under ``none``."""
    recorded = folder / "none" / "uplink.pcap"
    if not recorded.exists():
        uplink = ["-Y", "frame.interface_id == 1", "-F", "nsecpcap", "-w", str(recorded)]
        captured = str(folder / "none" / "live.pcapng")
        subprocess.run(["tshark", "-r", captured, *uplink], check=True, stderr=subprocess.PIPE)
    command = [sys.executable, "-m", "remusnet", "simulate", str(recorded), "--guest", PHONE]
    command += ["--policy", policy, *rhythm, "--json"]
    done = subprocess.run(command, capture_output=True, check=True)
    return _jitter(json.loads(done.stdout)["runs"][0]["streams"])


def _print(rows: list[Row]) -> None:
    print("| policy | plug | packets | the run's own | tshark at the client | `simulate` | |")
    print("|---|---|---|---|---|---|---|")
    for each in rows:
        times = (each.live_ms, each.tshark_ms, each.simulated_ms)
        words = ["-" if time is None else f"{time:.2f} ms" for time in times]
        if each.simulated_ms and each.tshark_ms is not None:
            words.append(f"{100 * (each.tshark_ms / each.simulated_ms - 1):+.0f} %")
        else:
            words.append("")
        print(f"| `{each.policy}` | {each.plug or '-'} | {each.packets} | {' | '.join(words)} |")


if __name__ == "__main__":
    sys.exit(main())
