"""What remusnet needs only for some of its work, and how to install it beside this remusnet. Light.

The word for an extra is pip's. Who has the Debian package has apt for most of them; in pipx's
environments pip is not the way.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from remusnet.errors import MissingDependency

_DEBIAN = {
    "availability": "python3-scipy",
    "dask": "python3-distributed",
    "libvirt": "python3-libvirt",
    "monitoring": "python3-prometheus-client",
    "report": "python3-matplotlib",
}
"""By extra. Debian 12 has no sipmessage, and a SQLAlchemy that is too old for ``sip``."""

_FIRST = {
    "libvirt": " (it is compiled; Debian: apt install libvirt-dev pkg-config gcc python3-dev first)"
}
"""What pip needs besides, by extra."""

_DEBIANS_PLACE = Path("/usr/lib/python3/dist-packages")


def lacking(what: str, extra: str) -> MissingDependency:
    """The error that ``what`` (such as "figures need matplotlib") ends in."""
    return MissingDependency(f"{what}: {how_to_install(extra)}")


def how_to_install(extra: str, package: Path | None = None, prefix: str = sys.prefix) -> str:
    """The command that installs ``extra`` for this remusnet, or why there is none.

    ``package``: where remusnet is, ``prefix``: the environment, if not the running one's.
    """
    if _is_debians(package):
        debian = _DEBIAN.get(extra)
        if debian is not None:
            return f"apt install {debian}"
        return (
            f"Debian has no packages for it; from remusnet's source: pipx install '.[{extra}]', or "
            f"pip install '.[{extra}]' in a virtual environment"
        )
    return f"{_pip(prefix)} install 'remusnet[{extra}]'{_FIRST.get(extra, '')}"


def how_to_install_library(name: str, package: Path | None = None, prefix: str = sys.prefix) -> str:
    """The same for a library that every remusnet needs, and that this one has lost."""
    if _is_debians(package):
        return f"apt install python3-{name}"
    return f"{_pip(prefix)} install {name}"


def _is_debians(package: Path | None) -> bool:
    return (package or Path(__file__).parent).parent == _DEBIANS_PLACE


def _pip(prefix: str) -> str:
    """The pip of the environment that remusnet is in: another's would not help."""
    place = Path(prefix)
    if (place / "pipx_metadata.json").exists():
        return f"pipx runpip {shlex.quote(place.name)}"
    if (place / "pyvenv.cfg").exists():
        return f"{shlex.quote(str(place / 'bin' / 'python'))} -m pip"
    return f"{shlex.quote(sys.executable)} -m pip"
