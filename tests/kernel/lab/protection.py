"""What tests of apply and remove share: plans, looks at the kernel, and a kernel that fails."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from remusnet.kernel.change.apply import apply
from remusnet.kernel.change.remove import remove
from remusnet.kernel.change.verify import verify
from remusnet.kernel.state.observe import observe
from remusnet.kernel.wire.codec import plug_message
from remusnet.kernel.wire.messages import PlugAction
from remusnet.kernel.wire.netlink import Answer, Netlink
from remusnet.plan.plan import CLASSIFIERS, Plan, build_plan
from remusnet.policy import PRESETS
from remusnet.results.protection import Applied, Removed, Verified
from tests.kernel.lab.bed import VIF, Bed, open_bed

RATE, INTERVAL_NS = 10**9, 200_000_000
BUFFER, SINK = "ifb-1.0", "sink-1.0"
LIMIT = 10_000_000

EACH = [(policy, classifier) for policy in PRESETS for classifier in CLASSIFIERS]
"""Every shipped policy in the words of every classifier."""


@dataclass(frozen=True, slots=True)
class Site:
    """Dom0 of a test bed, and a run directory of its own."""

    bed: Bed
    run_dir: Path

    def plan(
        self,
        policy: str = "tcp-only",
        classifier: str = "u32",
        *,
        vifs: Sequence[str] = (VIF,),
        buffer: str | None = None,
        limit: int = LIMIT,
        decouple: bool = True,
    ) -> Plan:
        """A plan of a shipped policy."""
        return build_plan(
            vifs,
            PRESETS[policy],
            classifier=classifier,
            buffer=buffer,
            rate=RATE,
            interval_ns=INTERVAL_NS,
            limit=limit,
            decouple=decouple,
        )

    def apply(self, plan: Plan, netlink: Netlink | None = None) -> Applied:
        """Applies in Dom0."""
        with self.bed.dom0.entered():
            return apply(
                plan, rate=RATE, interval_ns=INTERVAL_NS, run_dir=self.run_dir, netlink=netlink
            )

    def remove(
        self,
        *vifs: str,
        force: bool = False,
        drop: bool = False,
        netlink: Netlink | None = None,
        longest_listen: float = 0,
    ) -> Removed:
        """Removes in Dom0; it listens for drivers where a test says so."""
        with self.bed.dom0.entered():
            return remove(
                vifs or (VIF,),
                run_dir=self.run_dir,
                force=force,
                drop=drop,
                netlink=netlink,
                longest_listen=longest_listen,
            )

    def program(self, *words: str) -> tuple[int, str, str]:
        """``remusnet WORDS...`` as a user types it in Dom0: exit code, stdout and stderr."""
        done = self.bed.dom0.remusnet(*words, env={"REMUSNET_RUN_DIR": str(self.run_dir)})
        return done.returncode, done.stdout, done.stderr

    def verify(self, *vifs: str) -> tuple[Verified, ...]:
        """Verifies in Dom0."""
        with self.bed.dom0.entered():
            return verify(vifs, run_dir=self.run_dir)[0]

    def agrees(self) -> bool:
        """Whether something is protected, and all of it is as applied."""
        found = self.verify()
        return bool(found) and all(each.agrees for each in found)

    def looks(self) -> dict[str, object]:
        """All that Dom0 has of devices, qdiscs and filters; numbers of devices as names."""
        with self.bed.dom0.entered(), Netlink() as netlink:
            seen = observe(netlink)
        names = {each.index: each.name for each in seen.devices.values()}
        return {
            "devices": {n: (d.kind, d.alias, d.up) for n, d in seen.devices.items()},
            "roots": {names[i]: q.kind for i, q in seen.roots.items() if q.handle},
            "ingress": {names[i]: q.kind for i, q in seen.ingress.items()},
            "filters": {
                vif: [
                    (replace(f, target=0, sink=None), names.get(f.target), names.get(f.sink or 0))
                    for f in filters
                ]
                for vif, filters in seen.filters.items()
            },
        }

    def changed(self, before: dict[str, object]) -> list[str]:
        """Which parts of `looks` differ from ``before``; whole, they are a thousand lines."""
        return [key for key, found in self.looks().items() if found != before[key]]

    def files(self) -> set[str]:
        """What is in the run directory beside the locks of who changes and who watches."""
        return {path.name for path in self.run_dir.glob("*")} - {"lock", "watch.lock"}

    def plug(self, action: PlugAction, device: str = BUFFER) -> None:
        """Tells the plug something, as a driver would."""
        with self.bed.dom0.entered(), Netlink() as netlink:
            netlink.do(plug_message(socket.if_nametoindex(device), action), action.name)

    def shown(self) -> str:
        """What ``ip`` and ``tc`` say of a decoupled vif, without numbers given by chance."""
        dom0 = self.bed.dom0
        texts = [
            dom0.ip(f"-d link show {BUFFER}"),
            dom0.ip(f"-d link show {SINK}"),
            dom0.tc(f"qdisc show dev {BUFFER}"),
            dom0.tc(f"qdisc show dev {SINK}"),
            dom0.tc(f"qdisc show dev {VIF}"),
            dom0.tc(f"filter show dev {VIF} parent ffff:"),
        ]
        text = "\n".join(texts)
        text = re.sub(r"(?m)^\d+: ", "", text)
        text = re.sub(r"link/ether \S+", "", text)
        text = re.sub(r"\tindex \d+ ref", "\tindex N ref", text)
        return re.sub(r"qdisc (plug|pfifo) \w+:", r"qdisc \1 N:", text)


class ReusedBed:
    """A bed for many tests (one takes a second to make). Leaving the context removes it."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._bed: Bed | None = None

    def bed(self) -> Bed:
        """The bed; a new one where the last was discarded."""
        if self._bed is None:
            self._bed = self._stack.enter_context(open_bed())
        return self._bed

    def discard(self) -> None:
        """The bed is not as it was: the next test gets another."""
        self._stack.close()
        self._bed = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.discard()


