"""The runner: the process that stands for Dom0. It makes everything, and takes everything back."""

from __future__ import annotations

import array
import errno
import fcntl
import json
import os
import signal
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from remusnet.defaults import RATE_BITS
from remusnet.errors import Conflict, KernelRefused, RemusnetError
from remusnet.live import network
from remusnet.live.driver import SIGNALS, LiveDriver, keeper_ended
from remusnet.live.epochs import EpochLog
from remusnet.live.freezer import Freezer, SignalFreezer, make_freezer
from remusnet.live.keeper import Board
from remusnet.live.leftovers import MARK, Registration
from remusnet.live.namespaces import (
    adopt_orphans,
    become_own_root,
    die_with_parent,
    exact_timers,
    inside,
    leave_network,
    network_of,
)
from remusnet.live.orders import USERSPACE, RunOrder, filled
from remusnet.live.plugs import (
    LivePlug,
    UserspacePlug,
    make_plug,
    open_held,
    plan_of,
    which_plug,
)
from remusnet.live.ports import Port
from remusnet.live.program import Program, account_of, daemonised, environment_of
from remusnet.live.relay import Door, start_relay
from remusnet.live.taps import open_tap

_LONGEST_COMMIT_NS = 2_000_000_000
_SETTLE_S = 0.1
"""For frames on their way, and for the taps' rings, which give a block after 50 ms."""
_NICE = -10
"""Of runner and keeper, where it may be: their lateness is seen as Remus's."""
GO = b"go"
"""The guard's word that it has done what it was told to wait for."""
_GUARD_S = 10
_SIOCGIFFLAGS, _IFF_UP = 0x8913, 1


@dataclass(frozen=True, slots=True)
class Tools:
    """What the guard has made and both processes have."""

    registration: Registration
    log: EpochLog
    board: Board
    doors: tuple[Door, ...]
    terminal: int | None
    environment: Mapping[str, str]
    rootless: bool


def run(order: RunOrder, tools: Tools, guard: socket.socket, guard_process: int) -> int:
    """The whole life of the runner's process; its exit code, for the guard only."""
    os.setsid()  # a terminal's Ctrl-C is the guard's to hear
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    die_with_parent(signal.SIGTERM, guard_process)
    adopt_orphans()
    exact_timers()
    runner = _Runner(order, tools, guard)
    try:
        runner.run()
    except RemusnetError as error:
        runner.say(error=str(error), exit_code=error.exit_code)
        return 1
    except OSError as error:
        runner.say(error=_said(error), exit_code=6)
        return 1
    finally:
        try:
            runner.clear()
        finally:
            # The guard does so, too, unless it is dead. That can't be told: while one of its
            # threads has yet to die, the kernel says that it is the parent.
            tools.registration.clear_within()
    return 0


