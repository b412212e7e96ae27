"""The plug of a buffer device, driven as Remus drives it.

    with Plug("ifb-1.0") as plug:
        plug.start()       # protection begins: output is held
        plug.buffer()      # a checkpoint begins: what follows belongs to the next epoch
        plug.release()     # it has committed: the epoch before leaves

The messages are encoded once; an operation is one send and one receive on one socket, without a
process, and without an allocation that could wait for memory the guest's pages use.

The kernel does not say what a plug was told (net/sched/sch_plug.c has no dump), so the state is
kept here, and between processes in the run directory (`remusnet.kernel.plug_record`).
"""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from remusnet.errors import Conflict, InvalidInput, MissingDependency, RemusnetError, quoted
from remusnet.kernel.locks import driver_lock, driver_of
from remusnet.kernel.messages import PlugAction, plug_message
from remusnet.kernel.netlink import Answer, Netlink, refusal
from remusnet.kernel.observe import root_qdisc
from remusnet.kernel.plug_record import (
    PlugRecord,
    PlugState,
    forget_record,
    plug_id,
    read_record,
    write_record,
)
from remusnet.kernel.run_dir import Problems, default_run_dir
from remusnet.kernel.state import Qdisc
from remusnet.plan.limits import LARGEST_LIMIT
from remusnet.plan.names import check_device_name

# The handle in each message is that of the plug as it was found: another qdisc has another one.
_REPLACED = (errno.EEXIST, errno.ENOENT, errno.EINVAL)


