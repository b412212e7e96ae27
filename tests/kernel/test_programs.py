"""Programs that see a vif's frames before its filters do: found on a real kernel, by name.

UML's kernel has no tcx: these run on the one that is there, in a namespace of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from remusnet.kernel.change.verify import verify
from remusnet.kernel.doctor import check_vifs
from remusnet.kernel.prepared import sees_frames_first
from remusnet.kernel.state.observe import observe
from remusnet.kernel.state.receipt import Phase, Receipts, receipts_of
from remusnet.kernel.wire.netlink import Netlink, program_name, tcx_programs
from remusnet.plan.plan import build_plan
from remusnet.policy import PRESETS
from remusnet.results.checks import CheckState
from tests.kernel.lab.namespace import Namespace, ip_batch, namespaces
from tests.kernel.lab.programs import NAME, attach

pytestmark = pytest.mark.netns
VIF = "vif1.0"


@pytest.fixture
def dom0() -> Iterator[Namespace]:
    """A namespace with a vif that nobody has touched."""
    with namespaces("dom0") as (made,):
        ip_batch(f"link add {VIF} type veth peer name peer\n", made.name)
        yield made


@pytest.fixture(params=["tcx", "XDP"])
def hook(request: pytest.FixtureRequest, dom0: Namespace) -> str:
    """Where somebody has attached a program that lets every frame of the vif pass."""
    name: str = request.param
    with dom0.entered():
        attach(name, VIF)
    return name


def seen_at(dom0: Namespace) -> tuple[str, ...]:
    with dom0.entered(), Netlink() as netlink:
        return tuple(map(str, observe(netlink, [VIF]).programs.get(VIF, ())))


def apply_as_user(dom0: Namespace, run_dir: Path, *prefix: str) -> tuple[int, str]:
    done = dom0.remusnet("apply", VIF, "--run-dir", str(run_dir), by=prefix)
    return done.returncode, done.stderr


def number_of(shown: str) -> int:
    return int(shown.split(" ")[2])


def test_apply_names_the_program_that_would_come_first(
    dom0: Namespace, hook: str, tmp_path: Path
) -> None:
    (shown,) = seen_at(dom0)
    assert shown == f"{hook} program {number_of(shown)} ('{NAME}')"
    code, said = apply_as_user(dom0, tmp_path)
    assert (code, len(said.splitlines())) == (5, 1)
    assert f"{VIF} has a program that sees frames before remusnet's filters do" in said
    assert f"may let them pass: {shown};" in said


def test_without_the_right_to_ask_for_names_it_is_named_by_its_number(
    dom0: Namespace, hook: str, tmp_path: Path
) -> None:
    """Names need CAP_SYS_ADMIN; that there is one shows with CAP_NET_ADMIN."""
    (shown,) = seen_at(dom0)
    code, said = apply_as_user(dom0, tmp_path, "setpriv", "--bounding-set", "-sys_admin")
    assert code == 5
    assert f"pass: {hook} program {number_of(shown)};" in said


def test_verify_does_not_say_as_applied(dom0: Namespace, hook: str, tmp_path: Path) -> None:
    plan = build_plan([VIF], PRESETS["tcp-only"], rate=10**9, interval_ns=200_000_000)
    store = Receipts(tmp_path)
    store.write(receipts_of(plan, rate=10**9, interval_ns=200_000_000, shared={}), Phase.APPLIED)
    (shown,) = seen_at(dom0)
    with dom0.entered():
        ((found,), notes) = verify(run_dir=tmp_path)
    differences = {each.what: each.current for each in found.differences}
    assert differences["program before the filters"].startswith(f"{shown}, which sees frames first")
    assert notes == ()


def test_doctor_names_the_vif_and_the_program(dom0: Namespace, hook: str, tmp_path: Path) -> None:
    (shown,) = seen_at(dom0)
    with dom0.entered():
        (check,) = check_vifs(tmp_path)
    assert (check.state, check.found) == (CheckState.MISSING, f"{VIF}: {shown} has it")
    assert "bpftool net show" in check.mend


def test_the_netbuf_script_leaves_such_a_vif_to_apply(dom0: Namespace, hook: str) -> None:
    with dom0.entered(), Netlink() as netlink:
        devices = observe(netlink, []).devices
        assert sees_frames_first(netlink, devices[VIF].index), hook
        assert not sees_frames_first(netlink, devices["peer"].index)


def test_a_vif_without_programs_is_free(dom0: Namespace, tmp_path: Path) -> None:
    assert seen_at(dom0) == ()
    with dom0.entered():
        (check,) = check_vifs(tmp_path)
        assert tcx_programs(2**31 - 1) == ()  # a device that is gone
    assert check.state is CheckState.OK
    assert program_name(2**32 - 1) == ""
