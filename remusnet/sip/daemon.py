"""A server as a process: signals, its first line, events, control, metrics, its end."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from remusnet.actors import Event, JsonLines
from remusnet.errors import CheckFailed, InvalidInput, RemusnetError, quoted
from remusnet.sip.config import Config
from remusnet.sip.control import Control
from remusnet.sip.metrics import serve_metrics
from remusnet.sip.orders import obey
from remusnet.sip.server import Server

# The store's, listeners, control, metrics, and TLS connections that are not open yet.
_OTHER_FILES = 256


def serve(config: Config, control: Path, reload: Callable[[], Config] | None) -> None:
    """Run until SIGTERM or SIGINT; then return.

    Raises RemusnetError where it can't start, and CheckFailed where it ended by a failure that
    escalated beyond the top.
    """
    with ExitStack() as stack:
        events = _events(config, stack)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(config, control, reload, events))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's loop where it is installed."""
    with suppress(ImportError):
        import uvloop

        factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
        return factory
    return None


def _events(config: Config, stack: ExitStack) -> Callable[[Event], None] | None:
    if config.events is None:
        return None
    try:
        # Appended to: operators look for the failures before a crash of the process.
        fd = os.open(config.events, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise InvalidInput(f"events file {quoted(config.events)}: {error.strerror}") from None
    file = os.fdopen(fd, "w", encoding="utf-8")
    stack.callback(_close, file)
    return JsonLines(file, _say)


def _close(file: TextIO) -> None:
    with suppress(OSError):  # its disk is full: that was said
        file.close()


async def _serve(
    config: Config,
    path: Path,
    reload: Callable[[], Config] | None,
    events: Callable[[Event], None] | None,
) -> None:
    server = Server(with_room_for_files(config, _say), on_event=events, tell=_say)
    control = Control(path, lambda order: obey(server, order))
    await server.start()
    try:
        await control.open()
        stop_metrics = serve_metrics(config.metrics, server) if config.metrics else None
    except RemusnetError:
        await server.stop()
        raise
    collect_seldom_and_little()
    loop = asyncio.get_running_loop()
    wanted = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, wanted.set)
    tasks: set[asyncio.Task[None]] = set()
    one_at_a_time = asyncio.Lock()

    def reread() -> None:
        task = loop.create_task(_reload(server, reload, one_at_a_time))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    loop.add_signal_handler(signal.SIGHUP, reread)
    _say(server.listening)
    ending = asyncio.ensure_future(server.system.ended())
    stopping = asyncio.ensure_future(wanted.wait())
    await asyncio.wait([ending, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    control.close()
    if stop_metrics is not None:
        stop_metrics()
    await server.stop()
    with suppress(Exception):
        await ending
    if server.system.failure is not None:
        raise CheckFailed(f"the server ended: {server.system.failure}")


def collect_seldom_and_little() -> None:
    """Look for cycles less often than Python does, and never through much at once.

    The objects of now stay. Calls leave few cycles behind: to look for them after each 700 new
    objects is a fifth of all the work. Each look at those that have survived one goes through all
    since the look before, and all calls wait for it: 400,000 objects, which 8,000 transactions are,
    took 190 ms. 30,000 take 15 ms. All objects are looked at after some 40 million new ones.
    """
    gc.freeze()
    gc.set_threshold(5_000, 5, 1_600)


def with_room_for_files(config: Config, tell: Callable[[str], None]) -> Config:
    """Let this process open as many files as it may have connections; else fewer of those.

    The usual limit is 1,024: where it is reached no connection is accepted, and none is made.
    """
    wanted = config.limits.connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    most = soft - _OTHER_FILES if soft > 2 * _OTHER_FILES else soft // 2
    if most >= config.limits.connections:
        return config
    tell(f"at most {most} connections: this process may open {soft} files (ulimit -n)")
    return replace(config, limits=replace(config.limits, connections=most))


async def _reload(
    server: Server, reload: Callable[[], Config] | None, one_at_a_time: asyncio.Lock
) -> None:
    """Take over what a running server can; a file with mistakes changes nothing."""
    if reload is None:
        _say("SIGHUP: nothing to read again, this server was started without a file")
        return
    try:
        # Of two at once the second would find its addresses taken, by the first.
        async with one_at_a_time:
            changed = await server.reload(with_room_for_files(reload(), _say))
    except RemusnetError as error:
        _say(f"SIGHUP: nothing is changed: {error}")
    else:
        _say(f"SIGHUP: {changed}; {server.listening}")


def _say(text: str) -> None:
    """Tell the operator. A pipe that is closed at its other end ends no call."""
    with suppress(OSError, AttributeError):  # the latter: there was none from the start (2>&-)
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
