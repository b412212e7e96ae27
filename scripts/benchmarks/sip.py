"""The SIP server against Kamailio with one worker: CPU a call and a registration; a proxy hop.

Both serve sipp on loopback, ours with bindings in SQLite, committed before they are confirmed,
Kamailio with bindings in memory. CPU is that of the server's processes.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import sipmessage

from remusnet.sip.message import Request, parse
from remusnet.sip.message.build import tag_of
from remusnet.sip.message.uri import read_address, read_uri
from remusnet.sip.message.via import top
from scripts.benchmarks.actors import resident_mb
from scripts.benchmarks.kamailio import kamailio
from scripts.benchmarks.ratio import Ratio
from scripts.sip.sipp import HOST, Sipp, free_port
from tests.lib.sip_process import ServerProcess, exchange_udp, serving

CALLS, CALL_RATE = 2_000, 200
REGISTRATIONS, REGISTRATION_RATE = 6_000, 1_000
HOPS = 5_000
# Loads at which a server is asked to lose nothing, in turn.
CALL_RATES = (100, 200, 300, 400, 500, 600, 800, 1_000, 1_300, 1_600, 2_000, 2_400)
REGISTRATION_RATES = (500, 1_000, 1_500, 2_000, 3_000, 4_000, 6_000, 8_000, 12_000, 16_000)
CLEAN_SECONDS = 4
CONCURRENT, CONCURRENT_RATE, HELD_MS = 10_000, 250, 45_000
BINDINGS = 1_000_000
# Beyond this many calls under way sipp places no more.
_MOST = "20000"
_LONGEST_S = 300
_OPEN = ("--no-auth", "--domain", "example.org", "--min-expires", "1s")
# This load is one address's, and wanted.
_TRUSTING = '[flood]\ntrusted = ["127.0.0.0/8"]\n'


class Served(Protocol):
    """A server that sipp talks to, at ``port``."""

    port: int

    @property
    def pids(self) -> list[int]:
        """Its processes."""


class Ours:
    """A `ServerProcess` as `Served`."""

    def __init__(self, process: ServerProcess) -> None:
        self.process = process
        self.port = process.ports["udp"]

    @property
    def pids(self) -> list[int]:
        """Its process."""
        return [self.process.process.pid]


@contextmanager
def ratios() -> Iterator[list[Ratio]]:
    """All of them, with both servers up."""
    for program, package in (("sipp", "sip-tester"), ("kamailio", "kamailio")):
        if shutil.which(program) is None:
            raise SystemExit(f"bench: {program} is missing (Debian: {package})")
    with TemporaryDirectory(prefix="bench-sip-") as name, ExitStack() as stack:
        folder = Path(name)
        ours = stack.enter_context(remusnet(folder / "ours"))
        theirs = stack.enter_context(kamailio(folder / "theirs", free_port("udp")))
        # Server on one core, load on the other.
        for pid in (*ours.pids, *theirs.pids):
            os.sched_setaffinity(pid, {min(os.sched_getaffinity(0))})
        calls = {each: Calls(folder, each, stack) for each in (ours, theirs)}
        yield [
            _cpu("call", 1 / 4, calls[ours].cpu_a_call, calls[theirs].cpu_a_call),
            _cpu(
                "registration",
                1 / 6,
                partial(cpu_a_registration, folder, ours),
                partial(cpu_a_registration, folder, theirs),
            ),
            *_hops(),
            _highest("calls", calls[ours].clean_rate, calls[theirs].clean_rate),
            _highest(
                "registrations",
                partial(clean_registrations, folder, ours),
                partial(clean_registrations, folder, theirs),
            ),
            Ratio(
                f"memory, second {CONCURRENT:,} calls at once",
                "after the first",
                0.95,
                *_both(partial(concurrent_mb, folder)),
                unit="MB",
                name="memory",
                most_rounds=1,
            ),
            Ratio(
                f"a call, {BINDINGS:,} bindings",
                "with one",
                0.5,
                partial(cpu_among_many, folder),
                calls[ours].cpu_a_call,
                unit="CPU s",
                name="bindings",
            ),
        ]


def _hops() -> Iterator[Ratio]:
    for where, text, goal in (("a proxy", _FROM_PROXY, 4), ("a phone", _FROM_PHONE, 0)):
        sent = invites(text)
        yield Ratio(
            f"{HOPS:,} hops, from {where}",
            "sipmessage alone",
            goal,
            partial(our_hops, sent),
            partial(sipmessage_hops, sent),
            name="hops",
        )


@contextmanager
def remusnet(folder: Path) -> Iterator[Ours]:
    """Our server, over UDP."""
    folder.mkdir()
    file = folder / "sip.toml"
    file.write_text(f'listen = ["udp:{HOST}:0"]\ndomains = ["example.org"]\n{_TRUSTING}')
    store = ("--store", f"sqlite:{folder / 'sip.db'}")
    with serving(folder, str(file), *_OPEN, *store, listen=("udp",)) as process:
        yield Ours(process)


class Calls:
    """Calls through a server to a callee that has registered there."""

    def __init__(self, folder: Path, server: Served, stack: ExitStack) -> None:
        self._folder = folder
        self._server = server
        port = free_port("udp")
        callee = Sipp(folder / f"callee-{server.port}", "answer", "udp", port)
        stack.callback(callee.kill)
        enrol(server.port, "callee", port)

    def place(self, calls: int, rate: int) -> int:
        """How many of them were good."""
        words = ("-s", "callee", "-r", str(rate), "-m", str(calls), "-l", _MOST)
        return run(self._folder, self._server, "short", *words)

    def cpu_a_call(self) -> float:
        """CPU seconds."""
        before = cpu_s(self._server.pids)
        good = self.place(CALLS, CALL_RATE)
        return (cpu_s(self._server.pids) - before) / max(good, 1)

    def clean_rate(self) -> float:
        """Seconds a call, at the highest rate of `CALL_RATES` at which none is lost."""
        return clean(self.place, CALL_RATES)


def enrol(server: int, name: str, port: int) -> None:
    """Register ``name`` at a port of loopback."""
    to, contact = f"<sip:{name}@example.org>", f"<sip:{name}@{HOST}:{port}>"
    answer = exchange_udp(server, "REGISTER", "sip:example.org", to=to, contact=contact)
    if " 200 " not in answer.splitlines()[0]:
        raise SystemExit(f"bench: the callee was refused: {answer.splitlines()[0]}")


def run(folder: Path, server: Served, name: str, *words: str) -> int:
    """How many calls of a sipp that plays the scenario ``name`` were good."""
    ends = ("-recv_timeout", "20000", "-timeout", "300", f"{HOST}:{server.port}")
    own = folder / f"{name}-{time.monotonic_ns()}"
    caller = Sipp(own, name, "udp", free_port("udp"), *words, *ends)
    try:
        caller.wait(320)
        return caller.figures().good
    finally:
        caller.kill()


def registered(folder: Path, server: Served, count: int, rate: int) -> int:
    """How many of so many registrations were confirmed."""
    words = ("-s", f"u{time.monotonic_ns()}-", "-r", str(rate), "-m", str(count), "-l", _MOST)
    return run(folder, server, "enrol", *words)


def cpu_a_registration(folder: Path, server: Served) -> float:
    """CPU seconds."""
    before = cpu_s(server.pids)
    good = registered(folder, server, REGISTRATIONS, REGISTRATION_RATE)
    return (cpu_s(server.pids) - before) / max(good, 1)


def clean_registrations(folder: Path, server: Served) -> float:
    """Seconds a registration, at the highest rate at which none is lost."""
    return clean(partial(registered, folder, server), REGISTRATION_RATES)


def clean(place: Callable[[int, int], int], rates: tuple[int, ...]) -> float:
    """Seconds each, at the highest of ``rates`` at which all of a few seconds' were good."""
    best = 0
    for rate in rates:
        count = rate * CLEAN_SECONDS
        begun = time.monotonic()
        # A generator that can't keep its own rate says nothing about the server.
        if place(count, rate) < count or time.monotonic() - begun > CLEAN_SECONDS * 2 + 6:
            break
        best = rate
    return 1 / best if best else float("inf")


