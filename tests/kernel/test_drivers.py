"""Who drives a plug, its pace, and whether it has stopped: seen, on a kernel with real plugs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from remusnet.errors import Conflict
from remusnet.kernel.state.observe import roots
from remusnet.kernel.watch.events import Events, Lost
from remusnet.kernel.watch.senders import Senders
from remusnet.kernel.wire.netlink import Netlink
from remusnet.results.driving import Activity, Driver, PlugOrder
from tests.kernel.lab.packets import stamped
from tests.kernel.lab.protection import BUFFER, TCP_FRAME, Site

pytestmark = pytest.mark.uml(timeout=180)

DRIVE = """
import sys, time
from remusnet.kernel.wire.codec import plug_message
from remusnet.kernel.wire.netlink import Netlink
index, hold_s, gap_s = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
netlink = Netlink()
print("ready", flush=True)
while True:
    netlink.do(plug_message(index, 0), "buffer")
    time.sleep(hold_s)
    netlink.do(plug_message(index, 1), "release")
    time.sleep(gap_s)
"""
"""A driver that is not remusnet's, as xl is none: BUFFER, RELEASE_ONE, for ever."""


class Drivers:
    """Starts drivers of the site's plug, and listens to them."""

    def __init__(self, site: Site, stack: ExitStack) -> None:
        self._site, self._stack = site, stack
        with site.bed.dom0.entered():
            self._netlink = stack.enter_context(Netlink())
            self.events = stack.enter_context(Events())
            self.index = next(
                index for index, root in roots(self._netlink).items() if root.kind == "plug"
            )
            self.senders = Senders(roots(self._netlink))

    def start(self, *, hold_s: float, gap_s: float) -> subprocess.Popen[str]:
        words = [sys.executable, "-c", DRIVE, str(self.index), str(hold_s), str(gap_s)]
        with self._site.bed.dom0.entered():
            process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        self._stack.callback(self._end, process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    def _end(self, process: subprocess.Popen[str]) -> None:
        process.kill()
        process.communicate()

    def listen(self, seconds: float) -> tuple[Driver, ...]:
        """Who drives, after so long."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            for event in self.events.wait(left):
                self.senders.take(event)
        with self._site.bed.dom0.entered():
            passed = roots(self._netlink)[self.index].counters.packets
            return self.senders.drivers(self.index, time.monotonic_ns(), passed)


@pytest.fixture
def drivers(site: Site) -> Iterator[Drivers]:
    site.apply(site.plan())
    with ExitStack() as stack:
        yield Drivers(site, stack)
    site.remove(force=True)


def within(value: int | None, low_s: float, high_s: float) -> bool:
    return value is not None and low_s * 1e9 <= value <= high_s * 1e9


def test_nobody_drives_a_plug_that_was_only_made(drivers: Drivers) -> None:
    assert drivers.listen(0.5) == ()


def test_an_idle_driven_plug_shows_its_driver_and_pace_but_not_which_order_came(
    drivers: Drivers,
) -> None:
    """Nothing is held, so nothing leaves: which of the two orders is a release can't be told."""
    process = drivers.start(hold_s=0.1, gap_s=0.1)
    (found,) = drivers.listen(2)
    assert (found.process, found.activity) == (process.pid, Activity.DRIVES)
    assert found.command.startswith("python")
    assert found.orders > 5
    assert within(found.period_ns, 0.19, 0.35)
    assert (found.last, found.released_ns) == (None, None)


def test_what_leaves_tells_the_releases(drivers: Drivers, site: Site) -> None:
    drivers.start(hold_s=0.05, gap_s=0.25)
    with site.bed.from_guest() as guest, site.bed.at_client() as client:
        last = None
        for number in range(60):  # a busy machine blurs some orders
            guest.send([stamped(TCP_FRAME, number)])
            for found in drivers.listen(0.3):
                last = found if number > 4 else None
            if last is not None and last.last is not None:
                break
        assert client.stamps()
    assert last is not None
    assert last.last is not None
    assert last.released_ns is not None
    # A release is followed by 0.25 s of holding; noise of a busy machine on top.
    assert last.released_ns < 1_000_000_000
    if last.last is PlugOrder.RELEASE:
        assert last.released_ns == last.silent_ns


def test_an_epoch_of_5_seconds_is_one_driver_with_that_pace(drivers: Drivers) -> None:
    process = drivers.start(hold_s=0.1, gap_s=4.9)
    (early,) = drivers.listen(3)
    assert (early.process, early.activity) == (process.pid, Activity.DRIVES)
    assert (early.orders, early.period_ns) == (2, None)
    (found,) = drivers.listen(3)
    assert (found.process, found.activity) == (process.pid, Activity.DRIVES)
    assert within(found.period_ns, 4.9, 6)


def test_a_driver_that_sigstop_has_stopped_is_stopped_and_drives_again_after_sigcont(
    drivers: Drivers,
) -> None:
    process = drivers.start(hold_s=0.05, gap_s=0.05)
    (before,) = drivers.listen(0.5)
    assert before.activity is Activity.DRIVES
    os.kill(process.pid, signal.SIGSTOP)
    (stopped,) = drivers.listen(0.3)
    assert (stopped.process, stopped.activity) == (process.pid, Activity.STOPPED)
    os.kill(process.pid, signal.SIGCONT)
    (after,) = drivers.listen(0.3)
    assert after.activity is Activity.DRIVES
    process.kill()
    process.wait()
    (gone,) = drivers.listen(0.1)
    assert gone.activity is Activity.GONE


def test_two_drivers_are_two_and_nobody_claims_to_know_their_orders(
    drivers: Drivers, site: Site
) -> None:
    pids = {drivers.start(hold_s=0.1, gap_s=0.1).pid, drivers.start(hold_s=0.15, gap_s=0.15).pid}
    with site.bed.from_guest() as guest:
        guest.send(stamped(TCP_FRAME, number) for number in range(20))
        found = drivers.listen(2)
    assert {each.process for each in found} == pids
    assert {each.activity for each in found} == {Activity.DRIVES}
    assert {each.last for each in found} == {None}


def test_a_driver_that_is_a_new_process_each_time_is_a_driver(drivers: Drivers, site: Site) -> None:
    script = f"""while :; do tc qdisc change dev {BUFFER} root plug block; sleep 0.1
        tc qdisc change dev {BUFFER} root plug release; sleep 0.1; done"""
    with site.bed.dom0.entered():
        process = subprocess.Popen(["sh", "-c", script])
    try:
        (found,) = drivers.listen(3)
        assert (found.process, found.activity) == (None, Activity.DRIVES)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("hold_s", "gap_s", "interval_ms"), [(0.1, 0.1, 200), (0.1, 4.9, 5000)])
def test_remove_is_a_conflict_that_names_who_drives_an_idle_plug(
    site: Site, hold_s: float, gap_s: float, interval_ms: int
) -> None:
    """Without a watcher; as long as the receipt's interval says what to wait for."""
    done = site.program("apply", "vif1.0", "--interval", f"{interval_ms}ms", "--limit", "1MB")
    assert done[0] == 0, done[2]
    with ExitStack() as stack:
        process = Drivers(site, stack).start(hold_s=hold_s, gap_s=gap_s)
        with pytest.raises(Conflict, match=rf"drives the plug of {BUFFER}.*process {process.pid} "):
            site.remove(longest_listen=30)
    site.remove()


def test_lost_events_are_noticed(drivers: Drivers, site: Site) -> None:
    """The kernel drops what does not fit; the reader must not go on as if nothing were missing."""
    drivers.events.limit_buffer(4096)
    process = drivers.start(hold_s=0, gap_s=0)
    deadline = time.monotonic() + 20
    found = False
    while not found and time.monotonic() < deadline:
        found = any(isinstance(event, Lost) for event in drivers.events.wait(1))
    assert found
    process.kill()
