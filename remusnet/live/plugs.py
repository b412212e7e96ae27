"""The plug of a live run, from its driver's side: the kernel's, or the keeper's.

Both keep frames until `release`, and say from when on what is sent belongs to the next epoch.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from remusnet.classify.filters import Filter
from remusnet.errors import Conflict, MissingDependency, RemusnetError
from remusnet.kernel.change.execute import Executor
from remusnet.kernel.probe import available_classifiers, lacks
from remusnet.kernel.state.observe import observe
from remusnet.kernel.wire.netlink import Netlink
from remusnet.live.keeper import Board, Order, keep
from remusnet.live.namespaces import die_with_parent
from remusnet.live.network import HELD, KEPT, VIF, make_held
from remusnet.live.orders import AUTO, KERNEL, USERSPACE, RunOrder
from remusnet.live.ports import Port, open_end, open_tap
from remusnet.plan.operations import AddFilter, AddIngress, DeleteIngress
from remusnet.plan.plan import Plan, build_plan, choose_classifier
from remusnet.policy.policy import Policy

if TYPE_CHECKING:
    from remusnet.kernel.plug import Plug

_ANSWER_S = 5.0


class LivePlug(Protocol):
    """What holds the program's frames. ``kind``: `KERNEL` or `USERSPACE`."""

    kind: str

    def start(self) -> None:
        """The first epoch begins: the plug holds what comes."""

    def buffer(self) -> int:
        """A checkpoint begins: from when on (CLOCK_REALTIME, ns) what is sent is the next's."""

    def release(self) -> None:
        """It has committed."""

    def release_all(self) -> None:
        """Held frames leave, and what comes passes."""

    def fail(self) -> int:
        """The primary dies: held frames are lost, and so are the rules. How many frames."""

    def dropped(self) -> int:
        """Frames that found it full."""

    def close(self) -> None:
        """Its process, files and socket go; its devices go with their namespace."""


def which_plug(wanted: str) -> str:
    """The plug that a run takes where ``wanted`` is asked for. Raises MissingDependency."""
    missing = lacks("sch_plug") or lacks("ifb")
    if wanted == KERNEL and missing:
        raise MissingDependency(
            "--plug kernel: this kernel has no plug (sch_plug, ifb); leave the option out and the "
            'userspace plug is taken, or see "remusnet doctor"'
        )
    if wanted == AUTO:
        return USERSPACE if missing else KERNEL
    return wanted


def plan_of(order: RunOrder, policy: Policy, rate: int) -> Plan:
    """The rules, as `remusnet plan` would make them; nothing is copied for a guest's memory."""
    classifier = order.classifier
    if classifier == AUTO:
        classifier = choose_classifier(policy, available_classifiers())
    return build_plan(
        [VIF],
        policy,
        classifier=classifier,
        rate=rate,
        interval_ns=order.schedule.interval_ns,
        limit=order.limit,
        decouple=False,
    )


class KernelPlug:
    """sch_plug on an IFB, by the same plan as ``remusnet apply``; its files are in ``folder``."""

    kind = KERNEL

    def __init__(self, plan: Plan, order: RunOrder, rate: int, folder: Path) -> None:
        from remusnet.kernel.change.apply import apply
        from remusnet.kernel.plug import Plug

        self._folder = folder
        apply(plan, rate=rate, interval_ns=order.schedule.interval_ns, run_dir=folder)
        self._plug: Plug | None = Plug(plan.protections[0].buffer, run_dir=folder)
        self._dropped = 0

    def start(self) -> None:
        """See `LivePlug`."""
        self._there().start()

    def buffer(self) -> int:
        """See `LivePlug`. The time is that behind the operation: the program stands meanwhile."""
        self._there().buffer()
        return time.time_ns()

    def release(self) -> None:
        """See `LivePlug`."""
        self._there().release()

    def release_all(self) -> None:
        """See `LivePlug`."""
        if self._plug is not None:
            self._plug.release_all()

    def fail(self) -> int:
        """See `LivePlug`: as ``remusnet remove --drop`` does for a guest that was fenced."""
        from remusnet.kernel.change.remove import remove

        plug = self._there()
        status = plug.status()
        self._dropped = status.drops
        plug.close()
        self._plug = None
        remove([VIF], run_dir=self._folder, force=True, drop=True)
        return status.packets

    def dropped(self) -> int:
        """See `LivePlug`."""
        return self._dropped if self._plug is None else self._plug.status().drops

    def close(self) -> None:
        """See `LivePlug`."""
        if self._plug is not None:
            self._plug.close()

    def _there(self) -> Plug:
        if self._plug is None:
            raise Conflict("the plug is gone: the primary has failed")
        return self._plug


