"""What a machine's checks come to, and how they are shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from remusnet.errors import NotPermitted
from remusnet.kernel import doctor
from remusnet.kernel.probe import FEATURES, Feature
from remusnet.report.doctor import doctor_json, doctor_text
from remusnet.results.checks import Check, CheckKind, CheckState, exit_code

Machine = Callable[..., dict[str, Check]]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    """The checks of a machine that has all, but for what ``without`` names, by their names."""

    def machine(
        without: str = "", *, there: bool | None = False, module: str = ""
    ) -> dict[str, Check]:
        features = {
            name: Feature(name, there if name == without else True, tried=there is not None)
            for name in FEATURES
        }

        def require_rights(_what: str) -> None:
            if without == "rights":
                raise NotPermitted("no")

        monkeypatch.setattr(doctor, "probe", lambda: features)
        monkeypatch.setattr(doctor, "require_rights", require_rights)
        monkeypatch.setattr(doctor, "module_file", lambda _name: module)
        monkeypatch.setattr(
            doctor,
            "available_classifiers",
            lambda: () if without == "classifiers" else ("u32", "bpf"),
        )
        monkeypatch.setattr("shutil.which", lambda name, **_: f"/sbin/{name}")
        return {each.what: each for each in doctor.check_kernel(tmp_path)}

    return machine


def test_a_machine_that_has_all_is_ready(machine: Machine) -> None:
    checks = machine().values()
    needed = [each for each in checks if each.needed]
    assert {each.state for each in needed} == {CheckState.OK}
    assert exit_code(checks) == 0
    assert doctor_text(list(checks)).endswith("remusnet apply has all that it needs.")


@pytest.mark.parametrize("without", ["ifb", "sch_plug", "sch_ingress", "act_mirred", "classifiers"])
def test_without_what_apply_needs_it_is_not_ready(machine: Machine, without: str) -> None:
    checks = list(machine(without).values())
    assert exit_code(checks) == 3
    name = "a classifier" if without == "classifiers" else without
    assert doctor_text(checks).endswith(f"It needs: {name}.")


@pytest.mark.parametrize("without", ["clsact", "cls_flower", "cls_matchall", "ipv6"])
def test_without_the_rest_it_is_ready(machine: Machine, without: str) -> None:
    checks = machine(without)
    assert checks[without].state is CheckState.MISSING
    assert exit_code(checks.values()) == 0


def test_rights_alone_have_their_own_exit_code(machine: Machine) -> None:
    checks = machine("rights")
    assert exit_code(checks.values()) == 4
    assert checks["CAP_NET_ADMIN"].mend == "run remusnet as root: sudo remusnet ..."
    plug = Check("sch_plug", CheckKind.KERNEL, CheckState.MISSING, "", "", needed=True)
    assert exit_code([*checks.values(), plug]) == 3


def test_what_is_not_known_is_not_missing(machine: Machine) -> None:
    checks = machine("sch_plug", there=None)
    assert checks["sch_plug"].state is CheckState.UNKNOWN
    assert checks["sch_plug"].mend == "run remusnet doctor as root, which tries it"
    assert exit_code(checks.values()) == 0
    assert doctor_text(list(checks.values())).endswith("may work here. Not known: sch_plug.")


def test_each_feature_and_only_those_has_a_reason() -> None:
    assert doctor._WHY.keys() == FEATURES.keys()


@pytest.mark.parametrize(
    ("module", "release", "said"),
    [
        ("kernel/net/sched/sch_plug.ko", "6.1.0-28-amd64", "modprobe sch_plug"),
        ("", "6.1.0-28-cloud-amd64", "apt install linux-image-"),
        ("", "6.1.0", "boot a kernel that is built with CONFIG_NET_SCH_PLUG=m"),
    ],
)
def test_what_mends_a_kernel_depends_on_where_the_module_is(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, module: str, release: str, said: str
) -> None:
    class Name:
        def __init__(self) -> None:
            self.release = release

    monkeypatch.setattr("os.uname", Name)
    assert machine("sch_plug", module=module)["sch_plug"].mend.startswith(said)


def test_a_run_directory_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (check,) = doctor._files(tmp_path / "file" / "below")
    assert (check.state, check.kind) == (CheckState.MISSING, CheckKind.FILES)
    assert check.found == f"{tmp_path}/file is no directory"


def test_a_closed_run_directory_is_a_matter_of_rights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda _path, _mode: False)
    (check,) = doctor._files(tmp_path / "below")
    assert (check.state, check.kind) == (CheckState.MISSING, CheckKind.RIGHTS)


def test_a_run_directory_that_others_can_change_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (check,) = doctor._files(tmp_path / "run")
    assert check.state is CheckState.OK
    (tmp_path / "run").chmod(0o777)
    (check,) = doctor._files(tmp_path / "run")
    assert check.state is CheckState.MISSING
    assert "others may write it" in check.found
    assert "chmod" in check.mend


def test_what_is_not_ok_says_why_it_matters_and_what_mends_it(machine: Machine) -> None:
    text = doctor_text(list(machine("sch_plug").values()))
    assert "MISSING sch_plug" in text
    assert "        for: the plug, which holds frames until their checkpoint commits\n" in text
    assert "        mend: boot a kernel that is built with CONFIG_NET_SCH_PLUG=m" in text


def test_json_has_each_check_and_what_they_come_to(machine: Machine) -> None:
    checks = list(machine("sch_plug").values())
    found = json.loads(doctor_json(checks))
    assert (found["ready"], found["exit_code"]) == (False, 3)
    assert [each["what"] for each in found["checks"]] == [each.what for each in checks]
    assert found["checks"][0].keys() == {
        *("what", "kind", "state", "found", "why", "mend", "needed"),
    }


class TestUserModeLinux:
    def test_a_machine_that_has_not_installed_it_hears_nothing_of_it(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(doctor, "_UML", tmp_path / "nowhere")
        assert "User-Mode Linux" not in machine()

    @pytest.mark.parametrize(
        ("flags", "gcc", "state", "mend"),
        [
            ("fpu avx512f", None, CheckState.OK, ""),
            ("fpu amx_tile", "/usr/bin/gcc", CheckState.OK, ""),
            ("fpu amx_tile", None, CheckState.MISSING, "apt install gcc libc6-dev"),
        ],
    )
    def test_with_amx_it_needs_a_compiler(
        self,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        flags: str,
        gcc: str | None,
        state: CheckState,
        mend: str,
    ) -> None:
        (tmp_path / "linux.uml").touch()
        (tmp_path / "cpuinfo").write_text(f"flags\t\t: {flags}\n")
        monkeypatch.setattr(doctor, "_UML", tmp_path / "linux.uml")
        monkeypatch.setattr(doctor, "_CPUINFO", tmp_path / "cpuinfo")
        monkeypatch.setattr("shutil.which", lambda _name: gcc)
        (check,) = doctor._uml(tmp_path)
        assert (check.state, check.mend, check.needed) == (state, mend, False)
        assert ("AMX" in check.found) == ("amx" in flags)
