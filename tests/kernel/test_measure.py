"""``remusnet xen measure`` on real plugs that remusnet's own driver drives, with known times."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from remusnet.kernel.checkpoint import Checkpointer, Driven, blocked_signals
from remusnet.kernel.plug import Plug
from remusnet.scenario import epochs
from remusnet.schedule import Schedule
from tests.kernel.lab.bed import VIF
from tests.kernel.lab.packets import Sender, stamped
from tests.kernel.lab.protection import ARP_FRAME, BUFFER, TCP_FRAME, Site

pytestmark = pytest.mark.uml(timeout=120)

MS = 1_000_000
PERIOD_S = 0.002
INTERVAL, PAUSE, LAG = 80 * MS, 30 * MS, 15 * MS


class Guest:
    """Sends a frame every 2 ms, but for its pauses; notes how long those were in the end."""

    def __init__(self, sender: Sender, frame: bytes) -> None:
        self._sender = sender
        self._frame = frame
        self._until = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._stood_at = 0.0
        self.pauses: list[float] = []

    def stand(self, seconds: float) -> None:
        self._stood_at = time.monotonic()
        self._until = self._stood_at + seconds

    def _run(self) -> None:
        number = 0
        stood = 0.0
        while not self._over.wait(PERIOD_S):
            if time.monotonic() < self._until:
                continue
            if self._stood_at > stood:
                stood = self._stood_at
                self.pauses.append(time.monotonic() - stood)
            self._sender.send([stamped(self._frame, number := number + 1)])

    @contextmanager
    def running(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._thread.join()


class Standing:
    """A plug whose guest stands from each BUFFER on."""

    def __init__(self, plug: Plug, guest: Guest) -> None:
        self._plug = plug
        self._guest = guest
        self.suspends: list[float] = []
        self.busy: list[float] = []
        """From each of them to its commit."""

    def start(self) -> None:
        self._plug.start()

    def buffer(self) -> None:
        self._plug.buffer()
        self.suspends.append(time.monotonic())
        self._guest.stand(PAUSE / 1e9)

    def release(self) -> None:
        self._plug.release()
        self.busy.append(time.monotonic() - self.suspends[-1])


def measured(
    site: Site, frame: bytes, *words: str, policy: str = "tcp-only"
) -> tuple[epochs.Trace, Standing, Guest, dict[str, object]]:
    """The trace of a drive, what was done, and what was printed."""
    site.apply(site.plan(policy))
    file = site.run_dir.parent / "epochs.csv"
    with site.bed.dom0.entered(), site.bed.from_guest() as sender:
        guest = Guest(sender, frame)
        with blocked_signals() as clock, guest.running():
            plug = Plug(BUFFER, run_dir=site.run_dir)
            with plug:
                standing = Standing(plug, guest)
                schedule = Schedule(INTERVAL, PAUSE, LAG)
                driven: Driven = standing
                driver = Checkpointer(driven, schedule, clock, duration_ns=60_000 * MS)
                process = start(site, file, *words)

                def wait() -> None:
                    process.wait()
                    clock.number = 1  # as by a signal

                waiter = threading.Thread(target=wait, daemon=True)
                waiter.start()
                driver.run()
                waiter.join()
        out, err = process.communicate()
    site.remove()
    assert (process.returncode, err) == (0, "")
    return epochs.read(file.read_text("utf-8"), str(file)), standing, guest, json.loads(out)


def start(site: Site, file: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "remusnet", "xen", "measure", BUFFER, "--json"]
    return subprocess.Popen(
        [*command, "--run-dir", str(site.run_dir), "--duration", "5s", "-o", str(file), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def check(trace: epochs.Trace, standing: Standing, guest: Guest) -> None:
    """Medians: a busy machine makes single timers late, the guest's too."""
    assert len(trace) >= 10
    spans = np.diff(standing.suspends) * 1e9
    # 10 %, and 2 ms: as far apart as the guest's frames are.
    assert np.nanmedian(trace.period_ns) == pytest.approx(median(spans), rel=0.1)
    pause = median(guest.pauses) * 1e9
    assert np.nanmedian(trace.pause_ns) == pytest.approx(pause, rel=0.1, abs=3 * MS)
    busy = median(standing.busy) * 1e9
    assert busy >= PAUSE + LAG
    assert np.nanmedian(trace.pause_ns + trace.lag_ns) == pytest.approx(busy, rel=0.1, abs=3 * MS)
    known = np.isfinite(trace.pause_ns).mean()
    assert known > 0.7, known


def test_period_pause_and_lag_of_a_driven_plug_are_measured(site: Site) -> None:
    trace, standing, guest, said = measured(site, TCP_FRAME, "--interval", "80ms")
    check(trace, standing, guest)
    assert trace.interval_ns == 80 * MS
    assert said["checkpoints"] == len(trace)
    assert said["vifs"] == [VIF]
    # About 40 frames an epoch: what it held when the guest was suspended.
    held = len(TCP_FRAME) * np.nanmedian(trace.period_ns - trace.pause_ns) / 1e9 / PERIOD_S
    assert 0.2 * held < np.nanmedian(trace.backlog) < 1.5 * held


def test_where_nothing_is_held_the_silence_tells_where_a_checkpoint_begins(site: Site) -> None:
    trace, standing, guest, _ = measured(site, ARP_FRAME)
    check(trace, standing, guest)
    assert trace.interval_ns is None
    assert np.nanmax(trace.backlog) == 0


def test_a_plug_that_nobody_drives_has_no_checkpoints_and_says_so(site: Site) -> None:
    site.apply(site.plan())
    with site.bed.dom0.entered():
        process = start(site, site.run_dir.parent / "epochs.csv", "--duration", "1s")
        _, err = process.communicate()
    site.remove()
    assert process.returncode == 1
    assert err.startswith(
        f"remusnet: error: {BUFFER}: 0 orders were heard: nothing drives the plug"
    )


def test_an_unknown_guest_is_refused_with_what_it_could_be(site: Site) -> None:
    site.apply(site.plan())
    with site.bed.dom0.entered():
        command = [sys.executable, "-m", "remusnet", "xen", "measure", "ifb-1.1"]
        done = subprocess.run(
            [*command, "--run-dir", str(site.run_dir)], capture_output=True, text=True, check=False
        )
    site.remove()
    assert done.returncode == 2
    assert "did you mean 'ifb-1.0'" in done.stderr
