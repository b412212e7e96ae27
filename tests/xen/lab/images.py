"""What QEMU boots: the hypervisor, and Dom0's root as an initramfs archive."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

from tests.xen.lab.errors import LabUnavailable


def _words(text: str) -> list[str]:
    return text.split()


MODULES = _words(
    "xen-netback xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xenfs ata_piix sd_mod bridge "
    "8021q ifb nlmon dummy sch_plug sch_ingress act_mirred act_gact act_bpf cls_u32 "
    "cls_flower cls_bpf cls_matchall veth af_packet"
)
"""Those of Dom0."""

_LEFT_OUT = _words(
    "usr/share/doc usr/share/man usr/share/locale usr/share/perl usr/share/perl5 "
    "usr/share/info usr/share/bug usr/share/lintian usr/share/i18n usr/share/zoneinfo "
    "usr/share/common-licenses usr/bin/perl* usr/bin/gpgv usr/bin/openssl "
    "usr/lib/x86_64-linux-gnu/perl* usr/lib/x86_64-linux-gnu/libperl* usr/lib/x86_64-linux- "
    "gnu/gconv usr/lib/udev usr/lib/systemd usr/lib/apt usr/lib/dpkg usr/lib/initramfs-tools "
    "usr/lib/modules usr/lib/xen-4.17/boot usr/lib/linux-image-* usr/include var/cache "
    "var/lib/dpkg usr/lib/python3 usr/lib/python3.11/test usr/lib/python3.11/ensurepip "
    "usr/lib/python3.11/lib2to3 usr/lib/python3.11/idlelib usr/lib/python3.11/pydoc_data "
    "usr/lib/x86_64-linux-gnu/libssl* usr/lib/x86_64-linux-gnu/libdb-* usr/lib/x86_64-linux- "
    "gnu/libsqlite* boot"
)
"""What of the packages Dom0 does without: each byte is memory there, and time under emulation."""


def hypervisor(root: Path, target: Path) -> None:
    """Xen as QEMU's loader takes it: the ELF file."""
    found = sorted((root / "boot").glob("xen-*-amd64.gz"))
    if not found:
        raise LabUnavailable("the package of the hypervisor has no boot/xen-*-amd64.gz")
    target.write_bytes(gzip.decompress(found[-1].read_bytes()))


def kernel(root: Path) -> str:
    """The version of the kernel."""
    found = sorted((root / "boot").glob("vmlinuz-*"))
    if not found:
        raise LabUnavailable("the package of the kernel has no boot/vmlinuz-*")
    return found[-1].name.removeprefix("vmlinuz-")


def copy_modules(root: Path, version: str, target: Path, wanted: list[str]) -> None:
    """The modules ``wanted`` and what they need, from one root into another."""
    subprocess.run(["/sbin/depmod", "-b", root, version], check=True)
    source = root / "lib" / "modules" / version
    needs = dict(
        line.split(":", 1) for line in (source / "modules.dep").read_text("ascii").splitlines()
    )
    by_name = {Path(path).stem.replace("-", "_"): path for path in needs}
    into = target / "lib" / "modules" / version
    for name in wanted:
        path = by_name.get(name.replace("-", "_"))
        if path is None:
            continue  # built in
        for each in (path, *needs[path].split()):
            (into / each).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / each, into / each)
    for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        shutil.copy2(source / name, into / name)
    subprocess.run(["/sbin/depmod", "-b", target, version], check=True)


def slim(root: Path, target: Path) -> None:
    """A copy of ``root`` without what Dom0 does without."""
    left_out = [f"--exclude=./{pattern}" for pattern in _LEFT_OUT]
    target.mkdir(parents=True)
    with subprocess.Popen(
        ["tar", "-c", "-C", root, "--exclude=__pycache__", *left_out, "."], stdout=subprocess.PIPE
    ) as reading:
        subprocess.run(["tar", "-x", "-C", target], stdin=reading.stdout, check=True)
    for name in ("dev", "proc", "sys", "run", "tmp", "lab", "var/log/xen", "var/lib/xen"):
        (target / name).mkdir(parents=True, exist_ok=True)


def archive(root: Path, target: Path) -> None:
    """``root`` as an initramfs, all of it root's."""
    with (
        target.open("wb") as file,
        subprocess.Popen(["find", ".", "-print0"], cwd=root, stdout=subprocess.PIPE) as names,
    ):
        subprocess.run(
            ["cpio", "--null", "--create", "--format=newc", "--owner=+0:+0", "--quiet"],
            cwd=root,
            stdin=names.stdout,
            stdout=file,
            check=True,
        )
