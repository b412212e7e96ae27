"""A host's desired state, as a user types it: diff, apply --file, apply --all."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from remusnet.errors import KernelRefused
from remusnet.host.desired import Candidate, load_desired, orders
from remusnet.host.netbuf.places import OWNER_SUFFIX
from remusnet.kernel.change.apply import apply_each
from remusnet.kernel.change.execute import Interrupted
from remusnet.kernel.state.receipt import Receipts
from remusnet.kernel.wire.messages import PlugAction
from remusnet.kernel.wire.netlink import Answer
from remusnet.results.protection import Applied
from tests.kernel.lab.bed import BRIDGE, VIF
from tests.kernel.lab.packets import stamped
from tests.kernel.lab.protection import BUFFER, TCP_FRAME, Site, failing, refusing

pytestmark = pytest.mark.uml(timeout=240)

OTHERS = ("vif2.0", "vif2.0-emu", "vif3.0")


@pytest.fixture
def vifs(site: Site) -> Iterator[tuple[str, ...]]:
    """Two guests more, one with both devices of its card; one of them on the bridge."""
    dom0 = site.bed.dom0
    for each in OTHERS:
        dom0.ip(f"link add {each} type dummy")
    dom0.ip(f"link set vif3.0 master {BRIDGE}")
    yield (VIF, *OTHERS)
    left = {name for each in Receipts(site.run_dir).read()[0].values() for name in each.vifs}
    if left:
        site.remove(*left)
    for each in OTHERS:
        dom0.ip(f"link delete {each}")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "remusnet.toml"
    made.write_text(
        f"""
        [default]
        memory = "1MB"
        [[vif]]
        name = "vif9.0"
        [[vif]]
        bridge = "{BRIDGE}"
        policy = "real-time"
        [[vif]]
        pattern = "vif2.*"
        """
    )
    return made


def differing(out: str) -> dict[tuple[str, ...], bool]:
    return {tuple(each["vifs"]): each["agrees"] for each in json.loads(out)["vifs"]}


def test_apply_makes_true_what_diff_has_shown_and_then_nothing_is_left_to_do(
    site: Site, vifs: tuple[str, ...], file: Path
) -> None:
    code, out, err = site.program("diff", "--file", str(file), "--json")
    found = json.loads(out)
    assert (code, err) == (1, "remusnet: error: 4 vifs differ\n")
    assert [each["vifs"] for each in found["vifs"]] == [
        [VIF],
        ["vif3.0"],
        ["vif2.0", "vif2.0-emu"],
    ]
    assert found["absent"] == [{"path": "vif[1]", "wants": "name 'vif9.0'"}]
    foreseen = {tuple(each["vifs"]): len(each["operations"]) for each in found["vifs"]}
    code, out, _ = site.program("apply", "--file", str(file), "--json")
    done = json.loads(out)
    assert (code, done["changed"]) == (0, True)
    assert {tuple(each["vifs"]): each["operations"] for each in done["vifs"]} == foreseen
    assert site.agrees()
    looks = site.looks()
    assert site.program("diff", "--file", str(file))[0] == 0
    code, out, _ = site.program("apply", "--file", str(file))
    assert (code, site.looks()) == (0, looks)
    assert "nothing to change for all 3" in out


def test_one_failing_vif_stops_none_of_the_others_and_is_in_the_exit_code(
    site: Site, vifs: tuple[str, ...], file: Path
) -> None:
    site.bed.dom0.tc("qdisc add dev vif3.0 ingress")
    site.bed.dom0.tc("filter add dev vif3.0 ingress pref 7 protocol ip matchall action ok")
    code, out, err = site.program("apply", "--file", str(file))
    assert code == 5
    assert err.splitlines()[-1].startswith(
        "remusnet: error: vif3.0: has an ingress qdisc with filters that are not remusnet's"
    )
    assert "vif2.0, vif2.0-emu: protected (policy tcp-only" in out
    protected = {each.protected.vifs for each in site.verify()}
    assert protected == {(VIF,), ("vif2.0", "vif2.0-emu")}
    assert site.agrees()
    code, out, _ = site.program("diff", "--file", str(file), "--json")
    assert (code, differing(out)) == (
        1,
        {(VIF,): True, ("vif3.0",): False, ("vif2.0", "vif2.0-emu"): True},
    )
    site.bed.dom0.tc("qdisc delete dev vif3.0 ingress")


def test_one_policy_for_all_takes_every_vif_and_leaves_others_alone(
    site: Site, vifs: tuple[str, ...]
) -> None:
    words = ("apply", "--all", "--policy", "hold-all", "--memory", "1MB")
    code, out, _ = site.program(*words, "--dry-run")
    assert (code, site.files()) == (0, set())
    assert "tc qdisc add dev ifb-2.0 root plug limit 80000" in out
    assert site.program(*words)[0] == 0
    assert {each.protected.vifs for each in site.verify()} == {
        (VIF,),
        ("vif2.0", "vif2.0-emu"),
        ("vif3.0",),
    }


def test_what_the_netbuf_script_has_set_up_is_refused_and_stays_as_it_is(
    site: Site, vifs: tuple[str, ...], file: Path
) -> None:
    site.apply(site.plan("hold-all"))
    (site.run_dir / f"{BUFFER}{OWNER_SUFFIX}").write_text("/libxl/1/remus/netbuf/0\n")
    before = Receipts(site.run_dir).read()[0][BUFFER]
    code, out, err = site.program("apply", "--file", str(file))
    assert code == 5
    assert f"{BUFFER}, which belongs to xl" in err
    assert "vif3.0: protected" in out
    assert Receipts(site.run_dir).read()[0][BUFFER] == before
    (site.run_dir / f"{BUFFER}{OWNER_SUFFIX}").unlink()


def test_a_mistaken_file_touches_nothing(site: Site, file: Path) -> None:
    file.write_text("[[vif]]\nnmae = 'vif1.0'\n[[vif]]\npolicy = 'none'\n")
    for command in ("diff", "apply"):
        code, out, err = site.program(command, "--file", str(file))
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "4 mistakes, the first: vif[1].nmae" in err
    assert site.files() == set()


def test_a_failure_at_any_message_leaves_that_vif_as_it_was_and_the_others_protected(
    site: Site, vifs: tuple[str, ...], file: Path
) -> None:
    with site.bed.dom0.entered():
        wanted = tuple(orders(load_desired(str(file)).wishes(_candidates(*vifs))))
    clean, total = site.looks(), sum(len(each.plan.operations) for each in wanted)
    for at in range(1, total + 1, 7):
        with site.bed.dom0.entered(), failing(site, at, refusing(12)) as netlink:
            found, _ = apply_each(wanted, run_dir=site.run_dir, netlink=netlink)
        (failed,) = (each for each in found if not isinstance(each, Applied))
        assert isinstance(failed, KernelRefused)
        assert site.agrees()
        assert len(site.verify()) == len(wanted) - 1
        site.remove(*(vif for each in site.verify() for vif in each.protected.vifs))
        assert site.looks() == clean


def test_a_signal_stops_after_the_vif_that_is_being_done_and_keeps_those_before(
    site: Site, vifs: tuple[str, ...], file: Path
) -> None:
    with site.bed.dom0.entered():
        wanted = tuple(orders(load_desired(str(file)).wishes(_candidates(*vifs))))

    def interrupt(send: Callable[[], Answer]) -> Answer:
        signal.raise_signal(signal.SIGTERM)
        return send()

    at = len(wanted[0].plan.operations) + 3
    with site.bed.dom0.entered(), failing(site, at, interrupt) as netlink:
        found, _ = apply_each(wanted, run_dir=site.run_dir, netlink=netlink)
    assert [type(each) for each in found] == [Applied, Interrupted, Interrupted]
    assert site.agrees()
    assert [each.protected.vifs for each in site.verify()] == [wanted[0].plan.vifs]


def test_an_ingress_qdisc_that_somebody_deleted_comes_back_and_nothing_held_leaves(
    site: Site,
) -> None:
    site.apply(site.plan())
    site.plug(PlugAction.BUFFER)
    with site.bed.from_guest() as guest, site.bed.at_client() as client:
        guest.send([stamped(TCP_FRAME, 1)])
        site.bed.wait_for_held(BUFFER, 1)
        site.bed.dom0.tc(f"qdisc delete dev {VIF} ingress")
        site.apply(site.plan())
        assert site.agrees()
        guest.send([stamped(TCP_FRAME, 2)])
        site.bed.wait_for_held(BUFFER, 2)
        assert client.stamps() == []
        site.remove()
        assert client.expect(2) == [1, 2]


def _candidates(*names: str) -> list[Candidate]:
    return [Candidate(each, BRIDGE if each in (VIF, "vif3.0") else "") for each in names]
