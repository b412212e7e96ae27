"""Setup and teardown the long way: whatever state the kernel and the files are in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from remusnet.host.netbuf.compiled import make_ready
from remusnet.host.netbuf.contract import Call
from remusnet.host.netbuf.interval import BY_DEFAULT, BY_FILE, xl_interval
from remusnet.host.netbuf.locks import remaining
from remusnet.host.netbuf.places import Places, forget_owner, owner_of, write_owner
from remusnet.host.netbuf.terms import asks_for_domain, terms_of
from remusnet.kernel.change.apply import apply
from remusnet.kernel.change.remove import remove
from remusnet.kernel.journal import because
from remusnet.kernel.own_folder import OwnFolder
from remusnet.kernel.prepared import exists
from remusnet.kernel.run_dir import Problems
from remusnet.kernel.state.inventory import inventory
from remusnet.kernel.state.observe import observe
from remusnet.kernel.state.receipt import Receipts
from remusnet.kernel.wire.netlink import Netlink
from remusnet.plan.devices import buffer_name
from remusnet.plan.plan import Plan, protections
from remusnet.plan.terms import Terms


@dataclass(frozen=True, slots=True)
class SetUp:
    """The ``buffer`` device, and a ``warning`` where the policy is not the one asked for."""

    buffer: str
    warning: str


def set_up(
    call: Call, places: Places, domain: Callable[[], tuple[str, str]], deadline: float
) -> SetUp:
    """Protects the devices of ``call``, whatever is left there of an xl that was killed.

    ``domain``: asks for the domain's name and UUID. ``deadline``: for locks (time.monotonic).
    Raises RemusnetError or OSError.
    """
    name, uuid = domain() if asks_for_domain(places) else ("", "")
    chosen = terms_of(places, name, uuid, call.vif, call.devid)
    buffer = buffer_name(call.vif)
    vifs = tuple(each for each in call.devices if exists(each)) or (call.vif,)
    terms, interval_from = _under_xl(chosen.terms)
    protected = protections(vifs, buffer, decouple=terms.decouple)
    plan = Plan(chosen.classification, protected, terms.plug_limit)
    with because("set-up"), Netlink() as netlink:
        # Something may still drive it: then this is a second xl remus for the domain, and refused.
        _remove(call, places, netlink, buffer, deadline, force=False)
        try:
            apply(
                plan,
                rate=terms.rate,
                interval_ns=terms.interval_ns,
                interval_from=interval_from,
                run_dir=Path(places.run_dir),
                netlink=netlink,
                longest_wait=remaining(deadline),
            )
        except BaseException:
            forget_owner(places, buffer)  # there is nothing of ours any more
            raise
    with OwnFolder(places.run_dir) as folder:
        write_owner(folder, buffer, call)
    if not chosen.warning and not places.policy and not places.decouple:
        _prepare_next_time(places)
    return SetUp(buffer, chosen.warning)


def _under_xl(terms: Terms) -> tuple[Terms, str]:
    """``terms`` at the pace of the xl that has started the script, and who says so."""
    if terms.interval_given:
        return terms, BY_FILE
    interval_ns, interval_from = xl_interval()
    if not interval_ns:
        return terms, BY_DEFAULT
    return replace(terms, interval_ns=interval_ns), interval_from


def tear_down(
    call: Call, places: Places, deadline: float, *, drop: bool = False
) -> tuple[str, ...]:
    """Releases (``drop``: drops) and removes what was made for ``call``; nothing where that is
    gone already, or where the buffer device is another call's by now: a vif's name can come back.

    What could not be written in the run directory on the way, one line each: the protection has
    ended all the same. ``deadline``: for locks (time.monotonic). Raises RemusnetError or OSError.
    """
    buffer = buffer_name(call.vif)
    if owner_of(places, buffer) not in ("", call.path):
        return ()
    with because("tear-down"), Netlink() as netlink:
        # libxl has stopped driving it, or is gone.
        problems = _remove(call, places, netlink, buffer, deadline, force=True, drop=drop)
    forget_owner(places, buffer)
    return problems


def _remove(
    call: Call,
    places: Places,
    netlink: Netlink,
    buffer: str,
    deadline: float,
    *,
    force: bool,
    drop: bool = False,
) -> tuple[str, ...]:
    run_dir = Path(places.run_dir)
    problems = Problems()
    there = inventory(observe(netlink), Receipts(run_dir, problems).read()[0])
    ours = [each for each in there if each.buffer == buffer or set(each.vifs) & set(call.devices)]
    vifs = tuple(dict.fromkeys(vif for each in ours for vif in each.vifs))
    if not vifs:
        return problems.lines
    # Together with whatever sends there under another name: an ending comes to its end.
    done = remove(
        vifs,
        run_dir=run_dir,
        force=force,
        drop=drop,
        together=True,
        netlink=netlink,
        longest_wait=remaining(deadline),
        longest_listen=remaining(deadline) / 3,
    )
    return tuple(dict.fromkeys((*problems.lines, *done.problems)))


def _prepare_next_time(places: Places) -> None:
    try:
        make_ready(places)
    except OSError:
        return  # the next time takes as long as this one
