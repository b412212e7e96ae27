"""The guard: the process that was called. It starts the runner, hears it, and outlives it.

Whatever ends the runner, the guard clears up what is left of it; whatever ends the guard, the
runner does. Signals are passed on: the first asks the program to end, the second ends all at once.
"""

from __future__ import annotations

import array
import gc
import json
import os
import pty
import select
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from remusnet.errors import RemusnetError
from remusnet.live import runner
from remusnet.live.epochs import EpochLog, Epochs
from remusnet.live.keeper import Board, Counts
from remusnet.live.leftovers import Registration
from remusnet.live.orders import RunOrder
from remusnet.live.program import find_program
from remusnet.live.relay import open_doors
from remusnet.live.taps import Tap, Tapped, all_frames

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_TICK_MS = 500
_LARGEST_MESSAGE = 1 << 16
_PIECE = 1 << 16


class Ended(RemusnetError):
    """The run could not begin or go on; the exit code is its error's."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Ready:
    """A run whose program is about to start. ``plug``: None without a policy."""

    address: str
    gateway: str
    subnet: str
    plug: str | None
    freezer: str
    account: str
    device: str
    process: int


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """All that a run has left to be measured.

    ``inner``: what the program sent, at the vif; ``outer``: both ways, at the uplink. ``code``: the
    program's exit code, None where it was never seen to end. ``begun_ns``: the plug held by then,
    and the program did not run yet. ``signal``: that ended the run, 0 for none. ``failed_ns``,
    ``back_ns``: of the outage. ``lost``: frames held when the primary died. ``unseen``: frames that
    the taps have missed. ``by_itself``: the program ended unasked.
    """

    ready: Ready
    inner: Tapped
    outer: Tapped
    epochs: Epochs
    keeper: Counts
    begun_ns: int
    code: int | None
    signal: int
    dropped: int
    failed_ns: int | None
    back_ns: int | None
    lost: int
    unseen: int
    by_itself: bool
    notes: tuple[str, ...]


@dataclass(slots=True)
class Listener:
    """What the guard calls; each does nothing unless the caller gives a function."""

    ready: Callable[[Ready], None] = lambda _: None
    note: Callable[[str], None] = lambda _: None
    output: Callable[[bytes], None] = lambda _: None
    tick: Callable[[Tapped, Tapped, Epochs, Counts], None] = lambda *_: None


@dataclass(slots=True)
class _Heard:
    """What the runner has said so far."""

    ready: Ready | None = None
    taps: tuple[Tap, ...] = ()
    error: tuple[str, int] | None = None
    code: int | None = None
    begun_ns: int = 0
    ended: bool = False
    by_itself: bool = False
    signal: int = 0
    dropped: int = 0
    failure: dict[str, int] | None = None
    notes: list[str] = field(default_factory=list)


def run_live(order: RunOrder, listener: Listener, *, live: bool = False) -> Recorded:
    """Runs ``order``, from its first device until nothing of it is left.

    ``live``: give ``listener.tick`` what the taps have seen since, twice a second. Raises what the
    run has failed with. Only the main thread may call it, and no other may run: it forks.
    """
    find_program(order.command)
    doors = open_doors(order.published)
    with ExitStack() as stack:
        for door in doors:
            stack.callback(door.socket.close)
        registration = Registration()
        stack.callback(registration.forget)
        stack.callback(registration.clear)
        log, board = EpochLog(), Board()
        stack.callback(log.close)
        master, terminal = pty.openpty() if order.terminal else (-1, None)
        tools = runner.Tools(
            registration=registration,
            log=log,
            board=board,
            doors=tuple(doors),
            terminal=terminal,
            environment=dict(os.environ),
            rootless=os.geteuid() != 0,
        )
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stack.callback(ours.close)
        process = _fork(order, tools, ours, theirs)
        stack.callback(_reap, process)
        theirs.close()
        if terminal is not None:
            os.close(terminal)
            stack.callback(os.close, master)
        with _passing_on(process) as came:
            heard = _listen(ours, process, master, listener, log, board, live)
        if heard.error is not None:
            raise Ended(*heard.error)
        if heard.ready is None or not heard.ended:
            raise Ended(
                "the live run's own process was killed; what it had made has been cleared away", 1
            )
        for tap in heard.taps:
            tap.stop()
        inner, outer = all_frames(heard.taps)
        failure = heard.failure or {}
        return Recorded(
            ready=heard.ready,
            inner=inner,
            outer=outer,
            epochs=log.read(),
            keeper=board.read(),
            begun_ns=heard.begun_ns,
            code=heard.code,
            signal=came[0] if came else heard.signal,
            dropped=heard.dropped,
            failed_ns=failure.get("failed_ns"),
            back_ns=failure.get("back_ns"),
            lost=failure.get("lost", 0),
            unseen=sum(each.lost for each in heard.taps),
            by_itself=heard.by_itself and not came,
            notes=tuple(heard.notes),
        )


def _fork(order: RunOrder, tools: runner.Tools, ours: socket.socket, theirs: socket.socket) -> int:
    parent = os.getpid()
    gc.collect()
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        ours.close()
        code = runner.run(order, tools, theirs, parent)
    except BaseException:  # noqa: BLE001 - a bug: its trace helps to mend it
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


@contextmanager
def _passing_on(process: int) -> Iterator[list[int]]:
    """Signals go to the runner as SIGTERM; a second one is SIGKILL. Those that came, in order."""
    came: list[int] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM if len(came) == 1 else signal.SIGKILL)

    before = {}
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, pass_on)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _reap(process: int) -> None:
    """The runner has ended, by itself or now."""
    with suppress(ChildProcessError):
        if os.waitpid(process, os.WNOHANG) == (0, 0):
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)


def _listen(
    ours: socket.socket,
    process: int,
    master: int,
    listener: Listener,
    log: EpochLog,
    board: Board,
    live: bool,
) -> _Heard:
    """Listens until the runner has ended."""
    heard = _Heard()
    events = select.poll()
    events.register(ours, select.POLLIN)
    if master >= 0:
        events.register(master, select.POLLIN)
    over = False
    while not over:
        found = dict(events.poll(_TICK_MS))
        if master in found and not _pass_output(master, listener):
            events.unregister(master)
        if ours.fileno() in found:
            over = not _hear(ours, heard, listener)
        if not found and heard.taps and live:
            inner, outer = (each.new() for each in heard.taps)
            listener.tick(inner, outer, log.read(), board.read())
    with suppress(ChildProcessError):
        os.waitpid(process, 0)
    while master >= 0 and _pass_output(master, listener):
        pass
    return heard


def _pass_output(master: int, listener: Listener) -> bool:
    """Passes on what the program has printed; false where no process can print any more."""
    ready, _, _ = select.select([master], [], [], 0)
    if not ready:
        return False
    try:
        piece = os.read(master, _PIECE)
    except OSError:
        return False
    if piece:
        listener.output(piece)
    return bool(piece)


def _let_go(ours: socket.socket) -> None:
    """The runner, which waits for it, goes on; if it was killed meanwhile its end is seen next."""
    with suppress(BrokenPipeError):
        ours.send(runner.GO)


def _hear(ours: socket.socket, heard: _Heard, listener: Listener) -> bool:
    """One message; false at the end of them."""
    message, extra, _, _ = ours.recvmsg(_LARGEST_MESSAGE, socket.CMSG_SPACE(8))
    if not message:
        return False
    facts: dict[str, Any] = json.loads(message)
    if "ready" in facts:
        descriptors = array.array("i")
        for _, _, data in extra:
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
        heard.taps = tuple(Tap(socket.socket(fileno=each)) for each in descriptors)
        for tap in heard.taps:
            tap.start()
        heard.ready = Ready(**{name: facts[name] for name in Ready.__slots__})
        _let_go(ours)
    elif "begun_ns" in facts:
        heard.begun_ns = int(facts["begun_ns"])
        if heard.ready is not None:
            listener.ready(heard.ready)
        _let_go(ours)
    elif "error" in facts:
        heard.error = (str(facts["error"]), int(facts["exit_code"]))
    elif "note" in facts:
        heard.notes.append(str(facts["note"]))
        listener.note(str(facts["note"]))
    elif "failed" in facts:
        listener.note(f"the primary has failed: {facts['lost']} held frames are lost")
    elif "back" in facts:
        listener.note(
            "the outage is over: the program goes on without protection (it could not be rolled "
            "back to its last checkpoint)"
        )
    elif "ended" in facts:
        heard.ended = True
        heard.code = facts["code"]
        heard.by_itself = bool(facts["by_itself"])
        heard.signal, heard.dropped = int(facts["signal"]), int(facts["dropped"])
        heard.failure = facts["failure"]
    return True
