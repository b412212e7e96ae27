"""What is compared: each row a workload, a network and TCP's settings, for both sides the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

PHASES = 20
"""Connections of most rows. Their starts divide a checkpoint's period evenly."""
BY_CHANCE, LOSSY = 50, 200
"""Of rows where a few connections in twenty overflow a queue, and where frames are lost by chance:
with 20 of these, two medians of the same differ by 14 % (a standard deviation), with 200 by 4 %."""
COMMIT_MS = 5
"""xl starts its timer at the commit, so a period is the interval and this."""
INTERVALS_MS = (100, 200, 400)
MEGA = 5_000_000
_TAIL_S = 120


@dataclass(frozen=True, slots=True)
class Row:
    """``family``: rows that differ in their interval alone; ``what``: how the table names it.

    Each connection asks ``exchanges`` times, ``think_ms`` after the last answer, with ``request``
    bytes for ``response`` bytes; the ``guest`` or the ``peer`` asks. One of ``connections`` starts
    each ``spacing_s`` (made to fit them). ``delay_ms``: of the network, each way; ``rate`` with a
    ``queue`` of as many packets, or None; ``loss``: in percent. ``tcp``: settings of both sides
    that aren't Linux's, as a scenario names them.
    """

    family: str
    interval_ms: int
    what: str
    request: int = 200
    response: int = 200
    exchanges: int = 1
    think_ms: int = 0
    asks: str = "peer"
    spacing_s: int = 60
    policy: str = "tcp-only"
    delay_ms: int = 1
    rate: str | None = None
    queue: int | None = None
    loss: float | None = None
    tcp: Mapping[str, bool | str | int] = field(default_factory=dict)
    connections: int = PHASES

    @property
    def name(self) -> str:
        """As ``--only`` takes it."""
        return f"{self.family}-{self.interval_ms}"

    @property
    def spacing_us(self) -> int:
        """Whole periods, and a part of one: starts divide a period."""
        period_ms = self.interval_ms + COMMIT_MS
        periods = self.spacing_s * 1000 // period_ms
        return (periods * self.connections + 1) * period_ms * 1000 // self.connections

    def scenario(self) -> str:
        """As TOML."""
        network = {"delay": f"{self.delay_ms}ms", "rate": self.rate, "queue": self.queue}
        checkpoint = {
            "interval": f"{self.interval_ms}ms",
            "pause": "0ms",
            "commit-delay": f"{COMMIT_MS}ms",
        }
        duration_s = self.connections * self.spacing_us // 1_000_000 + _TAIL_S
        return "\n".join(
            [
                *_table("", {"name": self.name, "duration": f"{duration_s}s"}),
                *_table("[checkpoint]", checkpoint),
                *_table("[network]", {**network, "loss": self.loss}),
                *_table("[guest-tcp]", self.tcp),
                *_table("[peer-tcp]", self.tcp),
                *_table("[[tcp]]", self._traffic()),
                "",
            ]
        )

    def _traffic(self) -> dict[str, object]:
        common = {"client": self.asks, "count": self.connections, "spacing": f"{self.spacing_us}us"}
        kind = "bulk" if self.exchanges == 1 else "request-response"
        sizes = {"request": self.request, "response": self.response}
        times = (
            {} if kind == "bulk" else {"exchanges": self.exchanges, "think": f"{self.think_ms}ms"}
        )
        return {**common, "kind": kind, **sizes, **times}


def _table(head: str, values: Mapping[str, object]) -> Iterator[str]:
    if head:
        yield head
    for key, value in values.items():
        if value is not None:
            quoted = f'"{value}"' if isinstance(value, str) else str(value).lower()
            yield f"{key} = {quoted}"


def _families(interval_ms: int) -> Iterator[Row]:
    row = Row("requests", interval_ms, "ten requests and answers of 2 kB", response=2_000)
    row = replace(row, exchanges=10, think_ms=137, spacing_s=5)
    yield row
    download = Row("download", interval_ms, "5 MB from the guest", response=MEGA, spacing_s=30)
    yield download
    yield Row(
        "guest-upload", interval_ms, "5 MB from the guest, which connects", request=MEGA,
        asks="guest", spacing_s=30,
    )  # fmt: skip
    yield Row("upload", interval_ms, "5 MB to the guest", request=MEGA, spacing_s=30)
    idle = replace(row, response=100_000, think_ms=1_000, spacing_s=3)
    yield replace(idle, family="idle-1s", what="ten answers of 100 kB, 1 s apart")
    yield replace(idle, family="idle-5s", what="the same, 5 s apart", think_ms=5_000)
    limited = replace(download, spacing_s=60, rate="100mbit")
    for queue in (100, 1_000):
        what = f"5 MB, 100 Mbit/s, {queue:,} packets of queue"
        number = PHASES if queue == 100 else BY_CHANCE
        yield replace(limited, family=f"queue-{queue}", what=what, queue=queue, connections=number)
    what = "5 MB, 10 ms, 100 Mbit/s, 1,000 packets"
    yield replace(limited, family="far", what=what, queue=1_000, delay_ms=10, connections=BY_CHANCE)
    what = "5 MB, 0.5 % of loss"
    yield replace(download, family="loss", what=what, loss=0.5, spacing_s=60, connections=LOSSY)
    yield Row(
        "coupled", interval_ms, "300 kB without a copy", response=300_000, policy="stock-remus",
        spacing_s=20,
    )  # fmt: skip


def _switches() -> Iterator[tuple[Row, Row]]:
    """A row, and the same with one thing off that Linux has on, or otherwise."""
    rows = dict(ROWS)
    for family, base, more in (
        ("no-hystart", "download-200", {"hystart": False}),
        ("reno", "download-200", {"congestion": "reno"}),
        ("no-probes", "download-200", {"tail-loss-probe": False}),
        ("quick-acks", "download-200", {"delayed-ack": False}),
        ("no-sack", "download-200", {"sack": False}),
        ("no-timestamps", "download-400", {"timestamps": False}),
        ("no-frto", "no-timestamps-400", {"frto": False}),
        ("no-undo", "no-frto-400", {"sack": False}),
        ("no-restart", "idle-1s-200", {"slow-start-after-idle": False}),
        ("initcwnd-40", "idle-1s-200", {"initial-window": 40}),
    ):
        row = rows[base]
        tcp = {**row.tcp, **more}
        words = ", ".join(f"{key} {str(value).lower()}" for key, value in tcp.items())
        what = f"{row.what.partition(':')[0]}: {words}"
        other = replace(row, family=family, what=what, tcp=tcp)
        rows[other.name] = other
        yield row, other


ROWS: Mapping[str, Row] = {
    row.name: row
    for row in sorted(
        (row for interval_ms in INTERVALS_MS for row in _families(interval_ms)),
        key=lambda row: [each.family for each in _families(0)].index(row.family),
    )
}
SWITCHES: Mapping[str, Row] = {other.name: other for _, other in _switches()}
BASES: Mapping[str, str] = {other.name: row.name for row, other in _switches()}
"""Of each of them: the row that differs from it in nothing else."""
