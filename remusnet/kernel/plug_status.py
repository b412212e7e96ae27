"""What the kernel says of a plug, and the record of its last driver."""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace
from pathlib import Path

from remusnet.errors import Conflict, InvalidInput, MissingDependency, quoted
from remusnet.kernel.run_dir import default_run_dir, driver_of
from remusnet.kernel.state.drivers import PlugRecord, plug_id, read_record
from remusnet.kernel.state.observe import root_qdisc
from remusnet.kernel.wire.netlink import Netlink
from remusnet.kernel.wire.objects import Qdisc
from remusnet.plan.devices import check_device_name


@dataclass(frozen=True, slots=True)
class PlugStatus:
    """What the kernel says: ``backlog`` in bytes, ``packets`` held, ``drops`` and ``passed`` frames
    since the plug was made. What only its drivers can say: ``record``. ``driver``: the process that
    has the driver's lock, as in " by process 4711", empty for none.
    """

    device: str
    backlog: int
    packets: int
    drops: int
    passed: int
    record: PlugRecord
    driver: str = ""

    def to_json(self) -> dict[str, object]:
        """As ``remusnet plug IFB status --json`` prints it."""
        return {
            "device": self.device,
            "kernel": {
                "backlog": self.backlog,
                "packets": self.packets,
                "drops": self.drops,
                "passed": self.passed,
            },
            "record": {
                "state": str(self.record.state),
                "limit": self.record.limit,
                "buffers": self.record.buffers,
                "releases": self.record.releases,
                "stranded": self.record.stranded,
            },
            "driver": self.driver.removeprefix(" by ") or None,
        }


def plug_status(device: str, run_dir: Path | None = None) -> PlugStatus:
    """The plug of ``device`` as it is, driven or not; changes nothing and needs no rights.

    Raises as `Plug` does.
    """
    folder = run_dir or default_run_dir()
    index = index_of(check_device_name(device))
    with Netlink() as netlink:
        qdisc = find_plug(netlink, device, index)
    record = read_record(folder, device, plug_id(index, qdisc.handle))
    if record.limit is None:
        record = replace(record, limit=_limit_of_receipt(folder, device))
    return status_of(device, qdisc, record, driver_of(folder, device))


def status_of(device: str, qdisc: Qdisc, record: PlugRecord, driver: str = "") -> PlugStatus:
    """The status of the plug ``qdisc`` as it was seen."""
    counters = qdisc.counters
    return PlugStatus(
        device=device,
        backlog=counters.backlog,
        packets=counters.qlen,
        drops=counters.drops,
        passed=counters.packets,
        record=record,
        driver=driver,
    )


def came_to(qdisc: Qdisc) -> int:
    """Frames that the plug has taken since it was made: it never falls but by a purge."""
    return qdisc.counters.packets + qdisc.counters.qlen


def _limit_of_receipt(folder: Path, device: str) -> int | None:
    """The limit that ``remusnet apply`` has made the plug with, if it has."""
    from remusnet.kernel.state.receipt import (
        Receipts,  # here: drivers shouldn't wait for its imports
    )

    receipt = Receipts(folder).read()[0].get(device)
    return None if receipt is None else receipt.limit


def index_of(device: str) -> int:
    """The number of ``device``. Raises InvalidInput where there is none."""
    try:
        return socket.if_nametoindex(device)
    except OSError as error:
        raise InvalidInput(f"no such device: {quoted(device)}") from error


def find_plug(netlink: Netlink, device: str, index: int) -> Qdisc:
    """The plug at the root of a device. Raises Conflict, or MissingDependency."""
    root = root_qdisc(netlink, index)
    if root is not None and root.kind == "plug":
        return root
    from remusnet.kernel.probe import lacks  # here, since only a failure needs it

    if lacks("sch_plug"):
        raise MissingDependency(
            "this kernel has no plug (sch_plug), which holds frames until a checkpoint commits; "
            '"remusnet doctor" says what to do'
        )
    found = (
        f"the root qdisc of {device} is {root.kind}, no plug" if root else f"{device} has no plug"
    )
    raise Conflict(f'{found}: "remusnet apply" makes one, "remusnet plan" shows how')