def _said(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    hint = "; --capture and long runs need room there" if error.errno == errno.ENOSPC else ""
    return f"the live run failed: {where}{error.strerror or error}{hint}"


class _Runner:
    """One live run. `clear` takes back what `run` has made, as far as it came."""

    def __init__(self, order: RunOrder, tools: Tools, guard: socket.socket) -> None:
        self._order = order
        self._tools = tools
        self._guard = guard
        self._made = ExitStack()
        self._rootless = tools.rootless

    def run(self) -> None:
        """All of it."""
        order = self._order
        host = network_of()
        self._made.callback(os.close, host)
        account = account_of(order.user, self._tools.environment, rootless=self._rootless)
        if self._rootless:
            become_own_root()
            self._made.callback(os.close, host := network_of())
        else:
            leave_network()
        network.quiet_ipv6()
        kind = "" if order.policy is None else which_plug(order.plug)
        freezer = make_freezer(self._tools.registration.record.group)
        self._made.callback(freezer.close)
        program = Program(account, freezer.join, self._tools.terminal)
        self._made.callback(self._end_program, program, freezer)
        if isinstance(freezer, SignalFreezer):
            freezer.group = program.process
        port = open_held() if kind == USERSPACE else None
        subnet = self._make_network(host, program, keep_in=kind == USERSPACE)
        plug = self._make_plug(port)
        address, gateway = network.address_of(subnet), network.gateway_of(subnet)
        driver = LiveDriver(
            program, freezer, plug, order.schedule, self._tools.log, self._looking(kind)
        )
        self._made.callback(driver.thaw)
        if isinstance(plug, UserspacePlug):
            driver.helpers[plug.process] = keeper_ended
        if self._tools.doors:
            with inside(host):
                relay = start_relay(self._tools.doors, address)
            self._made.callback(_kill, relay)
            driver.helpers[relay] = _relay_ended
        self._give_taps(
            address=str(address),
            gateway=str(gateway),
            subnet=str(subnet),
            plug=kind or None,
            freezer=freezer.kind,
            account=account.why,
            device=self._tools.registration.record.device,
            process=program.process,
            keeper=plug.process if isinstance(plug, UserspacePlug) else None,
        )
        if plug is not None:
            plug.start()
        # Who reads that the run is ready may send at once: what the kernel answers is held by now.
        self._say_and_wait({"begun_ns": time.time_ns()})
        program.go(
            filled(order.command, address),
            environment_of(account, self._tools.environment, str(address))
            | {MARK: self._tools.registration.record.name},
        )
        for process in (0, *([plug.process] if isinstance(plug, UserspacePlug) else ())):
            with suppress(OSError):  # without rights: as all others
                os.setpriority(os.PRIO_PROCESS, process, _NICE)
        self._drive(driver, program, freezer, plug)

    def _drive(
        self, driver: LiveDriver, program: Program, freezer: Freezer, plug: LivePlug | None
    ) -> None:
        order = self._order
        driver.run(duration_ns=order.duration_ns, fail_after_ns=order.fail_after_ns)
        failure: dict[str, int] | None = None
        if driver.failed and program.code is None:
            failure = self._fail(driver, plug)
            driver.rest()
        left_behind = (
            program.code == 0
            and not driver.stopping
            and (freezer.alive() or _has_orphans({program.process, *driver.helpers}))
        )
        freezer.kill()
        if failure is None:
            driver.finish(_LONGEST_COMMIT_NS)
        time.sleep(_SETTLE_S)
        dropped = 0 if plug is None else plug.dropped()
        if plug is not None and failure is None:
            plug.release_all()
        self.say(
            ended=True,
            code=program.code,
            by_itself=not driver.stopping,
            signal=driver.by_signal,
            dropped=dropped,
            failure=failure,
        )
        if left_behind and program.code is not None:
            raise daemonised(order.command[0], program.code)

    def _fail(self, driver: LiveDriver, plug: LivePlug | None) -> dict[str, int]:
        """The primary dies; the outage; then the program goes on as if on the backup."""
        failed_ns = time.time_ns()
        network.set_vif(up=False)
        lost = 0 if plug is None else plug.fail()
        self.say(failed=True, lost=lost)
        driver.outage(self._order.outage_ns, lambda: network.set_vif(up=True))
        self.say(back=True)
        return {"failed_ns": failed_ns, "back_ns": time.time_ns(), "lost": lost}

    def _make_network(self, host: int, program: Program, *, keep_in: bool) -> IPv4Network:
        record = self._tools.registration.record
        with self._tools.registration.choosing_subnet():
            with inside(host):
                taken = [] if self._rootless else network.taken_networks()
            subnet = network.choose_subnet(self._order.subnet, taken)
            network.make_uplink(record.device, None if self._rootless else os.getppid())
            with inside(host):
                network.raise_host_end(record.device, subnet, record.alias)
        network.make_dom0(program.process, keep_in=keep_in)
        with inside(host):
            hosts = [] if self._rootless else network.own_addresses()
        with inside(program.network):
            network.make_guest(subnet, hosts)
        if not network.wait_until_forwarding(keep_in=keep_in):
            raise KernelRefused("the bridge of the live run does not forward: see dmesg")
        return subnet

    def _make_plug(self, port: Port | None) -> LivePlug | None:
        order, policy = self._order, self._order.policy
        if policy is None:
            return None
        plug = make_plug(
            order,
            plan_of(order, policy, RATE_BITS),
            RATE_BITS,
            self._tools.board,
            self._tools.registration.own_folder,
            port,
        )
        self._made.callback(plug.close)
        return plug

    def _give_taps(self, **facts: object) -> None:
        """Gives the guard the taps, and what it will say of the run; waits until it listens."""
        taps = [
            open_tap(network.VIF, incoming_only=True),
            open_tap(network.UPLINK),
        ]
        self._say_and_wait({"ready": True, **facts}, [each.fileno() for each in taps])
        for each in taps:
            each.close()

    def _say_and_wait(self, facts: Mapping[str, object], descriptors: Sequence[int] = ()) -> None:
        """Tells the guard, unless that is dead, and waits until it has done what follows."""
        rights = array.array("i", descriptors).tobytes()
        extra = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if rights else []
        with suppress(OSError):
            self._guard.sendmsg([json.dumps(facts).encode()], extra)
            self._guard.settimeout(_GUARD_S)
            self._guard.recv(len(GO))

    def say(self, **facts: object) -> None:
        """Tells the guard, unless that is dead."""
        with suppress(OSError):
            self._guard.send(json.dumps(facts).encode())

    def clear(self) -> None:
        """Takes everything back, whatever of it fails."""
        try:
            self._made.close()
        except (OSError, RemusnetError) as error:
            self.say(note=f"while clearing up: {error}")

    def _end_program(self, program: Program, freezer: Freezer) -> None:
        freezer.kill()
        with suppress(OSError):
            os.kill(program.process, signal.SIGKILL)
        # All that it has left is this process's to wait for, too.
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            try:
                if os.waitpid(-1, os.WNOHANG) == (0, 0):
                    if not freezer.alive():
                        return
                    time.sleep(0.002)
            except ChildProcessError:
                return

    def _looking(self, kind: str) -> Callable[[], None]:
        """Raises Conflict where a device of this namespace is not as it was made."""
        held = (network.HELD,) if kind == USERSPACE else ()
        names = (network.BRIDGE, network.UPLINK, network.VIF, *held)
        probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._made.callback(probe.close)

        def look() -> None:
            for name in names:
                request = struct.pack("16sh14x", name.encode(), 0)
                try:
                    said = fcntl.ioctl(probe, _SIOCGIFFLAGS, request)
                except OSError:
                    raise Conflict(
                        f"somebody has deleted {name} of this live run: it can't go on, and was "
                        "taken back"
                    ) from None
                if not struct.unpack("16sh14x", said)[1] & _IFF_UP:
                    raise Conflict(
                        f"somebody has set {name} of this live run down: it can't go on, and was "
                        "taken back"
                    )

        return look


def _has_orphans(known: set[int]) -> bool:
    """Whether this process has living children but ``known``: they may have left the session."""
    with suppress(OSError):
        mine = Path(f"/proc/self/task/{os.getpid()}/children").read_text("ascii").split()
        for each in set(map(int, mine)) - known:
            with suppress(OSError):
                stat = Path(f"/proc/{each}/stat").read_text("ascii", errors="replace")
                if stat.rpartition(")")[2].split()[0] not in "ZX":
                    return True
    return False


def _kill(process: int) -> None:
    with suppress(OSError):
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


def _relay_ended() -> Exception:
    return Conflict("the relay of the published ports has ended: somebody has killed it")
