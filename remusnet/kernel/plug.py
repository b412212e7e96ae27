"""The plug of a buffer device, driven as Remus drives it.

    with Plug("ifb-1.0") as plug:
        plug.start()       # protection begins: output is held
        plug.buffer()      # a checkpoint begins: what follows belongs to the next epoch
        plug.release()     # it has committed: the epoch before leaves

The messages are encoded once; an operation is one send and a look or two on one socket, without a
process, and without an allocation that could wait for memory the guest's pages use. The look before
a release tells whether something has purged the plug (`remusnet.kernel.wire.plug_line`): then
nothing is released, and the plug is cleared.

The kernel does not say what a plug was told (net/sched/sch_plug.c has no dump), so the state is
kept here, and between processes in the run directory (`remusnet.kernel.state.drivers`).
"""

from __future__ import annotations

import errno
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from remusnet.errors import Conflict, InvalidInput, RemusnetError, quoted
from remusnet.kernel.plug_status import PlugStatus, came_to, find_plug, index_of, status_of
from remusnet.kernel.run_dir import Problems, change_lock, default_run_dir, driver_lock
from remusnet.kernel.state.drivers import (
    PlugRecord,
    PlugState,
    forget_record,
    plug_id,
    read_record,
    write_record,
)
from remusnet.kernel.state.observe import device_at
from remusnet.kernel.wire.codec import IFF_UP, RTM_NEWLINK, link, message, plug_message
from remusnet.kernel.wire.messages import PlugAction
from remusnet.kernel.wire.netlink import Answer, Netlink, refusal
from remusnet.kernel.wire.objects import Qdisc
from remusnet.kernel.wire.plug_line import PlugLine, unacknowledged
from remusnet.plan.devices import LARGEST_LIMIT, check_device_name

# The handle in each message is that of the plug as it was found: another qdisc has another one.
_REPLACED = (errno.EEXIST, errno.ENOENT, errno.EINVAL)
_FEWER = "it holds fewer frames than were left in it"
_STARTS = 20
"""How often a start begins anew because a frame came at the wrong moment."""
_LONGEST_START = 1.0
_POLL_SECONDS = 0.0005