def cpu_s(pids: list[int]) -> float:
    """What processes have used, user and system, in seconds."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def concurrent_mb(folder: Path) -> tuple[float, float]:
    """What a server has in memory with 10,000 calls up, the first time and the second, in MB."""
    own = folder / f"concurrent-{time.monotonic_ns()}"
    found = []
    with remusnet(own) as server, ExitStack() as stack:
        calls = Calls(own, server, stack)
        del calls
        for wave in range(2):
            words = ["-s", "callee", "-r", str(CONCURRENT_RATE), "-m", str(CONCURRENT)]
            words += ["-l", _MOST, "-d", str(HELD_MS)]
            words += ["-timeout", str(_LONGEST_S)]
            place = f"{HOST}:{server.port}"
            caller = Sipp(own / f"wave{wave}", "held", "udp", free_port("udp"), *words, place)
            stack.callback(caller.kill)
            most = 0.0
            # On a machine that loses messages sipp may outstay its own timeout, for ever.
            gives_up = time.monotonic() + _LONGEST_S + 30
            while caller.process.poll() is None and time.monotonic() < gives_up:
                time.sleep(0.5)
                most = max(most, resident_mb(server.pids[0]))
            good = caller.figures().good
            if good < CONCURRENT:
                print(f"bench: {CONCURRENT - good} of {CONCURRENT:,} calls at once were lost")
            found.append(most)
    return found[0], found[1]


def _both(measure: Callable[[], tuple[float, float]]) -> tuple[Callable[[], float], ...]:
    """Two actions, of which the first measures both."""
    found: list[float] = []

    def second() -> float:
        found[:] = measure()
        return found[1]

    return second, lambda: found[0]


def cpu_among_many(folder: Path) -> float:
    """CPU seconds a call to one of a million, each time another, most of them in no memory."""
    own = folder / f"many-{time.monotonic_ns()}"
    own.mkdir()
    port = free_port("udp")
    with remusnet(own / "server") as server:
        pass  # it has made the tables
    fill(own / "server" / "sip.db", port)
    (own / "again").mkdir()
    (own / "server" / "sip.db").rename(own / "again" / "sip.db")
    toml = own / "again" / "sip.toml"
    toml.write_text(f'listen = ["udp:{HOST}:0"]\ndomains = ["example.org"]\n{_TRUSTING}')
    words = (str(toml), *_OPEN, "--store", f"sqlite:{own / 'again' / 'sip.db'}")
    with serving(own / "again", *words, listen=("udp",)) as process, ExitStack() as stack:
        server = Ours(process)
        found = process.status()["bindings"]
        if found != BINDINGS:
            raise SystemExit(f"bench: {found:,} bindings instead of {BINDINGS:,}")
        callee = Sipp(own / "callee", "answer", "udp", port)
        stack.callback(callee.kill)
        names = own / "names.csv"
        step = BINDINGS // CALLS
        rows = "\n".join(f"u{number}" for number in range(0, BINDINGS, step))
        names.write_text(f"SEQUENTIAL\n{rows}\n")
        before = cpu_s(server.pids)
        words = ("-inf", str(names), "-r", str(CALL_RATE), "-m", str(CALLS), "-l", _MOST)
        good = run(own, server, "among", *words)
        if good < CALLS:
            print(f"bench: {CALLS - good} of {CALLS:,} calls were lost")
        return (cpu_s(server.pids) - before) / max(good, 1)


def fill(file: Path, port: int) -> None:
    """Put a million bindings into a store, all at one port of loopback."""
    rows = (
        (
            f"u{number}@example.org".encode(),
            f"sip:u{number}@{HOST}:{port}".encode(),
            time.time() + 3_600,
            1000,
            b"fill",
            1,
            b"",
            f"udp:{HOST}:{port}",
        )
        for number in range(BINDINGS)
    )
    with sqlite3.connect(file) as store:
        store.executemany(
            "INSERT INTO bindings (aor, contact, expires, q, call_id, cseq, path, source) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
    store.close()


# As a phone sends it that says little, and as it comes from another proxy.
_FROM_PHONE = """\
INVITE sip:callee@example.org SIP/2.0
Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK776asdhds;rport
From: Alice <sip:alice@example.org>;tag=1928301774
To: Bob <sip:callee@example.org>
Call-ID: a84b4c76e66710@192.0.2.1
CSeq: 314159 INVITE
Contact: <sip:alice@192.0.2.1:5060>
Max-Forwards: 70
User-Agent: bench
Allow: INVITE, ACK, CANCEL, BYE, OPTIONS
Content-Type: application/sdp
Content-Length: 4

