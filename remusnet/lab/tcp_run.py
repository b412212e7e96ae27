"""What runs inside the kernel: connections of real TCP, and checkpoints at their times.

One thread tells the plugs, others are clients and servers: a client asks and waits as the emulated
one does, a server answers at once. While the guest is paused, what comes from it and to it waits in
plugs of its own before the vif; its timers run on, unseen.

Run as ``python -m remusnet.lab.tcp_run``, in the directory ``$LAB_JOB``; see
`remusnet.lab.tcp_script` for its files.
"""

from __future__ import annotations

import os
import resource
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from remusnet.kernel.wire.codec import plug_message
from remusnet.kernel.wire.messages import PlugAction
from remusnet.kernel.wire.netlink import Netlink
from remusnet.lab import tcp_script as script
from remusnet.lab.driving import VIF, beginning, protect, sleep_until
from remusnet.lab.tcp_bed import (
    CLIENT,
    CLIENT_ADDRESS,
    GUEST,
    GUEST_ADDRESS,
    HOP,
    make_bed,
    plugged,
    within,
)
from remusnet.lab.tcp_script import Connection, Group, Terms

_INFO_BYTES = 104
_COPIES_AT = 100  # tcpi_total_retrans of struct tcp_info (linux/tcp.h)
_CHUNK = 1 << 20
_FILES = 65_536
_STACK = 256 << 10


def main() -> None:
    """Read the terms, do it, write what was seen."""
    place = Path(os.environ["LAB_JOB"])
    terms = Terms.read((place / script.TERMS).read_text(encoding="utf-8"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, _FILES))
    threading.stack_size(_STACK)
    make_bed(terms)
    run = _Run(terms, place / script.DONE)
    run.run()
    seen = script.written_seen(run.connections(), run.late_ns)
    (place / script.SEEN).write_text(seen, encoding="utf-8")
    # Connections that have not finished are cut off.
    os._exit(0)


class _Plug:
    """One plug, told through a socket of its own namespace."""

    def __init__(self, namespace: str | None, device: str) -> None:
        with within(namespace):
            self._index = socket.if_nametoindex(device)
            self._netlink = Netlink()

    def tell(self, action: PlugAction, limit: int = 0) -> None:
        self._netlink.do(plug_message(self._index, action, limit), action.name)


class _Run:
    def __init__(self, terms: Terms, done: Path) -> None:
        self._terms = terms
        self._done = done
        self.late_ns: list[int] = []
        self._held = _Plug(None, protect(terms.policy, terms.classifier, decouple=terms.decouple))
        self._pauses = list(self._pausing())
        self._ends: dict[tuple[int, int], _Client] = {}
        self._servers = [_Server(number, each, terms) for number, each in enumerate(terms.groups)]

    def _pausing(self) -> Iterator[_Plug]:
        """Plugs for the guest's pauses, open; none where it never pauses."""
        if all(suspend == resume for suspend, resume, _ in self._terms.checkpoints):
            return
        ends = [(HOP, "eth0"), (HOP, "g0")]
        for namespace, device in ends if self._terms.decouple else [(GUEST, "eth0"), (None, VIF)]:
            plugged(namespace, device)
            plug = _Plug(namespace, device)
            plug.tell(PlugAction.RELEASE_INDEFINITE)
            yield plug

    def run(self) -> None:
        """All steps at their times, until the scenario's end."""
        begin_ns = beginning()
        for server in self._servers:
            server.start()
        self._held.tell(PlugAction.LIMIT, self._terms.limit)
        self._held.tell(PlugAction.BUFFER)  # apply leaves it open
        told_ns = 0
        for time_ns, step in self._steps():
            sleep_until(begin_ns + time_ns)
            self.late_ns.append(time.time_ns() - begin_ns - time_ns)
            step()
            if time_ns - told_ns > 10**9:
                told_ns = time_ns
                self._done.write_text(str(time_ns), encoding="ascii")
        sleep_until(begin_ns + self._terms.duration_ns)

    def _steps(self) -> list[tuple[int, Callable[[], None]]]:
        """The steps in order of time; at equal times suspend, resume, commit, then beginnings."""
        steps: list[tuple[int, Callable[[], None]]] = []
        for suspend_ns, resume_ns, commit_ns in self._terms.checkpoints:
            steps += [(suspend_ns, self._suspend), (resume_ns, self._resume)]
            steps.append((commit_ns, self._commit))
        for number, group in enumerate(self._terms.groups):
            for which, start_ns in enumerate(group.starts_ns):
                client = _Client(number, group, self._terms)
                self._ends[number, which] = client
                steps.append((start_ns, client.start))
        steps.sort(key=lambda step: step[0])
        return [step for step in steps if step[0] < self._terms.duration_ns]

    def _suspend(self) -> None:
        for plug in self._pauses:
            plug.tell(PlugAction.BUFFER)
        self._held.tell(PlugAction.BUFFER)

    def _resume(self) -> None:
        for plug in self._pauses:
            plug.tell(PlugAction.RELEASE_INDEFINITE)

    def _commit(self) -> None:
        self._held.tell(PlugAction.RELEASE_ONE)

    def connections(self) -> Iterator[Connection]:
        """What became of each."""
        for (group, number), client in self._ends.items():
            copies = client.copies() + self._servers[group].copies(client.port)
            yield Connection(group, number, client.answers_ns, client.done_ns, copies)