class Plug:
    """The plug at the root of the buffer device ``device``. Leaving the context opens it.

    ``force``: allow BUFFER while an epoch waits for its release; the kernel then forgets how many
    frames that epoch had, and every later release comes late (sch_plug.c, plug_change).
    ``lock``: hold the driver's lock until it is closed: then ``remusnet remove`` is a conflict, and
    no second driver comes in between. ``run_dir``: where lock and record are. ``ending``: it is
    only to be opened, which a full disk or an unusable ``run_dir`` must not stop: the lock and the
    record are done without where they have to be. `problems` says so.

    ``purges``: how often something has emptied the plug without a release, and the plug was cleared
    for it; ``purge``: what it was, the last time.

    One thread at a time. Between a signal handler that raises and the next operation nothing is
    lost but knowledge: the state is unknown then.

    Raises InvalidInput where there is no such device; Conflict where its root qdisc is no plug, or
    where another process drives it; MissingDependency where the kernel has no plugs; NotPermitted.
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
        self._index = index_of(device)
        self._force = force
        self._lock = lock
        self._problems = Problems()
        with ExitStack() as stack:
            # First: so its port is this process's number, as a rule; listeners know us by it.
            self._line = PlugLine(self._index)
            stack.callback(self._line.close)
            self._netlink = stack.enter_context(Netlink())
            qdisc = self._find()
            there = device_at(self._netlink, self._index)
            self._line.expect(up=there.up, queue=there.queue)
            self._id = plug_id(self._index, qdisc.handle)
            before = PlugRecord()
            if lock:
                stack.enter_context(
                    driver_lock(self._run_dir, device, self._problems if ending else None)
                )
                before = read_record(self._run_dir, device, self._id)
                # A driver that is killed from here on leaves no record: the state is unknown then.
                forget_record(self._run_dir, device, self._problems)
                stack.callback(self._write_record)
            self._buffer, self._release, self._release_all = (
                unacknowledged(plug_message(self._index, action, handle=qdisc.handle))
                for action in (
                    PlugAction.BUFFER,
                    PlugAction.RELEASE_ONE,
                    PlugAction.RELEASE_INDEFINITE,
                )
            )
            self._unread = False
            """Whether the kernel's answer to the last BUFFER is still unread."""
            self.purges, self.purge = 0, ""
            if before.came is not None and came_to(qdisc) < before.came:
                self._line.purge = _FEWER
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
        """A line for each file that it could not lock or write; complete once the plug is
        closed.
        """
        return self._problems.lines

    def close(self) -> None:
        """Leaves the plug as it is, gives up lock and socket; leaving the context won't open it.

        For a guest that has failed over. A second time does nothing.
        """
        self._closed = True
        self._open.close()

    def start(self) -> None:
        """Begins the first epoch: what comes from now on is held. Raises as `buffer` does.

        Frames that an earlier driver has left in the plug leave, and so do those that come
        meanwhile. The plug's counters begin anew.
        """
        for _ in range(_STARTS):
            self.release_all()
            self._wait_until_empty()
            self.buffer()
            # A frame that was on its way out at the BUFFER would stay in front of all that follow.
            if not self._waiting():
                return

    def buffer(self) -> None:
        """BUFFER: closes the epoch; frames that come from now on belong to the next.

        Raises Conflict while the epoch before still waits for its release (unless forced), and
        KernelRefused or NotPermitted. While an epoch is open already, the kernel's refusal is
        raised by the next operation, before that lets anything go.
        """
        was = self.state
        if was is PlugState.WAITING and not self._force:
            raise Conflict(
                f"an epoch on {self.device} still waits for its release: a second buffer would "
                "strand its frames; release it first"
            )
        if self._line.purge:
            self._clear()
            was = self.state
        self.state = PlugState.UNKNOWN
        self._line.send(self._buffer)
        if was is not PlugState.BUFFERING:
            # Until it is done nothing is held, or that is unknown.
            self._check(self._line.look(), "buffer", was)
        self._unread = was is PlugState.BUFFERING
        # From an open plug the first BUFFER only begins to hold. From an unknown one an epoch of
        # another driver may wait now.
        self.state = PlugState.BUFFERING if was is PlugState.OPEN else PlugState.WAITING
        self._buffers += 1
        if was is PlugState.WAITING:
            self._stranded = True

    def release(self) -> None:
        """RELEASE_ONE: what was held before the last BUFFER leaves. Raises as `buffer` does.

        Where no epoch waits it does nothing. Where something has purged the plug, nothing leaves:
        the plug is cleared, and what it still held is lost (see `purges`).
        """
        self._catch_up()
        if self._line.purge and self._clear():
            return
        self._tell(self._release, "release")
        if self.state is PlugState.WAITING:
            self.state = PlugState.BUFFERING
        self._releases += 1
        # What came between the look and the release: then the kernel still lets frames go.
        if self._line.purge:
            self._clear()

    def fileno(self) -> int:
        """A descriptor that is readable where it is time to `check`."""
        return self._line.fileno()

    def check(self) -> None:
        """Clears the plug where something has purged it, as `release` does. Raises as that does.

        While you wait for a commit or for the next checkpoint, call it when `fileno` is readable.
        """
        self._catch_up()
        if self._line.purge:
            self._clear()

    def release_all(self) -> None:
        """RELEASE_INDEFINITE: everything leaves, and passes until the next BUFFER.

        Raises as `buffer` does.
        """
        # Whatever became of a BUFFER before it.
        self._line.look()
        self._unread = False
        self._tell(self._release_all, "release all")
        self.state = PlugState.OPEN
        self._stranded = False
        self._line.forget()  # its counters are 0 now

    def set_limit(self, limit: int) -> None:
        """Sets the limit to ``limit`` bytes; what is held already stays.

        Raises InvalidInput outside 1 to 2**32 - 1, and as `buffer` does.
        """
        if not 1 <= limit <= LARGEST_LIMIT:
            raise InvalidInput(f"invalid limit: {limit} bytes; expected 1 to {LARGEST_LIMIT}")
        self._catch_up()
        request = plug_message(self._index, PlugAction.LIMIT, limit, handle=self._id.handle)
        self._tell(unacknowledged(request), "set the limit")
        self._limit = limit

    def status(self) -> PlugStatus:
        """What the kernel says now, and what this driver has done. Raises as `Plug` does.

        It lists qdiscs, which takes far longer than the operations.
        """
        return status_of(self.device, self._find(), self.record)

    def _catch_up(self) -> None:
        """Reads what has come since the last operation."""
        answer = self._line.look()
        if not self._unread:
            return  # all others have been answered
        self._unread = False
        if answer is not None:
            self._buffers -= 1
            self._check(answer, "buffer", PlugState.BUFFERING)

    def _tell(self, request: bytearray, what: str) -> None:
        before = self.state
        # Until the answer is read this process doesn't know whether it was done.
        self.state = PlugState.UNKNOWN
        self._line.send(request)
        self._check(self._line.look(), what, before)

    def _check(self, answer: Answer | None, what: str, state: PlugState) -> None:
        """The state is ``state`` now, whether the kernel has refused it or not."""
        self.state = state
        if answer is not None:
            self._refuse(answer, what)

    def _clear(self) -> bool:
        """Makes the plug's counters 0 again after a purge, and begins a new epoch.

        Only RELEASE_INDEFINITE does that, which opens the plug; so the device is down meanwhile,
        and what has come since the purge is lost too. False where there is nothing to clear: an
        open plug counts nothing. While another remusnet changes something it does nothing but to
        go on holding, and the next release tries again.
        """
        if self.state is PlugState.OPEN:
            self._line.forget()
            return False
        with ExitStack() as stack:
            try:
                # An apply that finds the device down would open its plug, too, to raise it.
                stack.enter_context(change_lock(self._run_dir, longest_wait=0))
            except Conflict:
                self.state = PlugState.BUFFERING
                return True
            except RemusnetError:
                pass  # without a folder for locks no remusnet can change anything
            up = self._line.up
            if up:
                self._tell(self._link(0), "set down")
            self._tell(self._release_all, "release all")
            self._tell(self._buffer, "buffer")
            self.purges, self.purge = self.purges + 1, self._line.purge
            self._line.forget()
            if up:
                self._tell(self._link(IFF_UP), "raise")
        self.state = PlugState.BUFFERING
        self._stranded = False
        return True

    def _link(self, flags: int) -> bytearray:
        return unacknowledged(message(RTM_NEWLINK, 0, link(self._index, flags, IFF_UP)))

    def _find(self) -> Qdisc:
        return find_plug(self._netlink, self.device, self._index)

    def _waiting(self) -> int:
        return self._find().counters.qlen

    def _wait_until_empty(self) -> None:
        deadline = time.monotonic() + _LONGEST_START
        while self._waiting() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)

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
        came = None  # where the plug is gone no reader will believe the record
        with suppress(RemusnetError):
            self._line.look()
            # A purge that no driver has dealt with must show to the next one.
            came = came_to(self._find()) + bool(self._line.purge)
        record = replace(self.record, came=came)
        write_record(self._run_dir, self.device, self._id, record, self._problems)
