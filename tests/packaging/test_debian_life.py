"""The Debian package in a bare Debian 12: installed, upgraded, removed, purged; and with systemd.

The root is mmdebstrap's. For systemd, a UML kernel boots an image of it, with a real sch_plug.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from remusnet.lab.account import ordinary_account
from remusnet.lab.kernel import find_kernel
from remusnet.lab.uml import memory_bytes, memory_directory
from tests.packaging.conftest import run

SCRIPTS = Path(__file__).parent / "debian"
OLDER = "0.0.9-1"
MEMORY = "512M"
BOOT_S = 900
LEAST_SECURE = 4.0
"""Of "systemd-analyze security", whose exposure levels of OK end there."""

pytestmark = [
    pytest.mark.packaging,
    pytest.mark.long,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a root directory"),
    pytest.mark.needs("mmdebstrap", "bwrap", "dpkg-buildpackage", "mkfs.ext4", "debugfs"),
    pytest.mark.xdist_group("debian package"),
]


@pytest.fixture(scope="module")
def root(
    built_package: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A Debian 12 with nothing but systemd and apt, and in /debs the package in two versions."""
    work = tmp_path_factory.mktemp("bare")
    work.chmod(0o755)
    there = work / "root"
    run(
        *("unshare", "--mount", "--propagation", "private"),
        *("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase"),
        "--include=systemd-sysv,dbus,kmod,iproute2,ca-certificates,adduser",
        *("bookworm", there),
        cwd=work,
    )
    (there / "debs").mkdir()
    shutil.copy(built_package[0], there / "debs" / "newer.deb")
    _repack(built_package[0], there / "debs" / "older.deb", work / "older")
    for script in SCRIPTS.iterdir():
        shutil.copy(script, there / script.name)
    yield there
    shutil.rmtree(work)


def _repack(package: Path, target: Path, scratch: Path) -> None:
    """The same package as one of a lower version, whose conffile was another."""
    run("dpkg-deb", "--raw-extract", package, scratch, cwd=target.parent)
    control = scratch / "DEBIAN" / "control"
    control.write_text(re.sub(r"(?m)^Version: .*$", f"Version: {OLDER}", control.read_text()))
    with (scratch / "etc/remusnet/remusnet.toml").open("a") as file:
        file.write("# of an older version\n")
    (scratch / "DEBIAN" / "md5sums").unlink()
    run("dpkg-deb", "--root-owner-group", "--build", scratch, target, cwd=target.parent)