class _Server(threading.Thread):
    """Answers each request of its group at once."""

    def __init__(self, number: int, group: Group, terms: Terms) -> None:
        super().__init__(daemon=True)
        self._group = group
        self._nodelay = (terms.peer if group.by_guest else terms.guest).nodelay
        self._answer = bytes(group.response)
        self._ends: dict[int, socket.socket] = {}
        with within(CLIENT if group.by_guest else GUEST):
            self._door = socket.create_server(("", script.FIRST_PORT + number), backlog=4096)

    def run(self) -> None:
        while True:
            end, (_, port) = self._door.accept()
            self._ends[port] = end
            threading.Thread(target=self._serve, args=(end,), daemon=True).start()

    def _serve(self, end: socket.socket) -> None:
        if self._nodelay:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(OSError):
            while True:
                _receive(end, self._group.request)
                end.sendall(self._answer)

    def copies(self, port: int) -> int:
        """How many segments went to the client at ``port`` again."""
        return _copies(self._ends[port]) if port in self._ends else 0


class _Client(threading.Thread):
    """Asks, waits for the whole answer, thinks, and asks again."""

    def __init__(self, number: int, group: Group, terms: Terms) -> None:
        super().__init__(daemon=True)
        self._group = group
        address = CLIENT_ADDRESS if group.by_guest else GUEST_ADDRESS
        self._server = address, script.FIRST_PORT + number
        self._nodelay = (terms.guest if group.by_guest else terms.peer).nodelay
        self._end: socket.socket | None = None
        self.answers_ns: list[int] = []
        self.done_ns: int | None = None
        self.port = 0

    def run(self) -> None:
        group = self._group
        request = bytes(group.request)
        with within(GUEST if group.by_guest else CLIENT):
            end = self._end = socket.socket()
        if self._nodelay:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begun_ns = time.monotonic_ns()
        with suppress(OSError):
            end.connect(self._server)
            self.port = end.getsockname()[1]
            for number in range(group.exchanges):
                if number:
                    time.sleep(group.think_ns / 1e9)
                asked_ns = time.monotonic_ns()
                end.sendall(request)
                _receive(end, group.response)
                self.answers_ns.append(time.monotonic_ns() - asked_ns)
            self.done_ns = time.monotonic_ns() - begun_ns

    def copies(self) -> int:
        """What it sent again."""
        return _copies(self._end) if self._end is not None else 0


def _receive(end: socket.socket, size: int) -> None:
    while size:
        got = len(end.recv(min(size, _CHUNK)))
        if not got:
            raise ConnectionError("the other side has gone")
        size -= got


def _copies(end: socket.socket) -> int:
    info = end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
    (copies,) = struct.unpack_from("=I", info, _COPIES_AT)
    return int(copies)


if __name__ == "__main__":
    main()