class FailingNetlink(Netlink):
    """The kernel fails once: ``fault`` answers the message number ``at`` (from 1) in its place.

    ``fault`` gets a function that sends the message after all. ``sent``: how many have been sent.
    """

    def __init__(self, at: int, fault: Callable[[Callable[[], Answer]], Answer]) -> None:
        super().__init__()
        self._at = at
        self._fault = fault
        self.sent = 0

    def ask(self, messages: Sequence[bytes]) -> list[Answer]:
        """One by one, so that a fault can come between two messages of a batch."""
        return [self._one(each) for each in messages]

    def _one(self, request: bytes) -> Answer:
        def send() -> Answer:
            return super(FailingNetlink, self).ask([request])[0]

        self.sent += 1
        return self._fault(send) if self.sent == self._at else send()


def refusing(number: int) -> Callable[[Callable[[], Answer]], Answer]:
    """A fault: the kernel does not do it, and answers with this errno."""
    return lambda _send: Answer(number, "injected")


def dying(send: Callable[[], Answer]) -> Answer:
    """A fault: the kernel does it, and the process is gone as after ``kill -9``."""
    send()
    os._exit(_DIED)


class Killed(BaseException):
    """Stands for ``kill -9`` where a child process for each point would take too long."""


def stopping(send: Callable[[], Answer]) -> Answer:
    """A fault: the kernel does it, and nothing comes after that (see `killed`)."""
    send()
    raise Killed


_DIED = 77


def dies(run: Callable[[], object]) -> bool:
    """Runs it in a child process; whether that died of `dying`, instead of coming to its end."""
    child = os.fork()
    if child == 0:
        try:
            run()
        except BaseException:  # noqa: BLE001 - the child must not go on as a second pytest
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, _DIED), "the child failed by itself"
    return status == _DIED


def killed(run: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Runs it; whether `stopping` has ended it. As after a kill, nothing is taken back."""
    with monkeypatch.context() as patch:
        patch.setattr("remusnet.kernel.change.apply._take_back", lambda *_: None)
        try:
            run()
        except Killed:
            return True
    return False


class Killer:
    """Kills something after each of the messages that it sends, one run for each."""

    def __init__(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        self._site = site
        self._monkeypatch = monkeypatch

    def __call__(self, run: Callable[[Netlink], object], *, really: bool = False) -> Iterator[int]:
        """After each kill the number of the message (from 1). ``really``: a process of its own."""
        for at in count(1):

            def until_killed(at: int = at) -> None:
                with failing(self._site, at, dying if really else stopping) as netlink:
                    run(netlink)

            if not (dies(until_killed) if really else killed(until_killed, self._monkeypatch)):
                return
            yield at


class WatchedNetlink(Netlink):
    """Calls ``before`` ahead of each message, so that something happens between any two."""

    def __init__(self, before: Callable[[], None]) -> None:
        super().__init__()
        self._before = before

    def ask(self, messages: Sequence[bytes]) -> list[Answer]:
        """One by one."""
        answers = []
        for each in messages:
            self._before()
            answers += super().ask([each])
        return answers


@contextmanager
def watched(site: Site, before: Callable[[], None]) -> Iterator[WatchedNetlink]:
    """A socket of Dom0 to give to apply or remove."""
    with site.bed.dom0.entered():
        netlink = WatchedNetlink(before)
    with netlink:
        yield netlink


@contextmanager
def failing(
    site: Site, at: int, fault: Callable[[Callable[[], Answer]], Answer]
) -> Iterator[FailingNetlink]:
    """A socket of Dom0 to give to apply or remove."""
    with site.bed.dom0.entered():
        netlink = FailingNetlink(at, fault)
    with netlink:
        yield netlink


def _ipv4(protocol: int, payload: bytes) -> bytes:
    header = bytes.fromhex("4500 0000 0000 4000 40") + bytes([protocol]) + bytes(2)
    header = header[:2] + (20 + len(payload)).to_bytes(2, "big") + header[4:]
    return _ETHERNET + bytes.fromhex("0800") + header + bytes.fromhex("0a090002 0a090003") + payload


_ETHERNET = bytes.fromhex("ffffffffffff 020000000001")
TCP_FRAME = _ipv4(6, bytes.fromhex("9c40 0050 00000001 00000001 5018 1000 0000 0000") + bytes(40))
"""Held by every shipped policy."""
ARP_FRAME = _ETHERNET + bytes.fromhex("0806 0001 0800 0604 0001") + bytes(38)
"""Bypasses under every shipped policy but ``hold-all``."""
