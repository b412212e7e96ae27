"""What makes the lab's guest a SIP server: Python and `remusnet sip serve`, as a further archive.

The guest's kernel unpacks it over the guest's own (``vagrant/guest/build.sh``), whose init starts
what lies in /programs.
"""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.xen.lab import images
from tests.xen.lab.build import Lab, install_remusnet, kept, pip
from tests.xen.lab.places import TOP, digest_of

_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_LOADER = "ld-linux-x86-64.so.2"
_NEEDED = re.compile(r"\(NEEDED\) +Shared library: \[(.+)\]")
_LEFT_OUT = ("__pycache__", "test", "ensurepip", "lib2to3", "idlelib", "pydoc_data", "config-*")
"""Of Python's own library."""
_NOT_ASKED_FOR = ("asyncpg",)
"""Of the extra "sip": the guest has no PostgreSQL, and each byte is memory there."""
_SERVER = """\
#!/bin/busybox sh
export PYTHONPATH=/opt/sip HOME=/ XDG_RUNTIME_DIR=/run
mkdir -p /run
exec python3 -m remusnet sip serve --domain example.org --no-auth --allow-from 10.0.0.0/24 \\
    --listen udp:10.0.0.2:5060 --listen tcp:10.0.0.2:5060
"""


def archive(lab: Lab, say: Callable[[str], None]) -> bytes:
    """The archive, as the kernel unpacks it (zstd): made again only when remusnet has changed."""
    install_remusnet(lab)
    key = digest_of([Path(__file__), TOP / "remusnet", TOP / "setup.cfg"], lab.packages.name)
    made = kept("sip-guest", key, say, lambda into: _make(lab, into))
    return (made / "archive").read_bytes()


def _make(lab: Lab, into: Path) -> None:
    tree = into / "tree"
    _python(lab.packages, tree)
    _server(lab, tree / "opt/sip")
    _libraries(lab.packages, tree)
    modules = [each for each in (tree / "opt/sip").rglob("*.so") if not each.is_symlink()]
    subprocess.run(["strip", "--strip-unneeded", *modules], check=True)
    # Compiled beforehand: under emulation the guest would take minutes for it.
    subprocess.run(
        ["/usr/bin/python3", "-m", "compileall", "-q", "-b", "-s", tree, "-p", "/", tree],
        check=False,  # a file that no Python compiles is one that nobody imports
        stdout=subprocess.DEVNULL,
    )
    for source in tree.rglob("*.py"):
        if source.with_suffix(".pyc").exists():
            source.unlink()
    images.archive(tree, into / "raw")
    subprocess.run(
        ["zstd", "-q", "-10", "-T2", "--rm", "-o", into / "archive", into / "raw"], check=True
    )
    shutil.rmtree(tree)


def _python(packages: Path, tree: Path) -> None:
    """Debian's python3 and its library."""
    for name in ("usr/bin", "usr/lib64", _LIBRARIES):
        (tree / name).mkdir(parents=True)
    for name in ("lib", "lib64"):
        (tree / name).symlink_to(f"usr/{name}")
    (found,) = packages.glob("usr/bin/python3.*[0-9]")
    shutil.copy2(found, tree / "usr/bin/python3")
    library = f"usr/lib/{found.name}"
    shutil.copytree(
        packages / library,
        tree / library,
        ignore=shutil.ignore_patterns(*_LEFT_OUT),
        ignore_dangling_symlinks=True,
    )
    # Relative: an absolute link would be this machine's own loader to whoever follows it here.
    (tree / "usr/lib64" / _LOADER).symlink_to(f"../../{_LIBRARIES}/{_LOADER}")


def _libraries(packages: Path, tree: Path) -> None:
    """What the tree's programs are linked with, and what that is linked with."""
    place = tree / _LIBRARIES
    shutil.copy2(packages / _LIBRARIES / _LOADER, place)
    known: set[str] = set()
    while True:
        linked = [tree / "usr/bin/python3", *tree.rglob("*.so"), *place.iterdir()]
        shown = subprocess.run(
            ["readelf", "--dynamic", *linked], capture_output=True, text=True, check=True
        ).stdout
        new = set(_NEEDED.findall(shown)) - known
        if not new:
            return
        known |= new
        for name in new:
            if (packages / _LIBRARIES / name).exists():
                shutil.copy2(packages / _LIBRARIES / name, place)


def _server(lab: Lab, place: Path) -> None:
    """remusnet as the lab has installed it, and its extra "sip"."""
    setup = configparser.ConfigParser()
    setup.read(TOP / "setup.cfg", "utf-8")
    lines = setup["options.extras_require"]["sip"].split()
    extra = [each for each in lines if not each.startswith(_NOT_ASKED_FOR)]
    python = lab.root / "opt" / "remusnet"
    pip(python, "--no-compile", "--target", place, "click", *extra)
    (installed,) = python.glob("lib/python3*/site-packages/remusnet")
    shutil.copytree(installed, place / "remusnet")
    program = place.parents[1] / "programs" / "sip"
    program.parent.mkdir()
    program.write_text(_SERVER, "utf-8")
    program.chmod(0o755)
