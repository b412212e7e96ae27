"""What a trace of checkpoints comes to: as text, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from remusnet.metrics.percentiles import NS_PER_MS, rounded
from remusnet.scenario.epochs import Floats, Trace

_SHARES = (5, 50, 95)
_UNKNOWN = "unknown"


def text(trace: Trace, buffer: str, vifs: Sequence[str]) -> str:
    """How many checkpoints, and the middle and the ends of what each took."""
    known = int(np.isfinite(trace.pause_ns).sum())
    lines = [f"{trace.name}: {len(trace)} checkpoints ({buffer}, {', '.join(vifs)})"]
    if trace.interval_ns is not None:
        lines.append(f"  interval  {trace.interval_ns / NS_PER_MS:g} ms, as configured")
    for name, values in (
        ("period", trace.period_ns / NS_PER_MS),
        ("pause", trace.pause_ns / NS_PER_MS),
        ("lag", trace.lag_ns / NS_PER_MS),
    ):
        lines.append(f"  {name:8}  {_range(values, 'ms')}")
    for name, values in (("backlog", trace.backlog), ("dirty", trace.dirty)):
        lines.append(f"  {name:8}  {_range(values / 1024, 'KiB')}")
    if known < len(trace):
        lines.append(
            f"The guest sent often enough to show {known} of {len(trace)} pauses; ping it "
            "meanwhile to see more of them."
        )
    return "\n".join(lines)


def to_json(trace: Trace, buffer: str, vifs: Sequence[str]) -> dict[str, object]:
    """As ``remusnet xen measure --json`` prints it; times in ms, sizes in bytes."""
    return {
        "guest": trace.name,
        "buffer": buffer,
        "vifs": list(vifs),
        "interval_ms": None if trace.interval_ns is None else trace.interval_ns / NS_PER_MS,
        "checkpoints": len(trace),
        "pauses_known": int(np.isfinite(trace.pause_ns).sum()),
        "period_ms": _shares(trace.period_ns / NS_PER_MS),
        "pause_ms": _shares(trace.pause_ns / NS_PER_MS),
        "lag_ms": _shares(trace.lag_ns / NS_PER_MS),
        "backlog_bytes": _shares(trace.backlog),
        "dirty_bytes": _shares(trace.dirty),
    }


def _range(values: Floats, unit: str) -> str:
    known = values[np.isfinite(values)]
    if not len(known):
        return _UNKNOWN
    low, middle, high = np.percentile(known, _SHARES)
    return f"{middle:.4g} {unit} ({low:.4g} to {high:.4g} in nine of ten)"


def _shares(values: Floats) -> dict[str, float] | None:
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    found = np.percentile(known, _SHARES)
    return {f"p{share}": rounded(float(each)) for share, each in zip(_SHARES, found, strict=True)}
