"""What a guest's checkpoints take, measured while Xen (or another replicator) takes them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from remusnet.errors import CheckFailed, InvalidInput, MissingDependency, quoted, suggestion
from remusnet.host.netbuf.places import Places
from remusnet.host.xen import under_remus, xl_process
from remusnet.host.xenstore import Xenstore
from remusnet.host.xl_log import XlLog
from remusnet.host.xl_processes import interval_ms
from remusnet.kernel.listening import Heard, listen
from remusnet.kernel.state.status import status
from remusnet.scenario.epochs import Trace
from remusnet.scenario.observed import epochs

__all__ = ["Heard", "Measured", "Target", "measure", "target"]

_NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Target:
    """A measurement of the plug of ``buffer``, and of the guest behind ``vifs``.

    ``interval_ns``: xl's checkpoint interval, None where the user and xl's command line say none.
    """

    name: str
    buffer: str
    vifs: tuple[str, ...]
    interval_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """``missed``: frames of the guest that could not be noted. ``ended``: what ended it early."""

    trace: Trace
    missed: int
    ended: BaseException | None


def target(word: str, places: Places) -> Target:
    """The guest ``word``: a domain's name or number, else a protected vif or a buffer device.

    Raises InvalidInput where there is none, and what `status` raises.
    """
    known: dict[str, Target] = {}
    store = Xenstore()
    try:
        for each in under_remus(places, store)[0]:
            found = each.status.protected.vifs if each.status else ()
            vifs = found or (f"vif{each.domid}.{each.number}",)
            for name in (each.name, str(each.domid)):
                known.setdefault(name, Target(each.name, each.buffer, vifs, _interval(each.name)))
    except MissingDependency:
        pass  # no Xen here: another replicator's
    for protection in status(run_dir=Path(places.run_dir))[0]:
        protected = protection.protected
        for name in (*protected.vifs, protected.buffer):
            known.setdefault(name, Target(name, protected.buffer, protected.vifs))
    if word not in known:
        raise InvalidInput(
            f"nothing holds what {quoted(word)} sends{suggestion(word, known)}; expected a domain "
            "under Remus, a protected vif, or a buffer device"
        )
    return known[word]


def measure(
    what: Target,
    duration_ns: int,
    *,
    log: Path | None = None,
    tell: Callable[[Heard], None] = lambda _: None,
) -> Measured:
    """Its checkpoints for ``duration_ns``. ``log``: xl's, for how much was dirty.

    Raises CheckFailed where nothing drives the plug, and as `listen`.
    """
    with ExitStack() as stack:
        pages = stack.enter_context(XlLog(log)).dirty_pages if log else lambda: None
        seen, ended = listen(what.buffer, what.vifs, duration_ns, pages=pages, tell=tell)
    try:
        trace = epochs(seen, what.name, what.interval_ns)
    except CheckFailed as error:
        raise CheckFailed(f"{what.buffer}: {error}") from ended
    return Measured(trace, seen.missed, ended)


def _interval(name: str) -> int | None:
    try:
        told = interval_ms(xl_process(name, Xenstore()))
    except (InvalidInput, MissingDependency):
        return None
    return None if told is None else told * _NS_PER_MS
