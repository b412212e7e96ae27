"""Setup the long way: whatever state the kernel and the files are in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from remusnet.host.netbuf.compiled import make_ready
from remusnet.host.netbuf.contract import Call
from remusnet.host.netbuf.full_teardown import remove_what_is_there
from remusnet.host.netbuf.interval import BY_DEFAULT, BY_FILE, xl_interval
from remusnet.host.netbuf.locks import remaining
from remusnet.host.netbuf.places import Places, forget_owner, write_owner
from remusnet.host.netbuf.terms import asks_for_domain, terms_of
from remusnet.kernel.change.apply import apply
from remusnet.kernel.journal import because
from remusnet.kernel.own_folder import OwnFolder
from remusnet.kernel.prepared import exists
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
        remove_what_is_there(call, places, netlink, buffer, deadline, force=False)
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


def _prepare_next_time(places: Places) -> None:
    try:
        make_ready(places)
    except OSError:
        return  # the next time takes as long as this one
