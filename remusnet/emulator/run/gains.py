"""What a setting would gain in a scenario: a run with it beside the one without."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from remusnet.emulator.traffic.tcp_notes import GENERAL, changes, idles
from remusnet.metrics.percentiles import NS_PER_MS, percentile
from remusnet.results.exchanges import Transfer
from remusnet.scenario.scenario import Scenario
from remusnet.scenario.traffic import Tcp, TcpKind

WORTH, WORTH_MS = 0.10, 10.0
"""A median or a p95 that gets better by less is not worth anybody's setting."""
MOST_FRAMES = 100_000
"""Of the run without: each setting is a run more, of some seconds for as many frames."""
HOW_TO = (
    "docs/how-to/tcp-in-a-guest.md says how to set TCP in a protected guest, and what each setting "
    "costs."
)
_LARGE = (
    f"What it gains here is not simulated: the run has more than {MOST_FRAMES:,} frames; a shorter "
    "--duration says it."
)

Transfers = Sequence[Transfer]
Rerun = Callable[[Scenario], Transfers]


def gains(scenario: Scenario, frames: int, before: Transfers, rerun: Rerun) -> Iterator[str]:
    """A note for each setting that is worth it, with its gain; last where to read more.

    ``frames``: of the run that gave ``before``; ``rerun``: the same run of another scenario.
    """
    said = False
    for change in changes(scenario):
        if frames > MOST_FRAMES:
            if change in GENERAL:
                said = True
                yield f"{GENERAL[change]} {_LARGE}"
            continue
        found = "; ".join(_gains(scenario, before, rerun(change.made(scenario))))
        if found:
            said = True
            yield f"{change.title(scenario)}: {found}. In a scenario: {change.here}."
    if said:
        yield HOW_TO


def _gains(scenario: Scenario, before: Transfers, after: Transfers) -> Iterator[str]:
    """The gain of each group of connections that gets better; none where another loses as much.

    Where a run's end cuts connections off, those that came to an answer are compared.
    """
    found: list[str] = []
    for number, tcp in enumerate(scenario.tcp, start=1):
        ours, theirs = (_answers_ms(each, number, str(tcp.kind)) for each in (before, after))
        if not len(ours) or not len(theirs):
            continue
        words = []
        for name, share in (("median", 0.5), ("p95", 0.95)):
            old, new = percentile(ours, share), percentile(theirs, share)
            if new - old > max(WORTH * old, WORTH_MS):
                return
            if old - new > max(WORTH * old, WORTH_MS):
                words.append(f"{old:,.0f} -> {new:,.0f} ms {name}")
        if words:
            which = f" of group {number}" if len(scenario.tcp) > 1 else ""
            found.append(f"{_named(tcp)}{which} {', '.join(words)}")
    yield from found


def _answers_ms(transfers: Transfers, group: int, kind: str) -> npt.NDArray[np.float64]:
    mine = (each for each in transfers if each.group == group and each.kind == kind)
    return np.array([each for one in mine for each in one.responses_ns], np.float64) / NS_PER_MS


def _named(tcp: Tcp) -> str:
    if tcp.kind is TcpKind.BULK:
        return "transfers"
    return "answers after idle" if idles(tcp) else "answers"
