"""Live runs: a program under one policy, or under several, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from remusnet.live.capture_file import write_capture
from remusnet.live.guard import Listener, run_live
from remusnet.live.leftovers import clear_leftovers
from remusnet.live.measuring import measure
from remusnet.live.orders import RunOrder
from remusnet.policy.policy import Policy
from remusnet.results.live_run import LiveResult

__all__ = ["Listener", "RunOrder", "clear_leftovers", "run_each"]


def run_each(
    order: RunOrder,
    policies: Sequence[Policy | None],
    listen: Callable[[Policy | None], Listener],
    *,
    live: bool = False,
    capture: Path | None = None,
) -> tuple[list[LiveResult], int]:
    """Runs ``order`` under each of ``policies``; and the signal that has ended it, 0 for none.

    ``listen``: the listener that hears of the run under a policy; ``live``: what is seen meanwhile.
    ``capture``: a pcapng file for what both ends of the vif saw (of several policies
    ``NAME-POLICY.pcapng``). Raises what `run_live` raises.
    """
    results = []
    for policy in policies:
        chosen = replace(order, policy=policy)
        recorded = run_live(chosen, listen(policy), live=live)
        if capture is not None:
            write_capture(capture_name(capture, chosen, len(policies)), recorded)
        results.append(measure(chosen, recorded))
        if recorded.signal:
            return results, recorded.signal
    return results, 0


def capture_name(capture: Path, order: RunOrder, count: int) -> Path:
    """The file of one run; its policy's name is in it where there are several."""
    if count == 1:
        return capture
    suffix = capture.suffix if capture.suffix == ".pcapng" else ""
    stem = capture.name.removesuffix(suffix)
    return capture.with_name(f"{stem}-{order.policy_name}.pcapng")
