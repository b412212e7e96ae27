"""The Xen part of remusnet doctor, on Dom0s made of files."""

from __future__ import annotations

from pathlib import Path

import pytest

import remusnet
from remusnet.host.doctor import check_xen, is_xen_host, without_blackhole
from remusnet.host.install import ran_by, script_text
from remusnet.results.checks import Check, CheckState

DEBIANS = b"\x7fELF...Remus: No support for network buffering\0"
REBUILT = DEBIANS + b"libnl-route-3.so.200\0libxl_netbuffer.c"
LIBRARY = "usr/lib/x86_64-linux-gnu/libxenlight.so.4.17.0"
STATUS = "Package: libc6\nVersion: 2\n\nPackage: libxenmisc4.17\nStatus: x\nVersion: 4.17.5-1\n"


def put(root: Path, path: str, content: str | bytes = "", mode: int = 0o644) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    file.chmod(mode)


@pytest.fixture
def dom0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As Debian installs it."""
    for name in ("CONFIG", "STATE_DIR", "RUN_DIR"):
        monkeypatch.delenv(f"REMUSNET_{name}", raising=False)
    put(tmp_path, "proc/xen/capabilities", "control_d\n")
    put(tmp_path, "proc/modules", "xen_netback 1 0 - Live\n")
    put(tmp_path, "sys/hypervisor/type", "xen\n")
    put(tmp_path, "sys/hypervisor/version/major", "4\n")
    put(tmp_path, "sys/hypervisor/version/minor", "17\n")
    put(tmp_path, "sys/hypervisor/version/extra", ".6-pre\n")
    put(tmp_path, "etc/xen/scripts/vif-bridge")
    put(tmp_path, "etc/xen/xl.conf", "#claim_mode=1\n")
    put(tmp_path, LIBRARY, DEBIANS)
    put(tmp_path, "var/lib/dpkg/status", STATUS)
    return tmp_path


def wrong(root: Path) -> dict[str, Check]:
    return {each.what: each for each in check_xen(root) if each.state is not CheckState.OK}


def test_a_machine_without_xen_hears_nothing_of_it(tmp_path: Path) -> None:
    assert not is_xen_host(tmp_path)
    assert check_xen(tmp_path) == []


def test_a_fresh_debian_lacks_the_library_and_both_scripts(dom0: Path) -> None:
    found = wrong(dom0)
    assert set(found) == {
        "libxenlight with network buffering",
        "remusnet's netbuf script",
        "xl remus's default script",
    }
    assert "No support for network buffering" in found["libxenlight with network buffering"].found
    assert "scripts/build-libxenlight" in found["libxenlight with network buffering"].mend
    assert "there is no" in found["xl remus's default script"].found
    assert all(each.mend and not each.needed for each in found.values())


def mend(root: Path) -> None:
    put(root, LIBRARY, REBUILT)
    put(root, "usr/lib/remusnet/libxenlight.so.4.17.0.debian", DEBIANS)
    put(root, "usr/lib/remusnet/libxenlight.version", "4.17.5-1\n4.17.5-1\n")
    put(root, "etc/xen/scripts/remusnet-netbuf", script_text("/opt/r/bin/python"), 0o755)
    put(root, "opt/r/bin/python", "", 0o755)
    line = 'remus.default.netbufscript="/etc/xen/scripts/remusnet-netbuf"\n'
    put(root, "etc/xen/xl.conf", line)


def test_what_is_mended_is_ok(dom0: Path) -> None:
    mend(dom0)
    assert wrong(dom0) == {}
    assert any(each.found == "Xen 4.17.6-pre" for each in check_xen(dom0))


def test_a_library_of_another_source_than_the_installed_one_is_older_whatever_it_was_built_for(
    dom0: Path,
) -> None:
    mend(dom0)
    put(dom0, "usr/lib/remusnet/libxenlight.version", "4.17.4-9\n4.17.5-1\n")
    (found,) = wrong(dom0).values()
    assert found.found == "built from 4.17.4-9, installed is 4.17.5-1"


@pytest.mark.parametrize(
    ("path", "content", "what"),
    [
        ("sys/hypervisor/type", None, "Xen"),
        ("proc/modules", "", "xen-netback"),
        (LIBRARY, None, "libxenlight with network buffering"),
        (
            "usr/lib/remusnet/libxenlight.version",
            "4.17.4-1",
            "libxenlight as new as Xen's other libraries",
        ),
        ("opt/r/bin/python", None, "the script's Python"),
        ("etc/xen/xl.conf", 'remus.default.netbufscript="/gone"', "xl remus's default script"),
        ("etc/remusnet/remusnet.toml", "[default", "the file of domains"),
        ("var/lib/remusnet/netbuf.ready", "old", "prepared filters"),
    ],
)
def test_each_fault_is_found_with_its_mend(
    dom0: Path, path: str, content: str | None, what: str
) -> None:
    mend(dom0)
    if content is None:
        (dom0 / path).unlink()
    else:
        put(dom0, path, content)
    found = wrong(dom0)
    assert list(found) == [what]
    assert found[what].mend


def test_a_python_that_others_can_change_is_found(dom0: Path) -> None:
    mend(dom0)
    (dom0 / "opt/r").chmod(0o777)
    found = wrong(dom0)
    assert list(found) == ["the script's Python"]
    assert "/opt/r: others may write it" in found["the script's Python"].found
    assert found["the script's Python"].mend


def test_a_script_names_its_python_and_its_package() -> None:
    assert ran_by(script_text("/opt/r/bin/python")) == (
        "/opt/r/bin/python",
        str(Path(remusnet.__file__).parent),
    )


def test_xens_own_script_is_a_default_too(dom0: Path) -> None:
    put(dom0, "etc/xen/scripts/remus-netbuf-setup", "#!/bin/bash\n")
    assert "xl remus's default script" not in wrong(dom0)


def test_a_blackhole_qdisc_is_named_with_its_device_and_what_it_does() -> None:
    assert without_blackhole(()).state is CheckState.OK
    check = without_blackhole(("dummy0", "ifb\x1b7"))
    assert check.state is CheckState.MISSING
    assert "'dummy0', 'ifb\\x1b7'" in check.found
    assert "pfifo" in check.mend