@dataclass(frozen=True, slots=True)
class PlugStatus:
    """What the kernel says: ``backlog`` in bytes, ``packets`` held, ``drops`` and ``passed`` frames
    since the plug was made. What only its drivers can say: ``record``. ``driver``: who has the
    driver's lock, as in " by process 4711", empty for nobody.
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


class Plug:
    """The plug at the root of the buffer device ``device``. Leaving the context opens it.

    ``force``: allow BUFFER while an epoch waits for its release; the kernel then forgets how many
    frames that epoch had, and every later release comes late (sch_plug.c, plug_change).
    ``lock``: hold the driver's lock until it is closed: then ``remusnet remove`` is a conflict, and
    no second driver comes in between. ``run_dir``: where lock and record are. ``ending``: it is
    only to be opened, which a full disk or an unusable ``run_dir`` must not stop: the lock and the
    record are done without where they have to be. `problems` says so.

    One thread at a time. Between a signal handler that raises and the next operation nothing is
    lost but knowledge: the state is unknown then.

    Raises InvalidInput where there is no such device; Conflict where its root qdisc is no plug, or
    where somebody else drives it; MissingDependency where the kernel has no plugs; NotPermitted.
    """

    def __init__(
        self,
        device: str,
        *,
        force: bool = False,
        lock: bool = True,
        run_dir: Path | None = None,
        ending: bool = False,
    ) -> None:
        self.device = check_device_name(device)
        self._run_dir = run_dir or default_run_dir()
        self._index = _index(device)
        self._force = force
        self._lock = lock
        self._problems = Problems()
        with ExitStack() as stack:
            self._netlink = stack.enter_context(Netlink())
            qdisc = _plug_of(self._netlink, device, self._index)
            self._id = plug_id(self._index, qdisc.handle)
            before = PlugRecord()
            if lock:
                stack.enter_context(
                    driver_lock(self._run_dir, device, self._problems if ending else None)
                )
                before = read_record(self._run_dir, device, self._id)
                # Whoever is killed from here on leaves none: then nobody knows.
                forget_record(self._run_dir, device, self._problems)
                stack.callback(self._write_record)
            self._buffer, self._release, self._release_all = (
                bytearray(plug_message(self._index, action, handle=qdisc.handle))
                for action in (
                    PlugAction.BUFFER,
                    PlugAction.RELEASE_ONE,
                    PlugAction.RELEASE_INDEFINITE,
                )
            )
            # Plain attributes: to replace a frozen record takes as long as the kernel's answer.
            self.state = before.state
            self._limit = before.limit
            self._buffers, self._releases = before.buffers, before.releases
            self._stranded = before.stranded
            self._closed = False
            self._open = stack.pop_all()

    def __enter__(self) -> Plug:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._closed:
            return
        try:
            self.release_all()
        except RemusnetError as second:
            if error is None:
                raise
            error.add_note(f"then: {second}")  # the first error is the one to mend
        finally:
            self.close()

    @property
    def record(self) -> PlugRecord:
        """What this driver, and the ones before it, have done; `state` is part of it."""
        return PlugRecord(
            self.state, self._limit, self._buffers, self._releases, stranded=self._stranded
        )

    @property
    def problems(self) -> tuple[str, ...]:
        """What could not be locked or written, one line each; complete once it is closed."""
        return self._problems.lines

    def close(self) -> None:
        """Leaves the plug as it is, gives up lock and socket; leaving the context won't open it.

        For a guest that has failed over. A second time does nothing.
        """
        self._closed = True
        self._open.close()

    def start(self) -> None:
        """Begins the first epoch: what comes from now on is held. Raises as `buffer` does.

        What somebody has left in the plug leaves, it is from before: an epoch that waits, and one
        that is open.
        """
        self.release()
        self.buffer()
        self.release()

    def buffer(self) -> None:
        """BUFFER: closes the epoch; frames that come from now on belong to the next.

        Raises Conflict while the epoch before still waits for its release (unless forced), and
        KernelRefused or NotPermitted.
        """
        was = self.state
        if was is PlugState.WAITING and not self._force:
            raise Conflict(
                f"an epoch on {self.device} still waits for its release: a second buffer would "
                "strand its frames; release it first"
            )
        self._tell(self._buffer, "buffer")
        # From an open plug the first BUFFER only begins to hold. From an unknown one an epoch of
        # somebody else may wait now.
        self.state = PlugState.BUFFERING if was is PlugState.OPEN else PlugState.WAITING
        self._buffers += 1
        if was is PlugState.WAITING:
            self._stranded = True

    def release(self) -> None:
        """RELEASE_ONE: what was held before the last BUFFER leaves. Raises as `buffer` does.

        Where no epoch waits it does nothing.
        """
        self._tell(self._release, "release")
        if self.state is PlugState.WAITING:
            self.state = PlugState.BUFFERING
        self._releases += 1

    def release_all(self) -> None:
        """RELEASE_INDEFINITE: everything leaves, and passes until the next BUFFER.

        Raises as `buffer` does.
        """
        self._tell(self._release_all, "release all")
        self.state = PlugState.OPEN
        self._stranded = False

    def set_limit(self, limit: int) -> None:
        """Sets the limit to ``limit`` bytes; what is held already stays.

        Raises InvalidInput outside 1 to 2**32 - 1, and as `buffer` does.
        """
        if not 1 <= limit <= LARGEST_LIMIT:
            raise InvalidInput(f"invalid limit: {limit} bytes; expected 1 to {LARGEST_LIMIT}")
        request = plug_message(self._index, PlugAction.LIMIT, limit, handle=self._id.handle)
        self._tell(bytearray(request), "set the limit")
        self._limit = limit

    def status(self) -> PlugStatus:
        """What the kernel says now, and what this driver has done. Raises as `Plug` does.

        It lists qdiscs, which takes far longer than the operations.
        """
        return _status(self.device, _plug_of(self._netlink, self.device, self._index), self.record)

    def _tell(self, request: bytearray, what: str) -> None:
        before = self.state
        # Until the answer is read nobody knows whether it was done.
        self.state = PlugState.UNKNOWN
        answer = self._netlink.tell(request)
        self.state = before
        if answer is not None:
            self._refuse(answer, what)

    def _refuse(self, answer: Answer, what: str) -> NoReturn:
        if answer.error == errno.ENODEV:
            raise InvalidInput(f"could not {what}: {quoted(self.device)} is gone")
        if answer.error in _REPLACED:
            raise Conflict(
                f"could not {what} on {self.device}: somebody has replaced or deleted its plug "
                f"({answer.text or errno.errorcode[answer.error]})"
            )
        raise refusal(answer, f"{what} on {self.device}")

    def _write_record(self) -> None:
        # What the plug was told is done: a full disk does not undo it.
        write_record(self._run_dir, self.device, self._id, self.record, self._problems)


def plug_status(device: str, run_dir: Path | None = None) -> PlugStatus:
    """The plug of ``device`` as it is, driven or not; changes nothing and needs no rights.

    Raises as `Plug` does.
    """
    folder = run_dir or default_run_dir()
    index = _index(check_device_name(device))
    with Netlink() as netlink:
        qdisc = _plug_of(netlink, device, index)
    record = read_record(folder, device, plug_id(index, qdisc.handle))
    if record.limit is None:
        record = replace(record, limit=_limit_of_receipt(folder, device))
    return _status(device, qdisc, record, driver_of(folder, device))


def _status(device: str, qdisc: Qdisc, record: PlugRecord, driver: str = "") -> PlugStatus:
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


def _limit_of_receipt(folder: Path, device: str) -> int | None:
    """The limit that ``remusnet apply`` has made the plug with, if it has."""
    from remusnet.kernel.receipt import Receipts  # here: drivers shouldn't wait for its imports

    receipt = Receipts(folder).read()[0].get(device)
    return None if receipt is None else receipt.limit


def _index(device: str) -> int:
    try:
        return socket.if_nametoindex(device)
    except OSError as error:
        raise InvalidInput(f"no such device: {quoted(device)}") from error


def _plug_of(netlink: Netlink, device: str, index: int) -> Qdisc:
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
