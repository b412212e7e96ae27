"""``remusnet xen`` and ``--domain`` as a user meets them, without a Xen and without rights."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from remusnet.report.xen import (
    installed_text,
    recovered_text,
    under_remus_json,
    under_remus_text,
)
from remusnet.results.protection import Protected, ReceiptTerms, Status
from remusnet.results.xen import FileChange, Installed, Recovered, RemusVif
from tests.lib.program import Run, runner


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


@pytest.fixture
def dom0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "dom0/etc/xen/scripts").mkdir(parents=True)
    monkeypatch.setenv("REMUSNET_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("REMUSNET_CONFIG", str(tmp_path / "remusnet.toml"))
    monkeypatch.setenv("REMUSNET_RUN_DIR", str(tmp_path / "run"))
    return tmp_path / "dom0"


def files(root: Path) -> list[str]:
    return sorted(str(each) for each in root.rglob("*") if not each.is_dir())


def test_install_and_uninstall_leave_a_dom0_as_it_was(run: Run, dom0: Path) -> None:
    code, out, err = run("xen", "install", "--root", str(dom0), "--default", "--dry-run")
    assert (code, err, files(dom0)) == (0, "", [])
    assert out.count("would be: ") == 3
    code, out, err = run("xen", "install", "--root", str(dom0), "--default", "--json")
    assert (code, err) == (0, "")
    assert [each["path"] for each in json.loads(out)["changes"]] == [
        f"{dom0}/etc/xen/scripts/remusnet-netbuf",
        f"{dom0}/usr/local/sbin/remusnet-netbuf",
        f"{dom0}/etc/xen/xl.conf",
    ]
    assert run("xen", "install", "--root", str(dom0), "--default")[1] == "nothing to change\n"
    code, out, err = run("xen", "uninstall", "--root", str(dom0))
    assert (code, err, files(dom0)) == (0, "", [])


def test_install_over_somebody_elses_script_is_a_conflict(run: Run, dom0: Path) -> None:
    (dom0 / "etc/xen/scripts/remusnet-netbuf").write_text("#!/bin/sh\n")
    code, out, err = run("xen", "install", "--root", str(dom0))
    assert (code, out, err.count("\n")) == (5, "", 1)


def test_without_xen_one_line_says_what_is_missing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = run("xen", "install", "--root", str(tmp_path))
    assert (code, err.count("\n")) == (3, 1)
    monkeypatch.setattr("remusnet.host.commands._FOLDERS", ())
    monkeypatch.setenv("PATH", "/no/such")
    for words in (["status"], ["recover"]):
        code, _, err = run("xen", *words, "--run-dir", str(tmp_path))
        assert (code, err.count("\n")) == (3, 1)
        assert "xenstore" in err


@pytest.mark.parametrize("words", [["apply", "--dry-run"], ["status"]])
def test_a_domain_without_libvirt_python_is_a_hint(
    run: Run, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "libvirt", None)
    code, _, err = run(*words, "--domain", "guest")
    assert (code, err.count("\n")) == (3, 1)
    assert "pip install 'remusnet[libvirt]'" in err


def test_apply_wants_a_vif_or_a_domain_and_not_both(run: Run) -> None:
    assert run("apply", "--dry-run")[0] == 2
    code, _, err = run("apply", "--dry-run", "vif1.0", "--domain", "guest")
    assert (code, "not both" in err) == (2, True)


@pytest.mark.libvirt
def test_a_domains_card_with_two_devices_gets_one_buffer(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("libvirt", reason="libvirt-python is not installed")
    file = tmp_path / "node.xml"
    file.write_text(
        "<node><domain type='test'><name>guest</name><memory>8192</memory><vcpu>1</vcpu>"
        "<os><type arch='x86_64'>hvm</type></os><devices>"
        "<interface type='bridge'><source bridge='b'/><target dev='vif7.0-emu'/></interface>"
        "<interface type='bridge'><source bridge='b'/><target dev='vif7.1'/></interface>"
        "</devices></domain></node>"
    )
    for name in ("vif7.0", "vif7.0-emu", "vif7.1"):
        (tmp_path / "net" / name).mkdir(parents=True)
    monkeypatch.setattr("remusnet.host.libvirt._SYS", tmp_path / "net")
    connect = ("--domain", "guest", "--connect", f"test://{file}")
    code, out, _ = run("apply", "--dry-run", "--json", *connect)
    assert code == 0
    assert json.loads(out)["protections"] == [
        {"buffer": "ifb-7.0", "sink": "sink-7.0", "vifs": ["vif7.0", "vif7.0-emu"]},
        {"buffer": "ifb-7.1", "sink": "sink-7.1", "vifs": ["vif7.1"]},
    ]
    code, out, _ = run("apply", "--dry-run", "--json", "--buffer", "ifb0", *connect)
    assert len(json.loads(out)["protections"]) == 1


def test_policy_check_takes_a_file_of_domains(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "remusnet.toml"
    file.write_text('[default]\npolicy = "real-time"\n[[domain]]\nname = "a"\n')
    assert run("policy", "check", str(file)) == (0, f"{file}: ok (1 domain, else real-time)\n", "")
    assert json.loads(run("policy", "check", "--json", str(file))[1]) == [
        {"file": str(file), "ok": True, "mistakes": [], "warnings": []}
    ]
    file.write_text('[default]\npolicy = "real-tmie"\n[[domain]]\n')
    code, out, err = run("policy", "check", str(file))
    assert (code, out, err.count("\n")) == (2, "", 2)
    assert "did you mean 'real-time'" in err


TERMS = ReceiptTerms("tcp-only", "u32", 50_000_000, 10**9, 200_000_000, "applied", "0.1.0", True)
STATUS = Status(
    protected=Protected("ifb-1.0", ("vif1.0",), TERMS),
    held=7,
    bypassed=9,
    backlog=1500,
    waiting=1,
    overflowed=0,
    refused=0,
    decouple=True,
    uncopied=0,
    plug="buffering",
    driver="",
    warnings=("a warning",),
)


def test_status_names_domain_vif_policy_and_backlog() -> None:
    found = [RemusVif(1, "guest", 0, "ifb-1.0", True, "", STATUS)]
    text = under_remus_text(found)
    assert text.startswith("guest (domain 1): vif1.0\n")
    for each in ("ifb-1.0", "tcp-only", "50.0 MB", "1500 B in 1 packet", "are copied", "a warning"):
        assert each in text
    (vif,) = json.loads(under_remus_json(found))["vifs"]
    assert (vif["domain"], vif["domid"], vif["left_over"]) == ("guest", 1, None)
    assert vif["protection"]["backlog_bytes"] == 1500
    assert under_remus_text([]) == "no domain is under Remus\n"


def test_what_is_left_over_says_what_ends_it() -> None:
    text = under_remus_text([RemusVif(1, "", 0, "ifb-1.0", True, "domain 1 is gone", None)])
    assert 'left over  domain 1 is gone: "remusnet xen recover" ends it' in text
    assert "which is gone" in text
    assert "not remusnet's" in under_remus_text([RemusVif(1, "a", 0, "ifb0", False, "", None)])


def test_a_dry_run_speaks_of_what_would_be() -> None:
    change = Installed((FileChange("/x", "written"),), dry_run=True)
    assert installed_text(change) == "/x: would be: written\n"
    held = [Recovered("ifb-1.0", ("vif1.0",), "guest", 3)]
    assert recovered_text(held, dry_run=True).endswith(
        "would be removed; 3 held packets would be released\n"
    )
    kept = [Recovered("ifb-1.0", ("vif1.0",), "guest", 3, kept="somebody drives it")]
    assert "left as it is: somebody drives it" in recovered_text(kept, dry_run=False)
