"""A host's desired state: how this host differs from it, and making it true."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from remusnet import defaults
from remusnet.errors import Conflict, RemusnetError
from remusnet.host.desired import DesiredState, but_xls, candidates, orders
from remusnet.host.libvirt import running_vifs
from remusnet.host.trial import trials
from remusnet.kernel.change.apply import apply_each, check_memory
from remusnet.kernel.change.foresee import Refuse, foresee
from remusnet.kernel.change.steps import Look, Order, look_at
from remusnet.kernel.state.inventory import inventory
from remusnet.kernel.state.observe import observe
from remusnet.kernel.wire.netlink import Netlink, require_rights
from remusnet.results.host import Absent, HostApplied, HostDifference
from remusnet.results.protection import Applied


def difference(
    desired: DesiredState, run_dir: Path, *, connect: str = defaults.LIBVIRT
) -> HostDifference:
    """How this host differs from ``desired``, and what `make_true` would do. Touches nothing.

    ``connect``: where libvirt is asked, if an entry names a domain. Raises InvalidInput,
    MissingDependency, NotPermitted, or KernelRefused.
    """
    return _difference(desired, run_dir, connect)[0]


def make_true(
    desired: DesiredState,
    run_dir: Path,
    *,
    connect: str = defaults.LIBVIRT,
    force: bool = False,
    found: Callable[[HostDifference], None] = lambda _difference: None,
    ended: Callable[[], None] = lambda: None,
) -> HostApplied:
    """Protects what ``desired`` says of what is there, each card for itself.

    ``found`` is called with the difference before anything is done, ``ended`` after each card that
    had to change. ``force``: even where a flood of small frames can cost more than half of this
    host's memory. What one failed with is in the result. Raises what `difference` raises, and
    Conflict for the memory.
    """
    require_rights("change network devices")
    different, wanted = _difference(desired, run_dir, connect)
    crowded = check_memory((each.plan for each in wanted), run_dir, force=force)
    found(different)
    outcomes, damaged = apply_each(wanted, run_dir=run_dir, refuse=refusing(run_dir), ended=ended)
    said = (note for each in outcomes if isinstance(each, Applied) for note in each.notes)
    warnings = (warning for each in wanted for warning in each.plan.warnings)
    notes = dict.fromkeys((*damaged, *different.notes, *said, *warnings, *crowded))
    return HostApplied(different, outcomes, tuple(notes))


def refusing(run_dir: Path) -> Refuse:
    """What belongs to ``xl``, and what is on trial."""
    xls = but_xls(run_dir)
    tried = {vif for trial, _ in trials(run_dir) for vif in trial.vifs}

    def refuse(order: Order, look: Look) -> RemusnetError | None:
        both = [vif for vif in order.plan.vifs if vif in tried]
        if both:
            return Conflict(f'{", ".join(both)}: on trial: "remusnet confirm" keeps it; or wait')
        return xls(order, look)

    return refuse


def _difference(
    desired: DesiredState, run_dir: Path, connect: str
) -> tuple[HostDifference, tuple[Order, ...]]:
    """The difference, and the orders that would end it."""
    domains = running_vifs(desired.domains, connect) if desired.domains else {}
    with Netlink() as netlink:
        there = candidates(observe(netlink, ()), domains)
        wishes = desired.wishes(there)
        wanted = tuple(orders(wishes))
        look = look_at(netlink, run_dir, [each.plan for each in wanted])
    refuse = refusing(run_dir)
    foreseen = tuple(
        foresee(order, look, wish.path, refuse) for order, wish in zip(wanted, wishes, strict=True)
    )
    meant = {vif for each in wanted for vif in each.plan.vifs}
    others = tuple(
        each.protected
        for each in inventory(look.seen, look.receipts)
        if meant.isdisjoint(each.vifs)
    )
    absent = tuple(Absent(each.path, each.wants) for each in desired.absent(there))
    found = HostDifference(desired.origin, foreseen, absent, others, look.damaged)
    return found, wanted
