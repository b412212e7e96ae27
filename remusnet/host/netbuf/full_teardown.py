"""Teardown the long way: whatever state the kernel and the files are in.

Apart from the setup, which makes plans: a teardown reads none of what that takes.
"""

from __future__ import annotations

from pathlib import Path

from remusnet.host.netbuf.contract import Call
from remusnet.host.netbuf.locks import remaining
from remusnet.host.netbuf.places import Places, forget_owner, owner_of
from remusnet.kernel.change.remove import remove
from remusnet.kernel.journal import because
from remusnet.kernel.run_dir import Problems
from remusnet.kernel.state.inventory import inventory
from remusnet.kernel.state.observe import observe
from remusnet.kernel.state.receipt import Receipts
from remusnet.kernel.wire.netlink import Netlink
from remusnet.plan.devices import buffer_name


def tear_down(
    call: Call, places: Places, deadline: float, *, drop: bool = False
) -> tuple[str, ...]:
    """Releases (``drop``: drops) and removes what was made for ``call``; nothing where that is
    gone already, or where the buffer device is another call's by now: a vif's name can come back.

    Returns a line for each file in the run directory that it could not write: the protection has
    ended all the same. ``deadline``: for locks (time.monotonic). Raises RemusnetError or OSError.
    """
    buffer = buffer_name(call.vif)
    if owner_of(places, buffer) not in ("", call.path):
        return ()
    with because("tear-down"), Netlink() as netlink:
        # libxl has stopped driving it, or is gone.
        problems = remove_what_is_there(
            call, places, netlink, buffer, deadline, force=True, drop=drop
        )
    forget_owner(places, buffer)
    return problems


def remove_what_is_there(
    call: Call,
    places: Places,
    netlink: Netlink,
    buffer: str,
    deadline: float,
    *,
    force: bool,
    drop: bool = False,
) -> tuple[str, ...]:
    """Removes what protects the devices of ``call`` or has its ``buffer``. ``force``: even while a
    process drives it. Returns a line for each thing that could not be written.
    """
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
