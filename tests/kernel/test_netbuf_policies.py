"""Which policy the script of xl remus -N gives a vif, and what it does where nobody can tell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from remusnet.host.netbuf.compiled import make_ready
from tests.kernel.lab.bed import VIF, Bed
from tests.kernel.lab.namespace import ip_batch
from tests.kernel.lab.packets import stamped
from tests.kernel.lab.xenhost import (
    BUFFER,
    DOMAIN,
    NAME,
    TCP,
    UDP,
    UUID,
    Libxl,
    XenHost,
    never_ready,
    open_xen_host,
    ready,
    set_up,
    site,
)

pytestmark = pytest.mark.uml(timeout=300)


@pytest.fixture
def host(bed: Bed, tmp_path: Path) -> Iterator[XenHost]:
    with open_xen_host(bed, tmp_path) as made:
        yield made


@pytest.fixture(params=["ready", "not ready"])
def either(host: XenHost, request: pytest.FixtureRequest) -> XenHost:
    """A host where messages are ready, and one where each setup goes the long way."""
    return ready(host) if request.param == "ready" else never_ready(host)


def test_a_policy_follows_name_uuid_and_environment(either: XenHost) -> None:
    either.config.write_text(
        f'[[domain]]\nname = "{NAME}"\nvif = 1\npolicy = "hold-all"\n'
        f'[[domain]]\nuuid = "{UUID}"\npolicy = "real-time"\nlimit = "1MB"\n'
        "decouple = false\n"
    )
    ip_batch("link add vif1.1 type veth peer name peer1\n", either.bed.dom0.name)
    if Path(either.places.ready).is_file():
        assert make_ready(either.places)
    assert receipt(either, VIF, 0) == ("real-time", 1_000_000, "")
    assert receipt(either, "vif1.1", 1) == ("hold-all", 50_000_000, "sink-1.1")
    done = either.run("setup", REMUSNET_POLICY="stock-remus", REMUSNET_DECOUPLE="yes")
    assert (done.status, done.stderr) == (0, "")
    assert terms(either, BUFFER) == ("stock-remus", 1_000_000, "sink-1.0")
    assert all(each.agrees for each in site(either).verify())


def receipt(host: XenHost, vif: str, devid: int) -> tuple[str, int, str]:
    set_up(host, vif, DOMAIN, devid)
    return terms(host, f"ifb-1.{devid}")


def terms(host: XenHost, buffer: str) -> tuple[str, int, str]:
    found = json.loads((host.folder / f"run/{buffer}.json").read_text())
    return found["policy_name"], found["limit"], found["sink"]


def test_what_was_ready_does_not_outlive_the_files_it_was_made_from(host: XenHost) -> None:
    mine = host.folder / "mine.toml"
    mine.write_text('name = "mine"\nextends = "hold-all"\n')
    host.config.write_text('[default]\npolicy = "mine.toml"\n')
    assert make_ready(host.places)
    mine.write_text('name = "other"\nextends = "hold-all"\n')
    assert receipt(host, VIF, 0)[0] == "other"
    assert host.run("teardown").status == 0
    assert receipt(host, VIF, 0)[0] == "other", "made ready by the setup before"


@pytest.mark.parametrize(
    ("config", "more"),
    [
        ("[default", {}),
        ('[default]\npolicy = "gone.toml"\n', {}),
        ("", {"REMUSNET_POLICY": "tpc-only"}),
        ("", {"REMUSNET_POLICY": "/no/such.toml"}),
        ("\0", {}),
    ],
)
def test_a_bad_file_means_that_everything_is_held_and_said(
    host: XenHost, config: str, more: dict[str, str]
) -> None:
    host.config.write_text(config)
    done = host.run("setup", VIF, DOMAIN, 0, **more)
    assert done.status == 0
    (line,) = done.stderr.splitlines()
    assert "warning: every frame of vif1.0 is held" in line
    assert "every frame of vif1.0 is held" in host.stored(host.path())["remusnet-warning"]
    with host.bed.from_guest() as guest, Libxl(host) as libxl:
        libxl.postsuspend()
        guest.send([stamped(UDP, 1), stamped(TCP, 2)])
        host.bed.wait_for_held(BUFFER, 2)
    assert host.run("teardown").status == 0
