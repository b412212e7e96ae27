"""A trace from its beginning to its end: two taps, one tracer."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from remusnet.errors import InvalidInput, quoted
from remusnet.kernel.state.observe import root_qdisc
from remusnet.kernel.state.receipt import SUFFIX, Receipt, Receipts
from remusnet.kernel.trace.tap import DeviceGone, Tap
from remusnet.kernel.trace.tracer import Tracer
from remusnet.kernel.wire.netlink import Netlink
from remusnet.results.tracing import Trace, TracedFrame

_LONGEST_LOOK_S = 0.25
_LAST_LOOKS = 20


def trace(
    vif: str,
    *,
    run_dir: Path,
    listed: int,
    tell: Callable[[TracedFrame], None],
    is_over: Callable[[], bool],
    longest_s: float | None = None,
    begun: Callable[[], None] = lambda: None,
) -> Trace:
    """Traces ``vif`` for ``longest_s`` seconds, until ``is_over``, or until what is traced changes.

    ``tell`` is called with each of the first ``listed`` frames once its fate is known: in the order
    of their fates, not of their coming. ``begun``: once it listens. Raises InvalidInput for a vif
    that is not protected or not there; NotPermitted; Conflict for an unusable ``run_dir``.
    """
    receipt = _receipt_of(vif, run_dir)
    written = _written(run_dir, receipt)
    tracer = Tracer(receipt.plan().classification.policy, listed)
    problem = ""
    start = time.monotonic()
    with ExitStack() as stack:
        netlink = stack.enter_context(Netlink())
        out = stack.enter_context(Tap(receipt.buffer, outgoing=True))
        into = stack.enter_context(Tap(vif))
        poll = select.poll()
        for each in (out, into):
            poll.register(each.fileno(), select.POLLIN)
        begun()
        try:
            while not is_over():
                left_s = _LONGEST_LOOK_S
                if longest_s is not None:
                    left_s = min(left_s, start + longest_s - time.monotonic())
                    if left_s <= 0:
                        break
                poll.poll(1000 * left_s)
                if _written(run_dir, receipt) != written:
                    raise _Changed(f"{vif} was applied anew or removed meanwhile")
                for frame in _look(tracer, into, out):
                    tell(frame)
            duration_ns = _ns(time.monotonic() - start)
            at_ns, waiting = time.time_ns(), _waiting(netlink, receipt)
            for _ in range(_LAST_LOOKS):
                for frame in _look(tracer, into, out):
                    tell(frame)
                if not (into.has_more or out.has_more):
                    break
        except (DeviceGone, _Changed) as error:
            problem = str(error)
            duration_ns = _ns(time.monotonic() - start)
            at_ns, waiting = time.time_ns(), None
        for frame in tracer.finish(waiting, at_ns):
            tell(frame)
        unseen = into.unseen + out.unseen
        return tracer.trace(vif, receipt.buffer, duration_ns, unseen, problem)


class _Changed(Exception):
    """The policy that frames are judged by may be another now."""


def _written(run_dir: Path, receipt: Receipt) -> tuple[int, int] | None:
    """When the receipt was written, and which file it is: a change replaces it."""
    try:
        found = (run_dir / f"{receipt.buffer}{SUFFIX}").stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def _look(tracer: Tracer, into: Tap, out: Tap) -> Iterator[TracedFrame]:
    # In this order: what has left had come before.
    left = out.drain()
    came = into.drain()
    while left and came and into.has_more and came[-1].time_ns <= left[-1].time_ns:
        came += into.drain()
    return tracer.take(came, left, missed_leaving=out.unseen > 0)


def _waiting(netlink: Netlink, receipt: Receipt) -> int | None:
    """Frames in the plug; None where other vifs' are among them, or there is none."""
    root = root_qdisc(netlink, receipt.index) if receipt.index else None
    return root.counters.qlen if root is not None and len(receipt.vifs) == 1 else None


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)


def _receipt_of(vif: str, run_dir: Path) -> Receipt:
    for receipt in Receipts(run_dir).read()[0].values():
        if vif in receipt.vifs:
            return receipt
    raise InvalidInput(f"{quoted(vif)} is not protected: there is no policy to trace it by")
