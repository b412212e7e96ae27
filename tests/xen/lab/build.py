"""Builds the lab into the cache: each part once, and again only when what it is made of changed."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.xen.lab import images, packages
from tests.xen.lab.errors import LabDied, LabUnavailable
from tests.xen.lab.machine import Machine
from tests.xen.lab.places import CACHE, JOB_DISK, OUT_DISK, PROVISION, TOP, digest_of

LAB = Path(__file__).resolve().parent
_BOOT_S = 600
"""For Dom0 and the guest to be up; a minute on an idle machine of 2 cores."""


class Lab:
    """A built lab, ready to be restored: its images, what pip made for Dom0, and the snapshot.

    ``packages``: the files of Dom0's Debian packages.
    """

    def __init__(self, directory: Path, root: Path, packages: Path) -> None:
        self.images = directory
        self.root = root
        self.packages = packages
        self.state = directory / "state.zst"


def build(say: Callable[[str], None]) -> Lab:
    """The lab, from the cache or made; ``say`` gets a line before each step that takes time.

    Raises LabUnavailable and LabDied.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    with _locked(CACHE / "lock"):
        fetched = packages.Packages(CACHE / "apt")
        versions = _versions(fetched)
        root = kept("root", digest_of([LAB / "packages.py"], *versions), say, _root(fetched))
        of_xen = [name for name in versions if name.startswith(("xen-", "libxen"))]
        xenlight = kept(
            "libxenlight",
            digest_of(
                [
                    TOP / "scripts" / "build-libxenlight",
                    TOP / "scripts" / "lib" / "libxenlight.sh",
                    PROVISION / "provision" / "libxenlight.sh",
                ],
                *of_xen,
            ),
            say,
            _xenlight,
        )
        venv = kept("venv", digest_of([TOP / "requirements.lock"], sys.version), say, _venv)
        made_of = [
            LAB / "build.py",
            LAB / "dom0-init",
            LAB / "images.py",
            LAB / "machine.py",
            PROVISION / "guest",
            PROVISION / "provision",
        ]
        parts = [each.name for each in (root, xenlight, venv)]
        image = kept(
            "image",
            digest_of(made_of, *parts),
            say,
            lambda into: _image(into, root, xenlight, venv),
        )
        lab = Lab(image, venv, root)
        if not lab.state.exists():
            say("booting Xen, Dom0 and the guest, for a snapshot")
            _boot(lab, say)
        return lab


def _versions(fetched: packages.Packages) -> list[str]:
    """What apt would fetch today; where it can't be asked, what it fetched last."""
    known = CACHE / "versions"
    try:
        names = fetched.versions()
    except (LabUnavailable, FileNotFoundError):
        if not known.exists():
            raise
        return known.read_text("utf-8").split()
    known.write_text("\n".join(names), "utf-8")
    return names


def kept(name: str, key: str, say: Callable[[str], None], make: Callable[[Path], None]) -> Path:
    """``CACHE/name-key``, made where it isn't there; others of that name go."""
    target = CACHE / f"{name}-{key}"
    if target.exists():
        return target
    say(f"making {name} (in {CACHE})")
    start = time.monotonic()
    for old in CACHE.glob(f"{name}-*"):
        shutil.rmtree(old)
    partial = CACHE / f".{name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        make(partial)
    except subprocess.CalledProcessError as error:
        raise LabUnavailable(f"could not make {name}: {error}") from error
    except FileNotFoundError as error:
        raise LabUnavailable(
            f"could not make {name}: {error.filename} is not there; "
            "scripts/xen-lab says which packages it needs"
        ) from error
    partial.rename(target)
    say(f"  {time.monotonic() - start:.0f} s")
    return target


def _root(fetched: packages.Packages) -> Callable[[Path], None]:
    return lambda into: packages.unpack(fetched.fetch(), into)


def _xenlight(into: Path) -> None:
    """The rebuilt library, and from the same source Xen's own script."""
    _run(PROVISION / "provision" / "libxenlight.sh", into)