def inside(root: Path, *command: str) -> str:
    """What a command says that must succeed in there; of the host it has the network."""
    options: list[str | Path] = []
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        if name in os.environ:
            options += ["--setenv", name, os.environ[name]]
    if Path("/etc/ssl/certs/ca-certificates.crt").exists():
        options += ["--ro-bind", "/etc/ssl/certs", "/etc/ssl/certs"]
    done = subprocess.run(
        [
            *("bwrap", "--bind", root, "/", "--proc", "/proc", "--dev", "/dev"),
            *("--tmpfs", "/run", "--tmpfs", "/dev/shm", "--ro-bind", "/sys", "/sys"),
            *("--ro-bind", "/etc/resolv.conf", "/etc/resolv.conf"),
            *("--ro-bind", "/etc/hosts", "/etc/hosts"),
            *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--die-with-parent"),
            *("--cap-add", "ALL", "--clearenv", "--setenv", "HOME", "/root"),
            *("--setenv", "LANG", "C.UTF-8", "--setenv", "DEBIAN_FRONTEND", "noninteractive"),
            *("--setenv", "PATH", "/usr/sbin:/usr/bin:/sbin:/bin", *options, *command),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def test_it_is_installed_upgraded_removed_and_purged(root: Path) -> None:
    inside(root, "bash", "/life.sh")


@pytest.fixture(scope="module")
def said(root: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What booted.sh has printed, in that root with the older package and a systemd as PID 1."""
    # Whatever the test before has left.
    inside(root, "dpkg", "--purge", "remusnet")
    install = "apt-get update -q && apt-get install -q -y --no-install-recommends"
    inside(root, "sh", "-c", f"{install} /debs/older.deb python3-prometheus-client")
    # As prometheus-node-exporter makes them; that needs no more than a file to be read.
    inside(root, "adduser", "--system", "--group", "--quiet", "prometheus")
    folder = "/var/lib/prometheus/node-exporter"
    inside(root, "install", "-d", "-o", "prometheus", "-g", "prometheus", folder)
    kernel = find_kernel()
    shutil.copytree(kernel.modules, root / "lib/modules", dirs_exist_ok=True, symlinks=True)
    unit = "[Unit]\nRequires=multi-user.target\nAfter=multi-user.target\n"
    (root / "etc/systemd/system/booted.service").write_text(
        f"{unit}[Service]\nType=oneshot\nTimeoutStartSec={BOOT_S}\nExecStart=/bin/bash /booted.sh\n"
        "ExecStopPost=/bin/systemctl --no-block poweroff\n"
    )
    (root / "etc/systemd/system/booted.target").write_text(
        f"{unit}Requires=booted.service\nAfter=booted.service\nAllowIsolate=yes\n"
    )
    (root / "etc/fstab").write_text("")
    work = tmp_path_factory.mktemp("booted")
    image = work / "image"
    with image.open("wb") as file:
        file.truncate(1200 << 20)
    run("mkfs.ext4", "-q", "-d", root, image, cwd=work)
    _boot(image, work)
    return run("debugfs", "-R", "cat /booted.out", image, cwd=work)


def _boot(image: Path, work: Path) -> None:
    """Boot it, and wait until it has turned itself off."""
    kernel, account = find_kernel(), ordinary_account()
    for path in (image, work):
        os.chown(path, account.uid, account.gid)
    # The account has to come here; pytest's folders are root's own.
    for parent in [work, *work.parents][:-1]:
        if parent.stat().st_uid == os.geteuid() and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o001)
    libraries = ":".join(map(str, kernel.preload))
    with (work / "console").open("wb") as console:
        subprocess.run(
            [
                *("timeout", "-k", "5", str(BOOT_S)),
                kernel.linux,
                *(f"mem={MEMORY}", f"ubd0={image}", "root=/dev/ubda", "rw"),
                *("con=null", "con0=null,fd:1", "ssl=null", "quiet", "loglevel=4"),
                *(f"uml_dir={work / 'uml'}", "random.trust_cpu=1"),
                *("init=/lib/systemd/systemd", "systemd.unit=booted.target"),
            ],
            cwd=work,
            env={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "TMPDIR": memory_directory(memory_bytes(MEMORY)),
                **({"LD_PRELOAD": libraries} if libraries else {}),
            },
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            check=False,
            start_new_session=True,
            **account.drop(),
        )


def section(said: str, title: str) -> str:
    return said.partition(f"## {title}\n")[2].partition("## ")[0]


def codes(said: str) -> dict[str, int]:
    return {name: int(code) for name, code in re.findall(r"(?m)^(\w+)=(\d+)$", said)}


def test_under_systemd_everything_does_what_it_should(said: str) -> None:
    """The receipt of the older version is understood, by a user without rights, too."""
    found = codes(said)
    expected = dict.fromkeys(
        [
            *("apply", "upgrade", "verify", "nagios", "nagios_of_nobody", "timer", "metrics"),
            *("remove", "purge", "units_left"),
        ],
        0,
    )
    if "watch" in found:
        expected |= dict.fromkeys(["watch", "repaired", "watch_stopped"], 0)
    assert found == expected, said


def test_the_timer_s_metrics_are_those_of_the_vif(said: str) -> None:
    metrics = section(said, "metrics")
    assert 'remusnet_open{buffer="ifb-1.0",vif="vif1.0"} 0.0' in metrics, said
    assert "remusnet_up 1.0" in metrics


def test_every_unit_is_hardened(said: str) -> None:
    levels = re.findall(r"## security (\S+)\n.*?exposure level for \S+: ([0-9.]+) (\w+)", said)
    print(levels)
    assert [name for name, _, _ in levels], said
    for name, exposure, word in levels:
        assert float(exposure) < LEAST_SECURE, (name, exposure, word)


def test_the_journal_has_what_units_and_commands_have_done(said: str) -> None:
    assert "Finished remusnet-metrics.service" in section(said, "journal of units"), said
    entries = [json.loads(line) for line in section(said, "journal of remusnet").splitlines()]
    print(*(each["MESSAGE"] for each in entries), sep="\n")
    assert any("vif1.0" in each["MESSAGE"] for each in entries), said
