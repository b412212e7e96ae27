"""No ending depends on the run directory: full, read-only or everybody's, what is held leaves."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from remusnet.errors import KernelRefused, RemusnetError
from remusnet.host.netbuf import locks, script
from remusnet.kernel.wire.messages import PlugAction
from remusnet.kernel.wire.netlink import Answer, Netlink
from tests.kernel.lab.bed import VIF, Bed
from tests.kernel.lab.namespace import ip_batch
from tests.kernel.lab.packets import stamped
from tests.kernel.lab.protection import (
    BUFFER,
    TCP_FRAME,
    ReusedBed,
    Site,
)
from tests.kernel.lab.xenhost import Libxl, XenHost, never_ready, open_xen_host, ready, set_up

pytestmark = pytest.mark.uml(timeout=240)

SPOILT = ("full", "read-only", "everybody's")
"""What becomes of a run directory, after all went well so far."""
SAYS = {
    "full": "No space left on device",
    "read-only": "Read-only file system",
    "everybody's": "others may write it (mode 0777)",
}


class RunDir:
    """A file system of its own, which can be spoilt and mended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self._mount("-t", "tmpfs", "-o", "size=64k,mode=755", "run")

    def spoil(self, how: str) -> None:
        if how == "read-only":
            self._mount("-o", "remount,ro")
        elif how == "everybody's":
            self.folder.chmod(0o777)
        else:
            with suppress(OSError), (self.folder / "filler").open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))

    def mend(self) -> None:
        """As it was, but for what it has in it."""
        self._mount("-o", "remount,rw")
        self.folder.chmod(0o755)
        (self.folder / "filler").unlink(missing_ok=True)

    def close(self) -> None:
        subprocess.run(["umount", "-l", str(self.folder)], check=True)

    def _mount(self, *words: str) -> None:
        subprocess.run(["mount", *words, str(self.folder)], check=True)


@pytest.fixture
def run_dir(tmp_path: Path) -> Iterator[RunDir]:
    made = RunDir(tmp_path / "mounted/run")
    yield made
    made.close()


@pytest.fixture
def spoilt(reused: ReusedBed, run_dir: RunDir) -> Iterator[Site]:
    """A site whose run directory is ``run_dir``; the test leaves the kernel as it was."""
    made = Site(reused.bed(), run_dir.folder)
    before = made.looks()
    yield made
    changed = made.changed(before)
    if changed:
        reused.discard()
    assert changed == []


def remusnet(site: Site, *words: str) -> subprocess.CompletedProcess[str]:
    """The command, as a user would type it in Dom0."""
    return site.bed.dom0.remusnet(*words, "--run-dir", str(site.run_dir))


def hold(site: Site) -> None:
    """A closed plug that has one frame."""
    site.apply(site.plan())
    site.plug(PlugAction.BUFFER)
    with site.bed.from_guest() as guest:
        guest.send([stamped(TCP_FRAME, 1)])
        site.bed.wait_for_held(BUFFER, 1)


# Without its lock file, on a full disk, there can be no lock.
@pytest.mark.parametrize(("how", "lock"), [*((how, "there") for how in SPOILT), ("full", "gone")])
def test_remove_releases_what_is_held(spoilt: Site, run_dir: RunDir, how: str, lock: str) -> None:
    hold(spoilt)
    if lock == "gone":
        (run_dir.folder / "lock").unlink()
    run_dir.spoil(how)
    with spoilt.bed.at_client() as client:
        done = remusnet(spoilt, "remove", VIF)
        assert (done.returncode, client.expect(1)) == (0, [1]), done.stderr
    lines = done.stderr.splitlines()
    assert all(line.startswith("remusnet: warning: ") and SAYS[how] in line for line in lines)
    assert lines, "it is said"
    assert done.stdout.startswith(f"{VIF}: not protected any more; what was held has left")
    run_dir.mend()
    spoilt.apply(spoilt.plan())
    assert spoilt.agrees(), "what could not be deleted is no obstacle later"
    spoilt.remove()
    assert spoilt.files() == set()


@pytest.mark.parametrize(("how", "lock"), [*((how, "gone") for how in SPOILT), ("full", "there")])
def test_release_all_releases_what_is_held(
    spoilt: Site, run_dir: RunDir, how: str, lock: str
) -> None:
    hold(spoilt)
    if lock == "there":
        assert remusnet(spoilt, "plug", BUFFER, "status").returncode == 0
        assert remusnet(spoilt, "plug", BUFFER, "limit", "10MB").returncode == 0
    run_dir.spoil(how)
    with spoilt.bed.at_client() as client:
        done = remusnet(spoilt, "plug", BUFFER, "release-all")
        assert (done.returncode, client.expect(1)) == (0, [1]), done.stderr
    lines = done.stderr.splitlines()
    assert all(line.startswith("remusnet: warning: ") and SAYS[how] in line for line in lines)
    run_dir.mend()
    spoilt.remove()
    assert spoilt.files() == set()