def _run(script: Path, *arguments: str | Path) -> None:
    """A script that the test bed's hosts use too; its last line says why it failed."""
    done = subprocess.run([script, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise LabUnavailable(said[-1] if said else f"{script.name} exits with {done.returncode}")


def _venv(into: Path) -> None:
    """A virtual environment as Dom0's /opt/remusnet, with what remusnet needs."""
    place = into / "opt" / "remusnet"
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", place], check=True)
    pip(place, "--require-hashes", "-r", TOP / "requirements.lock")


def pip(place: Path, *arguments: str | Path) -> None:
    command = [str(TOP / ".venv/bin/python"), "-m", "pip", "--python", str(place / "bin/python3")]
    command += ["install", "--quiet", "--disable-pip-version-check", *map(str, arguments)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def install_remusnet(lab: Lab) -> None:
    """remusnet as it is in this checkout, as a user installs it, into the lab's environment."""
    place = lab.root / "opt" / "remusnet"
    stamp = lab.root / "remusnet.digest"
    digest = digest_of([TOP / "remusnet", TOP / "tc_templates", TOP / "setup.cfg"])
    with _locked(CACHE / "lock"):
        if stamp.exists() and stamp.read_text("ascii") == digest:
            return
        pip(place, "--no-deps", "--no-build-isolation", "--force-reinstall", TOP)
        # pip writes the place where it installed; in Dom0 that is /opt.
        command = place / "bin" / "remusnet"
        _, rest = command.read_text("utf-8").split("\n", 1)
        command.write_text(f"#!/opt/remusnet/bin/python3\n{rest}", "utf-8")
        stamp.write_text(digest, "ascii")


def _image(into: Path, root: Path, xenlight: Path, venv: Path) -> None:
    version = images.kernel(root)
    images.hypervisor(root, into / "xen")
    dom0 = into / "dom0"
    images.slim(root, dom0)
    images.copy_modules(root, version, dom0, images.MODULES)
    place = dom0 / "srv" / "guest"
    _run(PROVISION / "guest" / "build.sh", "--root", root, place)
    os.link(place / "vmlinux", into / "vmlinux")  # Dom0's, too
    shutil.copytree(PROVISION / "provision", dom0 / "srv" / "provision")
    libraries = dom0 / "usr/lib/x86_64-linux-gnu"
    for each in xenlight.glob("libxenlight.so.*"):
        shutil.copy2(each, libraries)
    shutil.copy2(xenlight / "remus-netbuf-setup", dom0 / "etc/xen/scripts")
    (dom0 / "etc/xen/scripts/remus-netbuf-setup").chmod(0o755)
    # Where libnl's tools look for the modules that Debian puts beside it.
    (libraries / "libnl").symlink_to("libnl-3")
    shutil.copytree(venv / "opt", dom0 / "opt", symlinks=True, dirs_exist_ok=True)
    for each in (dom0 / "opt/remusnet").glob("lib/python3*/site-packages/remusnet*"):
        shutil.rmtree(each)  # that comes with each job
    shutil.copy2(LAB / "dom0-init", dom0 / "init")
    (dom0 / "init").chmod(0o755)
    images.archive(dom0, into / "initrd")
    shutil.rmtree(dom0)


def _boot(lab: Lab, say: Callable[[str], None]) -> None:
    log = CACHE / "boot.log"
    log.unlink(missing_ok=True)
    with disks() as made, Machine(lab.images, made, log) as machine:
        for step in ("kernel", "xen", "guest", "ready"):
            say(f"  {step} after {machine.wait(f'LAB {step}', _BOOT_S)} s")
        if "ESTAB" in log.read_text("utf-8", "replace"):
            raise LabDied(f"the guest sends no traffic; see {log}")
        time.sleep(1)  # what the pause left on its way
        machine.save(lab.state)
    say(f"  saved, {lab.state.stat().st_size >> 20} MB")


@contextmanager
def disks() -> Iterator[tuple[Path, Path]]:
    """Two empty raw disks of the sizes that the snapshot knows."""
    made = CACHE / f"disks-{os.getpid()}"
    made.mkdir(exist_ok=True)
    try:
        for name, size in (("job", JOB_DISK), ("out", OUT_DISK)):
            with (made / name).open("wb") as disk:
                disk.truncate(size)
        yield made / "job", made / "out"
    finally:
        shutil.rmtree(made)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