class UserspacePlug:
    """The keeper's process, with rules that redirect to its device. ``process``: its number."""

    kind = USERSPACE

    def __init__(self, port: Port, board: Board, limit: int) -> None:
        self._board = board
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._orders.settimeout(_ANSWER_S)
        parent = os.getpid()
        self.process = os.fork()
        if not self.process:
            code = 1
            try:
                self._orders.close()
                die_with_parent(signal.SIGKILL, parent)
                code = keep(port, theirs, board, limit)
            finally:
                os._exit(code)
        theirs.close()
        port.close()

    def set_rules(self, filters: tuple[Filter, ...]) -> None:
        """What the policy holds goes to the keeper. Raises what `Executor.run` raises."""
        with Netlink() as netlink:
            executor = Executor(netlink, observe(netlink, (VIF,)))
            executor.run([AddIngress(VIF), *(AddFilter(VIF, HELD, each) for each in filters)])

    def start(self) -> None:
        """See `LivePlug`."""
        self._tell(Order.RELEASE_ALL)
        self._tell(Order.BUFFER)

    def buffer(self) -> int:
        """See `LivePlug`."""
        return self._tell(Order.BUFFER)

    def release(self) -> None:
        """See `LivePlug`."""
        self._tell(Order.RELEASE)

    def release_all(self) -> None:
        """See `LivePlug`."""
        self._tell(Order.RELEASE_ALL)

    def fail(self) -> int:
        """See `LivePlug`."""
        before = self._board.read().lost
        self._tell(Order.DROP)
        with Netlink() as netlink:
            Executor(netlink, observe(netlink, (VIF,))).run([DeleteIngress(VIF)])
        return self._board.read().lost - before

    def dropped(self) -> int:
        """See `LivePlug`."""
        return self._board.read().dropped

    def close(self) -> None:
        """See `LivePlug`."""
        self._orders.close()
        with suppress(ChildProcessError):
            os.waitpid(self.process, 0)

    def _tell(self, order: Order) -> int:
        try:
            self._orders.send(bytes([order]))
            answer = self._orders.recv(8)
        except (OSError, TimeoutError):
            answer = b""
        if not answer:
            raise KeeperEnded
        return int.from_bytes(answer, "little")


class KeeperEnded(RemusnetError):
    """The keeper is gone, and with it what it held."""

    exit_code = Conflict.exit_code

    def __init__(self) -> None:
        super().__init__(
            "the userspace plug has ended: somebody has killed its process or deleted its device; "
            "what it held is lost"
        )


def make_plug(
    order: RunOrder, plan: Plan, rate: int, board: Board, folder: Path, port: Port | None
) -> LivePlug:
    """The plug with its rules, open: the kernel's, or with a ``port`` the userspace plug."""
    if port is None:
        return KernelPlug(plan, order, rate, folder)
    with ExitStack() as stack:
        plug = UserspacePlug(port, board, plan.limit)
        stack.callback(plug.close)
        plug.set_rules(plan.filters())
        stack.pop_all()
    return plug


def open_held() -> Port:
    """The userspace plug's port on the device `HELD`, in this namespace. Raises as `make_held`."""
    try:
        return open_tap(HELD)
    except OSError:  # a container without /dev/net/tun, or a user who may not open it
        make_held()
        return open_end(KEPT)
