"""remusnet xen status and recover, on a host whose xl was killed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from remusnet.host.xen import recover, under_remus
from remusnet.host.xenstore import Xenstore
from remusnet.results.xen import Recovered
from tests.kernel.lab.bed import VIF, Bed
from tests.kernel.lab.packets import stamped
from tests.kernel.lab.xenhost import (
    BUFFER,
    NAME,
    TCP,
    Libxl,
    XenHost,
    clean,
    looks,
    open_xen_host,
    ready,
    set_up,
)

pytestmark = pytest.mark.uml(timeout=300)


@pytest.fixture
def host(bed: Bed, tmp_path: Path) -> Iterator[XenHost]:
    with open_xen_host(bed, tmp_path) as made:
        yield made


def processes(host: XenHost, *words: str) -> Path:
    """A /proc with one process."""
    folder = host.folder / "proc/4711"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cmdline").write_bytes(b"".join(f"{each}\0".encode() for each in words))
    (folder / "status").write_text("PPid:\t1\nUid:\t0\t0\t0\t0\n")
    (folder / "xl").touch()
    if not (folder / "exe").is_symlink():
        (folder / "exe").symlink_to(folder / "xl")
    return folder.parent


@pytest.fixture
def killed(host: XenHost, monkeypatch: pytest.MonkeyPatch) -> XenHost:
    """A host on which xl was killed within a checkpoint: a TCP frame is held."""
    monkeypatch.setenv("PATH", host.environment["PATH"])
    ready(host)
    set_up(host)
    with Libxl(host) as libxl, host.bed.from_guest() as guest:
        libxl.postsuspend()
        guest.send([stamped(TCP, 1)])
        host.bed.wait_for_held(BUFFER, 1)
    return host


def test_status_tells_a_domain_under_remus_from_what_a_killed_xl_left(killed: XenHost) -> None:
    running = processes(killed, "xl", "remus", "-N", "x", NAME, "backup")
    with killed.bed.dom0.entered():
        ((vif,), _) = under_remus(killed.places, Xenstore(), running)
        ((left,), _) = under_remus(killed.places, Xenstore(), processes(killed, "xl", "list"))
    assert (vif.name, vif.domid, vif.buffer, vif.ours, vif.left_over) == (NAME, 1, BUFFER, True, "")
    assert vif.status is not None
    assert vif.status.waiting == 1
    assert vif.status.protected.terms is not None
    assert vif.status.protected.terms.policy == "tcp-only"
    assert left.left_over == f"no xl remus runs for {NAME}"


def test_recover_keeps_what_an_xl_drives_and_ends_what_a_killed_one_left(killed: XenHost) -> None:
    def now(proc: Path, *, dry_run: bool = False, drop: bool = False) -> Recovered:
        with killed.bed.dom0.entered():
            (found,) = recover(
                [NAME], killed.places, Xenstore(), proc=proc, dry_run=dry_run, drop=drop
            )
        return found

    there = looks(killed)
    assert now(processes(killed, "xl", "remus", "1", "backup")).kept
    assert now(processes(killed), dry_run=True).held == 1
    assert looks(killed) == there
    with killed.bed.at_client() as client:
        done = now(processes(killed))
        assert (done.vifs, done.held, done.kept) == ((VIF,), 1, "")
        assert client.expect(1) == [1]
    assert (clean(killed), killed.stored("/libxl")) == (set(), {})
    set_up(killed)


def test_recover_of_a_fenced_guest_drops_what_is_held(killed: XenHost) -> None:
    with killed.bed.at_client() as client:
        done = killed.remusnet("xen", "recover", "--drop")
        assert done.stdout == (
            f"{NAME}: {VIF} (buffer device {BUFFER}): removed; 1 held packet dropped\n"
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert client.stamps() == []
    assert clean(killed) == set()
    assert killed.remusnet("xen", "recover").stdout == "nothing is left over\n"


def test_what_a_destroyed_domain_has_sent_is_dropped_also_where_its_vif_is_left(
    killed: XenHost,
) -> None:
    """Its backup takes over, and has not seen that epoch. Held pages can keep the vif."""
    shutil.rmtree(killed.folder / "store/libxl")
    shutil.rmtree(killed.folder / "store/local")
    with killed.bed.at_client() as client:
        done = killed.remusnet("xen", "recover")
        assert done.stdout == (
            f"domain 1: {VIF} (buffer device {BUFFER}): removed; 1 held packet dropped\n"
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert client.stamps() == []
    assert clean(killed) == set()


def test_recover_works_when_the_domain_and_xls_keys_are_gone(killed: XenHost) -> None:
    killed.bed.dom0.ip(f"link delete {VIF}")
    shutil.rmtree(killed.folder / "store/libxl")
    shutil.rmtree(killed.folder / "store/local")
    text = killed.remusnet("xen", "status").stdout
    assert "(gone) (domain 1)" in text
    assert "left over" in text
    assert "held frames are copied" in text, "as they were when they came"
    assert f"{VIF} is gone" in text
    assert "verify" not in text
    done = killed.remusnet("xen", "recover", "--json")
    (found,) = json.loads(done.stdout)["recovered"]
    assert (found["held"], found["dropped"], found["kept"]) == (1, True, None)
    assert BUFFER not in killed.bed.dom0.ip("link show")
    assert clean(killed) == set()


def test_what_another_script_made_is_shown_and_not_touched(
    host: XenHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", host.environment["PATH"])
    host.bed.add_ifb("ifb0")
    host.store(f"{host.path()}/ifb", "ifb0")
    assert "ifb0, not remusnet's" in host.remusnet("xen", "status").stdout
    assert host.remusnet("xen", "recover").stdout == "nothing is left over\n"
    assert "ifb0" in host.bed.dom0.ip("link show")
    done = host.remusnet("xen", "recover", NAME)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