v=0
"""
_FROM_PROXY = """\
INVITE sip:callee@example.org SIP/2.0
Via: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKf1.776asdhds
Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK776asdhds;rport=5060;received=192.0.2.1
Record-Route: <sip:192.0.2.9;lr;ftag=1928301774>
Max-Forwards: 69
From: "Alice" <sip:alice@example.org>;tag=1928301774
To: <sip:callee@example.org>
Call-ID: a84b4c76e66710@192.0.2.1
CSeq: 314159 INVITE
Contact: <sip:alice@192.0.2.1:5060;transport=udp>
Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, REFER, MESSAGE, SUBSCRIBE, INFO, UPDATE, PRACK
Supported: replaces, outbound, 100rel, timer, gruu
Session-Expires: 1800
Min-SE: 90
User-Agent: bench
Allow-Events: presence, message-summary, refer
P-Asserted-Identity: <sip:alice@example.org>
Privacy: none
Date: Sat, 28 Nov 2026 23:29:00 GMT
Content-Type: application/sdp
Content-Length: 4

v=0
"""


def invites(text: str) -> list[bytes]:
    """`HOPS` of them, each another, so that nothing is known from the one before."""
    wire = text.replace("\n", "\r\n").encode()
    return [
        wire.replace(b"1928301774", b"%d" % number).replace(b"asdhds", b"%d" % number)
        for number in range(HOPS)
    ]


_VIA = "SIP/2.0/UDP 192.0.2.100:5060;branch=z9hG4bKhop"
_RECORD = "<sip:192.0.2.100:5060;lr>"


def our_hops(sent: list[bytes]) -> None:
    """What a proxy does: parse, read by what it finds transaction, dialog and callee, put the own
    Via and Record-Route on top, count Max-Forwards down, serialise."""
    via, record = _VIA.encode(), _RECORD.encode()
    for invite in sent:
        request = parse(invite)
        assert isinstance(request, Request)
        assert top(request).branch
        assert read_uri(request.uri)
        assert tag_of(request.get("from") or b"")
        assert not tag_of(request.get("to") or b"")
        assert request.call_id
        assert request.cseq
        assert not request.values("route")
        assert read_address(request.values("contact")[0])
        copy = request.copy()
        copy.uri = b"sip:callee@192.0.2.2:5060"
        copy.set("Max-Forwards", b"%d" % (int(copy.get("max-forwards") or b"70") - 1))
        copy.push("Record-Route", record)
        copy.push("Via", via)
        copy.serialize()


def sipmessage_hops(sent: list[bytes]) -> None:
    """The same, with sipmessage."""
    via = sipmessage.Via.parse(_VIA)
    record = sipmessage.Address.parse(_RECORD)
    uri = sipmessage.URI.parse("sip:callee@192.0.2.2:5060")
    for invite in sent:
        request = sipmessage.Message.parse(invite)
        assert isinstance(request, sipmessage.Request)
        assert request.via[0].parameters["branch"]
        assert request.uri
        sender, callee = request.from_address, request.to_address
        assert sender.parameters["tag"]
        assert "tag" not in callee.parameters
        assert request.call_id
        assert request.cseq
        assert not request.route
        assert request.contact[0]
        request.uri = uri
        request.max_forwards -= 1
        request.record_route = [record, *request.record_route]
        request.via = [via, *request.via]
        bytes(request)


def _cpu(what: str, goal: float, ours: Callable[[], float], theirs: Callable[[], float]) -> Ratio:
    return Ratio(
        f"CPU, a {what}", "Kamailio, one worker", goal, ours, theirs, unit="CPU s", name=what
    )


def _highest(what: str, ours: Callable[[], float], theirs: Callable[[], float]) -> Ratio:
    """Seconds each, at the highest clean rate: 1 ms stands for 1,000 a second."""
    return Ratio(
        f"{what}, at the highest clean rate",
        "Kamailio",
        0,
        ours,
        theirs,
        unit="each s",
        name=f"clean-{what}",
        most_rounds=1,
    )