# No file system becomes read-only while a lock is open for writing.
@pytest.mark.parametrize("how", ["full", "everybody's"])
def test_checkpoints_end_as_they_should_where_the_folder_was_spoilt_meanwhile(
    spoilt: Site, run_dir: RunDir, how: str
) -> None:
    spoilt.apply(spoilt.plan())
    words = ["checkpoint", BUFFER, "--interval", "100ms", "--count", "20", "--json"]
    with spoilt.bed.dom0.entered():
        driver = subprocess.Popen(
            [sys.executable, "-m", "remusnet", *words, "--run-dir", str(run_dir.folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    lock = run_dir.folder / f"driver-{BUFFER}.lock"
    while not (lock.exists() and lock.read_text().strip()):
        assert driver.poll() is None
    with spoilt.bed.from_guest() as guest, spoilt.bed.at_client() as client:
        run_dir.spoil(how)
        guest.send([stamped(TCP_FRAME, 1)])
        out, err = driver.communicate(timeout=60)
        assert client.expect(1) == [1]
    summary = json.loads(out)
    assert (driver.returncode, summary["error"], summary["checkpoints"]) == (0, None, 20), err
    assert all(SAYS[how] in line for line in err.splitlines())
    assert err
    run_dir.mend()
    assert '"unknown"' in remusnet(spoilt, "plug", BUFFER, "status", "--json").stdout
    spoilt.remove()


@pytest.mark.parametrize(
    ("word", "how"),
    [
        *(("apply", how) for how in (*SPOILT, "a file", "closed")),
        # A driver does with what a full disk still takes: an empty lock file.
        *(("buffer", how) for how in ("read-only", "everybody's", "a file", "closed")),
    ],
)
def test_what_is_no_ending_says_in_one_true_line_why_it_is_refused(
    spoilt: Site, run_dir: RunDir, how: str, word: str
) -> None:
    """Nothing has been done to the kernel then. A folder that is closed is so to other users."""
    if word == "buffer":
        spoilt.apply(spoilt.plan())
    before = spoilt.looks()
    place = run_dir.folder
    says = SAYS.get(how, "is a file" if how == "a file" else "root")
    if how == "a file":
        (place / "file").touch()
        place = place / "file"
    elif how == "closed":
        place.chmod(0o700)
    else:
        run_dir.spoil(how)
    words = ["apply", VIF, "--limit", "1MB"] if word == "apply" else ["plug", BUFFER, "buffer"]
    by = ["setpriv", "--reuid=1", "--clear-groups"] if how == "closed" else []
    done = spoilt.bed.dom0.remusnet(*words, "--run-dir", str(place), by=by)
    assert done.returncode == {"everybody's": 5, "closed": 4}.get(how, 2), done.stderr
    (line,) = done.stderr.splitlines()
    assert says in line
    assert spoilt.looks() == before
    run_dir.mend()
    spoilt.remove()


def test_a_disk_that_fills_up_within_an_update_leaves_the_old_policy(
    spoilt: Site, run_dir: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each write of the receipt; the line names what filled up, and a later apply mends all."""
    spoilt.apply(spoilt.plan("tcp-only"))
    before = spoilt.looks()
    real = os.rename
    for at in range(2):
        left = [at]

        def rename(one: str, other: str, *, left: list[int] = left, **folders: int) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(one, other, **folders)

        with monkeypatch.context() as patch:
            patch.setattr(os, "rename", rename)
            with pytest.raises(RemusnetError, match="No space left on device"):
                spoilt.apply(spoilt.plan("hold-all"))
        assert spoilt.looks() == before
        spoilt.apply(spoilt.plan("tcp-only"))
        assert spoilt.agrees()
    spoilt.remove()


class RefusingNetlink(Netlink):
    """The kernel refuses every change of one device and of what is on it."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self._index = socket.if_nametoindex(device)

    def ask(self, messages: Sequence[bytes]) -> list[Answer]:
        # struct ifinfomsg and struct tcmsg both have the number here, behind a header of 16 bytes.
        return [
            Answer(errno.ENOMEM, "injected")
            if struct.unpack_from("=i", each, 20) == (self._index,)
            else super(RefusingNetlink, self).ask([each])[0]
            for each in messages
        ]


def test_where_the_end_of_one_protection_fails_the_others_end_and_all_errors_are_said(
    spoilt: Site,
) -> None:
    """Whatever is asked of the first one's buffer device is refused."""
    ip_batch("link add vif1.1 type veth peer name peer1\n", spoilt.bed.dom0.name)
    ip_batch("link add vif1.2 type veth peer name peer2\n", spoilt.bed.dom0.name)
    vifs = (VIF, "vif1.1", "vif1.2")
    for vif in vifs:
        spoilt.apply(spoilt.plan(vifs=(vif,)))
    with spoilt.bed.dom0.entered():
        netlink = RefusingNetlink(BUFFER)
    with netlink, pytest.raises(KernelRefused, match="ENOMEM") as caught:
        spoilt.remove(*vifs, netlink=netlink)
    assert len(str(caught.value).splitlines()) == 1
    assert [each.protected.vifs for each in spoilt.verify()] == [(VIF,)]
    spoilt.remove()
    for vif in vifs[1:]:
        spoilt.bed.dom0.ip(f"link delete {vif}")


@pytest.fixture
def host(bed: Bed, run_dir: RunDir, tmp_path: Path) -> Iterator[XenHost]:
    """``run_dir`` is the folder that the script uses."""
    with open_xen_host(bed, run_dir.folder.parent) as made:
        yield made


@pytest.mark.parametrize("prepared", [True, False])
@pytest.mark.parametrize("how", SPOILT)
def test_teardown_releases_what_is_held(
    host: XenHost, run_dir: RunDir, how: str, prepared: bool
) -> None:
    if prepared:
        ready(host)
    before = Site(host.bed, run_dir.folder).looks()
    set_up(host)
    with (
        Libxl(host) as libxl,
        host.bed.from_guest() as guest,
        host.bed.at_client() as client,
    ):
        libxl.postsuspend()
        guest.send([stamped(TCP_FRAME, 1)])
        host.bed.wait_for_held(BUFFER, 1)
        run_dir.spoil(how)
        done = host.run("teardown", REMUS_IFB=BUFFER)
        assert (done.status, client.expect(1)) == (0, [1]), done.stderr
    assert all(SAYS[how] in line for line in done.stderr.splitlines())
    assert Site(host.bed, run_dir.folder).looks() == before
    assert host.stored("/libxl") == {}
    run_dir.mend()
    set_up(host)
    assert host.run("teardown", REMUS_IFB=BUFFER).status == 0
    assert Site(host.bed, run_dir.folder).files() == set()


@pytest.mark.parametrize("how", SPOILT)
def test_a_setup_that_can_not_write_says_why_and_leaves_nothing(
    host: XenHost, run_dir: RunDir, how: str
) -> None:
    ready(host)
    before = Site(host.bed, run_dir.folder).looks()
    run_dir.spoil(how)
    done = host.run("setup")
    assert done.status != 0
    (line,) = done.stderr.splitlines()
    assert SAYS[how] in line
    assert SAYS[how] in host.stored(host.path())["hotplug-error"]
    assert Site(host.bed, run_dir.folder).looks() == before


def test_a_teardown_goes_on_after_an_error_and_says_all_of_them(host: XenHost) -> None:
    """Somebody's filter at ours stops the removal; xenstore refuses too: both are in the line."""
    set_up(host)
    tc: Callable[[str], str] = host.bed.dom0.tc
    tc(f"qdisc replace dev {BUFFER} root pfifo")
    assert host.run("teardown", REMUS_IFB=BUFFER).status == 5
    assert host.stored("/libxl").keys() == {
        "1/remus/netbuf/0/hotplug-error",
        "1/remus/netbuf/0/hotplug-status",
    }
    host.refuse("rm", "could not open connection")
    done = host.run("teardown", REMUS_IFB=BUFFER)
    (line,) = done.stderr.splitlines()
    assert "is no plug but pfifo" in line
    assert "could not open connection" in line
    host.refuse("rm", None)
    tc(f"qdisc delete dev {BUFFER} root")
    assert host.run("teardown", REMUS_IFB=BUFFER).status == 0


@pytest.mark.parametrize("prepared", [True, False])
@pytest.mark.parametrize("action", ["setup", "teardown"])
def test_the_script_waits_no_longer_than_its_deadline_on_any_way(
    host: XenHost, run_dir: RunDir, monkeypatch: pytest.MonkeyPatch, action: str, prepared: bool
) -> None:
    """The long way's own wait is 60 s, which libxl does not give it."""
    monkeypatch.setenv("PATH", host.environment["PATH"])
    monkeypatch.setattr(locks, "LONGEST_SECONDS", 0.5)
    (ready if prepared else never_ready)(host)
    if action == "teardown":
        set_up(host)
    more = {"vifname": VIF, "XENBUS_PATH": host.path()}
    start = time.monotonic()
    with (run_dir.folder / "lock").open("w") as file, host.bed.dom0.entered():
        fcntl.flock(file, fcntl.LOCK_EX)
        assert script.run([action], {**host.environment, **more}) == 5
    assert time.monotonic() - start < 20
    said = host.stored(host.path())["hotplug-error"]
    assert f"process {os.getpid()} " in said
    assert host.run("teardown").status == 0
