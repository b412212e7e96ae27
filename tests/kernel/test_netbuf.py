"""The script of xl remus -N against its contract: what libxl sees, and what is left behind."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from remusnet.kernel.change.apply import apply
from remusnet.kernel.change.remove import remove
from remusnet.plan.plan import build_plan
from remusnet.policy import PRESETS
from tests.kernel.lab.bed import VIF, Bed
from tests.kernel.lab.namespace import ip_batch
from tests.kernel.lab.packets import stamped
from tests.kernel.lab.xenhost import (
    BUFFER,
    DOMAIN,
    TCP,
    UDP,
    Libxl,
    XenHost,
    clean,
    ended,
    looks,
    never_ready,
    open_xen_host,
    ready,
    set_up,
    site,
)
from tests.lib.long import count

pytestmark = pytest.mark.uml(timeout=300)

EMULATED = f"{VIF}-emu"
CONNECTED = {"ifb": BUFFER, "hotplug-status": "connected"}


@pytest.fixture
def host(bed: Bed, tmp_path: Path) -> Iterator[XenHost]:
    with open_xen_host(bed, tmp_path) as made:
        yield made


@pytest.fixture(params=["ready", "not ready"])
def either(host: XenHost, request: pytest.FixtureRequest) -> XenHost:
    """A host where messages are ready, and one where each setup goes the long way."""
    return ready(host) if request.param == "ready" else never_ready(host)


def test_tcp_waits_for_each_commit_and_udp_for_nothing(either: XenHost) -> None:
    """Setup, libxl's check, two checkpoints in libxl's order, teardown, on the real plug."""
    bed = either.bed
    before = looks(either)
    set_up(either)
    assert either.stored(either.path()) == CONNECTED
    assert site(either).agrees()
    with bed.from_guest() as guest, bed.at_client() as client, Libxl(either) as libxl:
        guest.send([stamped(TCP, 1)])
        assert client.expect(1) == [1], "held before the first checkpoint: a blackout"
        libxl.postsuspend()
        guest.send([stamped(TCP, 2), stamped(UDP, 3)])
        assert client.expect(1) == [3]
        bed.wait_for_held(BUFFER, 1)
        libxl.postsuspend()
        guest.send([stamped(TCP, 4), stamped(UDP, 5)])
        assert client.expect(1) == [5]
        bed.wait_for_held(BUFFER, 2)
        libxl.commit()
        assert client.expect(1) == [2]
        libxl.postsuspend()
        libxl.commit()
        assert client.expect(1) == [4]
        libxl.postsuspend()
        guest.send([stamped(TCP, 6)])
        bed.wait_for_held(BUFFER, 1)
        done = either.run("teardown", REMUS_IFB=BUFFER)
        assert (done.status, done.stderr) == (0, "")
        assert client.expect(1) == [6], "what is held leaves before the plug is deleted"
    assert (looks(either), clean(either), either.stored("/libxl")) == (before, set(), {})


@pytest.mark.parametrize("how", ["ready", "not ready"])
@pytest.mark.parametrize(
    ("options", "config", "said"),
    [
        (["-i", "1000"], "", "250.0 MB (1gbit, 1s by xl remus -i; "),
        ([], "", "50.0 MB (1gbit, 200ms xl's default; "),
        (["-i", "1000"], 'interval = "400ms"', "100.0 MB (1gbit, 400ms by remusnet.toml; "),
    ],
)
def test_the_plug_is_sized_for_the_interval_that_xl_was_given(
    host: XenHost, how: str, options: list[str], config: str, said: str
) -> None:
    """A program called xl starts the script, as libxl does."""
    host.config.write_text(f"[default]\n{config}\n")
    (ready if how == "ready" else never_ready)(host)
    xl = str(shutil.copy("/bin/bash", host.folder / "xl"))
    words = ["xl", "remus", *options, "guest", "backup"]
    done = ended(host.start("setup", by=[xl, "-c", f'"${{@:{len(words)}}}"; exit $?', *words]))
    assert (done.status, done.stderr) == (0, "")
    assert f"limit      {said}" in host.remusnet("status").stdout
    assert site(host).agrees()
    assert host.run("teardown", REMUS_IFB=BUFFER).status == 0


def test_a_plug_in_the_place_of_the_scripts_is_a_difference(either: XenHost) -> None:
    set_up(either)
    either.bed.dom0.tc(f"qdisc replace dev {BUFFER} root handle 77: plug limit 2000")
    ((difference,),) = (each.differences for each in site(either).verify())
    assert (difference.what, difference.current) == (
        "root qdisc",
        "plug 77:, which somebody has made in its place",
    )
    assert either.run("teardown", REMUS_IFB=BUFFER).status == 0


def test_the_usual_case_does_without_what_takes_long_to_import(host: XenHost) -> None:
    ready(host)
    script = host.folder / "remusnet-netbuf"
    barred = "import sys\n" + "".join(
        f"sys.modules['remusnet.host.netbuf.{name}'] = None\n" for name in ("full", "full_teardown")
    )
    script.write_text(script.read_text().replace("import sys\n", barred))
    before = looks(host)
    ip_batch(f"link add {EMULATED} type veth peer name peer0\n", host.bed.dom0.name)
    for _ in range(2):
        set_up(host)
        with Libxl(host) as libxl:
            libxl.postsuspend()
        done = host.run("teardown", REMUS_IFB=BUFFER)
        assert (done.status, done.stderr) == (0, "")
    host.bed.dom0.ip(f"link delete {EMULATED}")
    assert (looks(host), clean(host), host.stored("/libxl")) == (before, set(), {})


def test_a_filter_that_somebody_added_to_ours_is_not_deleted(host: XenHost) -> None:
    """A quick teardown sees that the filters are not as they were made, and leaves it to remove."""
    ready(host)
    set_up(host)
    where = f"filter add dev {VIF} parent ffff: protocol ip prio 5000"
    host.bed.dom0.tc(f"{where} u32 match u32 0 0 flowid 1:1")
    assert host.run("teardown", REMUS_IFB=BUFFER).status == 0
    assert "pref 5000" in host.bed.dom0.tc(f"filter show dev {VIF} parent ffff:")
    assert BUFFER not in host.bed.dom0.ip("link show")


def test_both_devices_of_an_hvm_guest_share_one_buffer(either: XenHost) -> None:
    """libxl names vifX.Y-emu where the configuration has no vifname."""
    ip_batch(f"link add {EMULATED} type veth peer name peer0\n", either.bed.dom0.name)
    before = looks(either)
    set_up(either, EMULATED)
    assert either.stored(either.path()) == CONNECTED
    (found,) = site(either).verify(VIF)
    assert (found.protected.vifs, found.agrees) == ((VIF, EMULATED), True)
    assert either.run("teardown", EMULATED, REMUS_IFB=BUFFER).status == 0
    assert (looks(either), clean(either)) == (before, set())


def test_teardown_twice_at_once_and_without_anything_to_do_ends_well(either: XenHost) -> None:
    before = looks(either)
    set_up(either)
    started = [either.start("teardown", REMUS_IFB=BUFFER) for _ in range(4)]
    assert {ended(each).status for each in started} == {0}
    assert either.run("teardown", REMUS_IFB=BUFFER).status == 0
    assert either.run("teardown").status == 0
    assert (looks(either), clean(either), either.stored("/libxl")) == (before, set(), {})
    set_up(either)


def test_teardown_needs_neither_remus_ifb_nor_keys_nor_vif(either: XenHost) -> None:
    """As after xl destroy: about 60 s later, with the vif and XENBUS_PATH gone."""
    set_up(either)
    with Libxl(either) as libxl, either.bed.from_guest() as guest:
        libxl.postsuspend()
        guest.send([stamped(TCP, 1)])
        either.bed.wait_for_held(BUFFER, 1)
    either.bed.dom0.ip(f"link delete {VIF}")
    for key in ("ifb", "hotplug-status"):
        (either.folder / f"store{either.path()}/{key}/.value").unlink()
    assert either.run("teardown").status == 0
    assert BUFFER not in either.bed.dom0.ip("link show")
    assert clean(either) == set()


def test_the_late_teardown_of_a_destroyed_domain_lets_nothing_out(either: XenHost) -> None:
    """Its backup takes over, and has not seen that epoch. Held pages can keep the vif so long."""
    before = looks(either)
    set_up(either)
    with (
        Libxl(either) as libxl,
        either.bed.from_guest() as guest,
        either.bed.at_client() as client,
    ):
        libxl.postsuspend()
        guest.send([stamped(TCP, 1)])
        either.bed.wait_for_held(BUFFER, 1)
        (either.folder / f"store/local/domain/{DOMAIN}/name/.value").unlink()
        assert either.run("teardown").status == 0
        assert client.stamps() == []
    assert (looks(either), clean(either)) == (before, set())


def test_teardown_after_somebody_deleted_the_buffer_device(either: XenHost) -> None:
    before = looks(either)
    set_up(either)
    either.bed.dom0.ip(f"link delete {BUFFER}")
    assert either.run("teardown", REMUS_IFB=BUFFER).status == 0
    assert (looks(either), clean(either)) == (before, set())


@pytest.mark.parametrize("action", ["setup", "teardown"])
def test_a_script_killed_at_any_time_can_be_torn_down_and_set_up_again(
    host: XenHost, action: str
) -> None:
    """libxl kills it after 40 s; the lock goes with it, and what is half done is repaired."""
    ready(host)
    before = looks(host)
    usual = time.monotonic()
    set_up(host)
    usual = time.monotonic() - usual
    assert host.run("teardown").status == 0
    for part in range(1, 7):
        if action == "teardown":
            set_up(host)
        script = host.start(action)
        time.sleep(usual * part / 6)
        script.kill()
        script.communicate()
        assert host.run("teardown").status == 0
        assert (looks(host), site(host).files()) == (before, set())
    set_up(host)
    assert host.run("teardown").status == 0
    assert (looks(host), clean(host)) == (before, set())


def test_a_killed_xl_is_followed_by_a_setup_that_releases_what_was_held(either: XenHost) -> None:
    """SIGKILL: no teardown, the plug stays closed, keys stay. The same domain starts again."""
    bed = either.bed
    before = looks(either)
    set_up(either)
    with bed.from_guest() as guest, bed.at_client() as client:
        with Libxl(either) as libxl:
            libxl.postsuspend()
            guest.send([stamped(TCP, 1)])
            bed.wait_for_held(BUFFER, 1)
        set_up(either)
        assert client.expect(1) == [1]
        guest.send([stamped(TCP, 2)])
        assert client.expect(1) == [2], "the new plug is open"
    with Libxl(either) as libxl:
        libxl.postsuspend()
    assert either.run("teardown").status == 0
    assert (looks(either), clean(either)) == (before, set())


def test_a_late_teardown_leaves_alone_what_another_domain_has_by_now(either: XenHost) -> None:
    """A vifname of the configuration comes back with the next domain."""
    either.bed.dom0.ip(f"link set {VIF} down")
    either.bed.dom0.ip(f"link set {VIF} name web0")
    either.bed.dom0.ip("link set web0 up")
    set_up(either, "web0", 1)
    set_up(either, "web0", 2)
    assert either.run("teardown", "web0", 1, REMUS_IFB="ifb-web0").status == 0
    assert site(either).verify("web0")[0].agrees
    assert set(either.stored("/libxl")) == {
        "2/remus/netbuf/0/ifb",
        "2/remus/netbuf/0/hotplug-status",
    }
    assert either.run("teardown", "web0", 2).status == 0
    assert clean(either) == set()


# 10 times where it is ready (of 100), in parts, so that kernels that run at once can share them.
@pytest.mark.parametrize(
    ("is_ready", "times"),
    [*count(sample=2, long=20) * [(True, 5)], (False, count(sample=1, long=9))],
)
def test_two_vifs_at_once_many_times(host: XenHost, is_ready: bool, times: int) -> None:
    either = ready(host) if is_ready else never_ready(host)
    ip_batch("link add vif1.1 type veth peer name peer1\n", either.bed.dom0.name)
    before = looks(either)
    vifs = ((VIF, 0), ("vif1.1", 1))
    for _ in range(times):
        started = [either.start("setup", vif, DOMAIN, devid) for vif, devid in vifs]
        assert [ended(each).status for each in started] == [0, 0]
        for _, devid in vifs:
            with Libxl(either, DOMAIN, devid) as libxl:
                assert libxl.device == f"ifb-1.{devid}"
                libxl.postsuspend()
        started = [either.start("teardown", vif, DOMAIN, devid) for vif, devid in vifs]
        assert [ended(each).status for each in started] == [0, 0]
    assert (looks(either), clean(either), either.stored("/libxl")) == (before, set(), {})


FAILURES = {
    "no such vif": "no such device: 'vif1.0'",
    "foreign filter": "not remusnet's",
    "foreign buffer": "exists and is not remusnet's",
    "root is no plug": "is no plug but pfifo",
    "xenstore refuses": "xenstore-write: could not write path",
}


def break_it(host: XenHost, how: str) -> None:
    dom0 = host.bed.dom0
    if how == "no such vif":
        dom0.ip(f"link delete {VIF}")
    elif how == "foreign filter":
        dom0.tc(f"qdisc add dev {VIF} ingress")
        dom0.tc(f"filter add dev {VIF} parent ffff: protocol ip prio 10 u32 match u32 0 0")
    elif how == "foreign buffer":
        host.bed.add_ifb(BUFFER)
    elif how == "root is no plug":
        host.bed.add_ifb(BUFFER)
        dom0.ip(f"link set {BUFFER} alias remusnet:{VIF}")
        dom0.tc(f"qdisc add dev {BUFFER} root pfifo")
    else:
        host.refuse("write", "could not write path")


@pytest.mark.parametrize("how", FAILURES)
def test_a_setup_that_fails_says_why_and_leaves_nothing(host: XenHost, how: str) -> None:
    """The quick way meets it first, and leaves it to the long one."""
    either = ready(host)
    break_it(either, how)
    before = looks(either)
    done = either.run("setup")
    assert done.status != 0
    assert FAILURES[how] in done.stderr
    # One line: xl shows it, and what else failed on the way is said too.
    assert len(done.stderr.splitlines()) == 1
    keys = either.stored(either.path())
    if how == "xenstore refuses":
        assert keys == {}
    else:
        assert keys["hotplug-status"] == "error"
        assert FAILURES[how] in keys["hotplug-error"]
        assert "ifb" not in keys
    assert (looks(either), clean(either)) == (before, set())


def test_after_a_failure_teardown_and_the_next_setup_work(host: XenHost) -> None:
    either = ready(host)
    either.bed.add_ifb(BUFFER)
    assert either.run("setup").status == 5
    either.bed.dom0.ip(f"link delete {BUFFER}")
    # libxl tears down what failed; where it was killed first, the error's key is still there.
    set_up(either)
    assert either.stored(either.path()) == CONNECTED
    assert either.run("teardown").status == 0


@pytest.mark.parametrize(
    ("action", "more", "said"),
    [
        ("start", {}, "expected setup or teardown"),
        ("setup", {"vifname": ""}, "vifname is ''"),
        ("setup", {"vifname": "../../etc"}, "vifname is '../../etc'"),
        ("setup", {"vifname": "-h"}, "vifname is '-h'"),
    ],
)
def test_a_call_that_libxl_would_not_make_is_refused_in_one_line(
    host: XenHost, action: str, more: dict[str, str], said: str
) -> None:
    done = host.run(action, VIF, DOMAIN, 0, **more)
    assert (done.status, len(done.stderr.splitlines())) == (2, 1)
    assert said in done.stderr
    assert said in host.stored(host.path())["hotplug-error"]


def test_a_bad_xenbus_path_is_not_written_to(host: XenHost) -> None:
    done = host.run("setup", XENBUS_PATH="/libxl/1/../../local/domain/0")
    assert (done.status, len(done.stderr.splitlines())) == (2, 1)
    assert set(host.stored("")) == {f"local/domain/{DOMAIN}/name", f"local/domain/{DOMAIN}/vm"}


@pytest.mark.parametrize("how", ["no daemon", "no tools"])
def test_without_xenstore_one_line_says_so_and_nothing_is_held(host: XenHost, how: str) -> None:
    before = looks(host)
    if how == "no daemon":
        (host.folder / "store").rename(host.folder / "gone")
    else:
        (host.folder / "bin").rename(host.folder / "gone")
    done = host.run("setup")
    assert done.status == 3
    assert len(done.stderr.splitlines()) == 1
    assert "no answer from xenstore" in done.stderr
    assert (looks(host), clean(host)) == (before, set())


def test_without_rights_one_line_says_so(host: XenHost) -> None:
    ready(host)
    before = looks(host)
    without = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", "--")
    done = ended(host.start("setup", by=without))
    assert (done.status, len(done.stderr.splitlines())) == (4, 1)
    assert "only root may change network devices" in host.stored(host.path())["hotplug-error"]
    assert (looks(host), clean(host)) == (before, set())


def test_a_second_xl_for_the_same_domain_does_not_take_the_plug_from_the_first(
    host: XenHost,
) -> None:
    """Somebody tells its plug something while the second one listens."""
    set_up(host)
    with host.bed.from_guest() as guest, Libxl(host) as libxl:
        libxl.postsuspend()
        guest.send([stamped(TCP, 0)])
        host.bed.wait_for_held(BUFFER, 1)
        second = host.start("setup")
        number = 0
        while second.poll() is None:
            number += 1
            guest.send([stamped(TCP, number)])
            libxl.postsuspend()
            guest.send([stamped(TCP, 1_000 + number)])
            libxl.commit()
        done = ended(second)
    assert done.status == 5
    assert "something drives the plug" in done.stderr
    assert host.stored(host.path())["ifb"] == BUFFER


def test_protection_by_hand_gives_way_to_the_domains_policy(host: XenHost) -> None:
    plan = build_plan((VIF,), PRESETS["hold-all"], rate=10**9, interval_ns=10**8)
    with host.bed.dom0.entered():
        apply(plan, rate=10**9, interval_ns=10**8, run_dir=host.folder / "run")
    set_up(host)
    (found,) = site(host).verify(VIF)
    assert found.protected.terms is not None
    assert (found.protected.terms.policy, found.agrees) == ("tcp-only", True)
    with host.bed.dom0.entered():
        remove((VIF,), run_dir=host.folder / "run")
