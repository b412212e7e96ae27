"""Teardown in the usual case, in the time that matters. Light.

It does all of it, or leaves it to `remusnet.host.netbuf.full_teardown`: remove can go on from any
state.
"""

from __future__ import annotations

from remusnet.host.netbuf.locks import ChangeLock
from remusnet.host.netbuf.places import owner_name, read_owner
from remusnet.kernel.journal import record
from remusnet.kernel.own_folder import OwnFolder, driver_lock_file, record_file
from remusnet.kernel.prepared import GaveUp, end, read_made
from remusnet.plan.devices import buffer_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from remusnet.host.netbuf.contract import Call
    from remusnet.host.netbuf.places import Places


def tear_down_quickly(call: Call, places: Places, deadline: float) -> bool:
    """Whether it was done: only where the setup was quick too, and all is as the setup left it.

    ``deadline``: for locks (time.monotonic). Raises Busy.
    """
    buffer = buffer_name(call.vif)
    try:
        with OwnFolder(places.run_dir) as folder:
            path, how = read_owner(folder, buffer)
            if path != call.path or not how:
                return False
            made = read_made(how)
            with ChangeLock(folder, deadline):
                # What drivers of remusnet's own have left goes with the rest, the long way.
                if folder.has(driver_lock_file(buffer)) or folder.has(record_file(buffer)):
                    return False
                end(made)
                folder.delete(f"{buffer}.json")
                folder.delete(owner_name(buffer))
    except (GaveUp, OSError, ValueError):
        return False
    record("tear-down", call.devices, buffers=[buffer])
    return True
