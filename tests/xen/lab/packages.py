"""A Debian root for Dom0 as an ordinary user: apt resolves and fetches, nothing is installed.

Of the packages only the files are taken; no maintainer script runs, so it needs neither root nor
namespaces. Dom0's init (``dom0-init``) does what little of them matters there.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.xen.lab.errors import LabUnavailable
from tests.xen.lab.places import PROVISION


def _words(text: str) -> list[str]:
    return text.split()


_BESIDES = _words(
    # What is essential in Debian, and nobody depends on.
    "base-files base-passwd bash bsdutils coreutils dash debianutils findutils grep gzip hostname "
    "libc-bin sed tar util-linux "
    "gawk kmod mount procps "
    # apt itself needs it, and numpy.
    "libstdc++6 "
    # Its sipp places calls through the guest.
    "sip-tester"
)
"""What a Debian has anyway, and the lab's own."""


def wanted() -> list[str]:
    """The names of a Dom0's packages: those of the test bed's hosts, and what lies below them."""
    lines = (PROVISION / "provision" / "host-packages").read_text("utf-8").splitlines()
    return sorted({*_BESIDES, *(line.split()[0] for line in lines if line[:1] not in ("", "#"))})


class Packages:
    """apt with a state of its own, in which nothing is installed yet."""

    def __init__(self, directory: Path) -> None:
        for each in ("cache/archives/partial", "nothing/archives/partial"):
            (directory / each).mkdir(parents=True, exist_ok=True)
        self._status = directory / "status"
        self._status.touch()
        self._cache = directory / "cache"
        self._nothing = directory / "nothing"

    def versions(self) -> list[str]:
        """What would be fetched: a file name with a version each."""
        # apt lists only what its cache lacks: so let it look into an empty one.
        lines = self._apt("--print-uris", self._nothing).splitlines()
        return sorted(line.split()[1] for line in lines if line.startswith("'"))

    def fetch(self) -> list[Path]:
        """Download what is not there yet; the packages' files."""
        names = self.versions()
        self._apt("--download-only", self._cache)
        return [self._cache / "archives" / name for name in names]

    def _apt(self, how: str, cache: Path) -> str:
        options = {
            "Dir::State::status": self._status,
            "Dir::Cache": cache,
            "APT::Sandbox::User": "",
            "APT::Install-Recommends": "false",
            "Debug::NoLocking": "true",
        }
        command = ["apt-get", "-q", "-y", how, "install", *wanted()]
        for key, value in options.items():
            command += ["-o", f"{key}={value}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[0]
            raise LabUnavailable(f"apt can't fetch Dom0's packages: {reason}; try: apt-get update")
        return done.stdout


def unpack(packages: list[Path], root: Path) -> None:
    """The files of ``packages`` into ``root``, merged-/usr as Debian has it."""
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    for package in packages:
        with subprocess.Popen(
            ["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE
        ) as reading:
            subprocess.run(
                ["tar", "-x", "--no-same-owner", "--keep-directory-symlink", "-C", root],
                stdin=reading.stdout,
                check=True,
            )
        if reading.returncode:
            raise LabUnavailable(f"a damaged package: {package}; delete it and try again")
    # What maintainer scripts would have done: chosen among alternatives, and named the users.
    (root / "usr" / "bin" / "awk").symlink_to("gawk")
    for name in ("passwd", "group"):
        shutil.copyfile(root / f"usr/share/base-passwd/{name}.master", root / "etc" / name)
    with (root / "etc" / "passwd").open("a") as users:
        users.write("tcpdump:*:101:65534::/nonexistent:/usr/sbin/nologin\n")
