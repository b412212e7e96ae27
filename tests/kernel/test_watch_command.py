"""remusnet watch as a service starts it: its file, its signals, its metrics, and its end."""

from __future__ import annotations

import os
import signal
import socket
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from remusnet.host.trial import begin
from remusnet.results.watching import Occasion
from tests.kernel.lab.bed import VIF, Bed
from tests.kernel.lab.damages import Hand
from tests.kernel.lab.protection import BUFFER, LIMIT, Site
from tests.kernel.lab.vandal import Vandal
from tests.kernel.lab.watching import WatchCommand
from tests.lib.long import count, seed

pytestmark = pytest.mark.uml(timeout=count(sample=240, long=2400))

PORT = 9911


def add_guest(bed: Bed, name: str) -> None:
    bed.dom0.ip(f"link add {name} type veth peer name g{name}")
    bed.dom0.ip(f"link set {name} up")


def by_pattern(file: Path, pattern: str) -> None:
    file.write_text(f'[[vif]]\npattern = "{pattern}"\npolicy = "tcp-only"\nlimit = "1MB"\n')


def test_the_command_protects_what_its_file_names_and_ends_with_sigterm(
    site: Site, tmp_path: Path
) -> None:
    file = tmp_path / "remusnet.toml"
    by_pattern(file, "vif*.0")
    where = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(where)
        notified.settimeout(60)
        with WatchCommand(site, "--file", str(file), notify=where) as watching:
            (protected,) = watching.of(Occasion.PROTECTED)
            assert protected.vifs == (VIF,)
            assert notified.recv(1000).startswith(b"READY=1\n")
            site.bed.dom0.tc(f"qdisc delete dev {VIF} ingress")
            (repaired,) = watching.wait_for(1, Occasion.REPAIRED)
            assert repaired.open_ns is not None
            second = WatchCommand(site)
            code, said = second.ended()
            assert (code, second.told) == (5, [])
            assert f"by process {watching.process.pid}" in said
        assert notified.recv(1000) == b"STOPPING=1"
    site.remove()


def test_sighup_reads_the_file_again_and_keeps_the_old_one_where_that_is_wrong(
    site: Site, tmp_path: Path
) -> None:
    file = tmp_path / "remusnet.toml"
    by_pattern(file, VIF)
    add_guest(site.bed, "vif8.0")
    try:
        with WatchCommand(site, "--file", str(file)) as watching:
            assert [each.vifs for each in watching.of(Occasion.PROTECTED)] == [(VIF,)]
            file.write_text("[[vif]]\npolcy = 1\n")
            watching.process.send_signal(signal.SIGHUP)
            (alarm,) = watching.wait_for(1, Occasion.ALARM)
            assert alarm.text.startswith("the file was not read again, what it said before holds")
            assert "polcy" in alarm.text
            site.bed.dom0.tc(f"qdisc delete dev {VIF} ingress")
            watching.wait_for(1, Occasion.REPAIRED)
            by_pattern(file, "vif*.0")
            watching.process.send_signal(signal.SIGHUP)
            watching.wait_for(1, Occasion.RELOADED)
            _, second = watching.wait_for(2, Occasion.PROTECTED)
            assert second.vifs == ("vif8.0",)
            watching.settle()
            assert {each.protected.vifs for each in site.verify()} == {(VIF,), ("vif8.0",)}
        site.remove(VIF, "vif8.0")
    finally:
        site.bed.dom0.ip("link delete vif8.0")


def test_the_command_serves_metrics_of_what_it_watches_and_has_done(site: Site) -> None:
    site.apply(site.plan())
    site.bed.dom0.ip("link set lo up")
    try:
        with WatchCommand(site, "--metrics", f"127.0.0.1:{PORT}") as watching:
            site.bed.dom0.tc(f"qdisc delete dev {VIF} ingress")
            watching.wait_for(1, Occasion.REPAIRED)
            watching.settle()
            found = scraped(site)
            assert found[f'remusnet_open{{buffer="{BUFFER}",vif="{VIF}"}}'] == 0
            assert found[f'remusnet_limit_bytes{{buffer="{BUFFER}",vif="{VIF}"}}'] == LIMIT
            assert found["remusnet_watch_repairs_total"] == 1
            assert found["remusnet_watch_alarms_total"] == 0
            assert 0 < found["remusnet_watch_open_seconds_total"] < 10
            site.bed.dom0.tc(f"qdisc delete dev {BUFFER} root")
            watching.wait_for(2, Occasion.REPAIRED)
            assert scraped(site)["remusnet_watch_repairs_total"] == 2
            taken = site.program("watch", "--metrics", f"127.0.0.1:{PORT}")
            assert taken[0] == 5
            assert taken[2].startswith("remusnet: error: ")
            assert taken[2].count("\n") == 1
        with pytest.raises(OSError, match="refused"):
            scraped(site)
    finally:
        site.bed.dom0.ip("link set lo down")
    site.remove()


def scraped(site: Site) -> dict[str, float]:
    """The samples of one scrape in Dom0, by name and labels."""
    with (
        site.bed.dom0.entered(),
        urllib.request.urlopen(f"http://127.0.0.1:{PORT}/metrics", timeout=60) as answer,
    ):
        assert answer.status == 200
        lines = answer.read().decode().splitlines()
    samples = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in samples}


def test_a_trial_whose_guard_and_command_were_killed_goes_back_at_once(site: Site) -> None:
    """Nobody else comes by: the watcher is the next command."""
    site.apply(site.plan())
    with WatchCommand(site) as watching:
        with site.bed.dom0.entered():
            other = site.plan("hold-all")
            _, lock = begin(other, site.run_dir, 600_000_000_000)
        site.apply(other)
        time.sleep(1.2)
        assert not watching.of(Occasion.TRIAL), "while its guard has the lock"
        began = time.monotonic()
        os.close(lock)  # as the kernel does for a guard that is killed
        (back,) = watching.wait_for(1, Occasion.TRIAL)
        took_s = time.monotonic() - began
        assert "its guard was killed" in back.text
        assert took_s < 10, "it looks each half a second"
        watching.settle()
    (now,) = site.verify()
    assert now.protected.terms is not None
    assert now.protected.terms.policy == "tcp-only"
    assert not watching.of(Occasion.ALARM)
    site.remove()


def test_a_watcher_that_is_killed_at_any_point_leaves_what_the_next_start_repairs(
    site: Site,
) -> None:
    site.apply(site.plan())
    rng = Random(seed())
    with closing(Hand(site)) as hand:
        kinds = Vandal(site, hand).kinds()
        for _ in range(count(sample=1, long=40)):
            watching = WatchCommand(site)
            watching.wait_for(1, Occasion.WATCHING, timeout=60)
            name = rng.choice(sorted(kinds))
            kinds[name][1]()
            time.sleep(rng.random() * 0.05)
            watching.kill()
            once = WatchCommand(site, "--once")
            assert once.ended(120) == (0, ""), (name, once.told)
            assert site.agrees(), name
    site.remove()
