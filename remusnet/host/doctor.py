"""What ``remusnet doctor`` looks at on a Xen host. Elsewhere it has nothing to say."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from remusnet.errors import RemusnetError, quoted
from remusnet.host.domain_files import load_domain_file
from remusnet.host.install import MARK, Layout, ran_by
from remusnet.host.netbuf.places import Places, places_below
from remusnet.host.netbuf.ready import read_ready
from remusnet.host.trusted_code import changeable
from remusnet.host.xl_conf import default_script
from remusnet.kernel.doctor import memory_look
from remusnet.kernel.modules import built
from remusnet.kernel.state.observe import devices_with
from remusnet.kernel.wire.netlink import Netlink
from remusnet.results.checks import Check, CheckKind, CheckState, Look

_LIBRARIES = (
    "usr/lib/*-linux-*/libxenlight.so.*.*",  # not Debian's, kept in usr/lib/remusnet
    "usr/lib/libxenlight.so.*.*",
    "usr/lib64/libxenlight.so.*.*",
    "usr/local/lib/libxenlight.so.*.*",
    "usr/local/lib64/libxenlight.so.*.*",
)
# What only libxl_netbuffer.c needs; libxl_nonetbuffer.c takes its place where libnl was missing
# when it was built.
# ("No support for network buffering" is in both: libxl_remus.c says it.)
_NETBUF = b"libnl-route-3.so"
_REBUILD = "on Debian: scripts/build-libxenlight, as root (docs/how-to/debian-libxenlight.md)"


def is_xen_host(root: Path = Path("/")) -> bool:
    """Whether this is a Dom0, or has Xen's tools to become one."""
    capabilities = root / "proc/xen/capabilities"
    try:
        if "control_d" in capabilities.read_text(encoding="ascii", errors="replace"):
            return True
    except OSError:
        pass
    return (root / "etc/xen/scripts").is_dir()


def check_xen(root: Path = Path("/")) -> list[Check]:
    """All checks of this module; none where there is no Xen. None of them changes anything."""
    if not is_xen_host(root):
        return []
    return [each for look in CHECKS for each in look(root)]


def _xen(root: Path) -> Iterator[Check]:
    folder = root / "sys/hypervisor"
    if _read(folder / "type") == "xen":
        version = f"{_read(folder / 'version/major')}.{_read(folder / 'version/minor')}"
        found, state, mend = f"Xen {version}{_read(folder / 'version/extra')}", CheckState.OK, ""
    else:
        found, state = "this kernel does not run on Xen", CheckState.MISSING
        mend = "boot the entry with Xen (Debian: apt install xen-system-amd64)"
    yield Check("Xen", CheckKind.KERNEL, state, found, "xl remus", mend)


def _libxenlight(root: Path) -> Iterator[Check]:
    what, why = "libxenlight with network buffering", "xl remus with a netbuf script"
    library = _library(root)
    if library is None:
        mend = "apt install xen-utils-common"
        yield Check(what, CheckKind.FILES, CheckState.MISSING, "no libxenlight found", why, mend)
        return
    try:
        content = library.read_bytes()
    except OSError as error:
        found = f"{library}: {error.strerror}"
        yield Check(
            what, CheckKind.FILES, CheckState.UNKNOWN, found, why, "run remusnet doctor as root"
        )
        return
    if _NETBUF not in content:
        found = f'{library} was built without libnl: "No support for network buffering"'
        yield Check(what, CheckKind.FILES, CheckState.MISSING, found, why, _REBUILD)
        return
    yield Check(what, CheckKind.FILES, CheckState.OK, str(library), why)
    yield from _rebuilt(root)


def _rebuilt(root: Path) -> Iterator[Check]:
    """Whether the package was upgraded since scripts/build-libxenlight: the rest of it is newer."""
    # The first line: what it was built from. Rebuilds of packages alone (+b1) have the same source.
    built = _read(root / "usr/lib/remusnet/libxenlight.version").partition("\n")[0]
    if not built:
        return
    now = _installed(root, "libxenmisc")
    fits = built == re.sub(r"\+b\d+$", "", now) or built == now
    yield Check(
        what="libxenlight as new as Xen's other libraries",
        kind=CheckKind.FILES,
        state=CheckState.OK if fits else CheckState.MISSING,
        found=built if fits else f"built from {built}, installed is {now or 'none'}",
        why="mends of security updates",
        mend="" if fits else _REBUILD,
    )


def _script(root: Path) -> Iterator[Check]:
    layout = Layout(root)
    stock = layout.script.with_name("remus-netbuf-setup")
    ours = MARK in _text(layout.script).splitlines()[1:2]
    default = default_script(_text(layout.xl_conf))
    install = "remusnet xen install --default"
    yield Check(
        what="remusnet's netbuf script",
        kind=CheckKind.FILES,
        state=CheckState.OK if ours else CheckState.MISSING,
        found=str(layout.script) if ours else f"no {layout.script} of ours",
        why="xl remus with remusnet's policies",
        mend="" if ours else install,
    )
    if ours:
        yield _interpreter(layout)
    if default is None:
        # Xen's own is the default then, which Debian does not ship.
        there = stock.exists()
        found = "Xen's own" if there else f"Xen's own, but there is no {stock}"
    else:
        there = (root / default.removeprefix("/")).exists()
        found = default if there else f"{default}, which is not there"
    yield Check(
        what="xl remus's default script",
        kind=CheckKind.FILES,
        state=CheckState.OK if there else CheckState.MISSING,
        found=found,
        why="xl remus without -N",
        mend="" if there else f"{install}, or give -N remusnet-netbuf each time",
    )


def _interpreter(layout: Layout) -> Check:
    """The virtual environment that the script names may have gone since, or be another's."""
    program, package = ran_by(_text(layout.script))
    there = os.access(layout.root / program.removeprefix("/"), os.X_OK)
    found, mend = program, ""
    if not there:
        found = f"{program} is not there"
        mend = "remusnet xen install, with the remusnet that is to be used"
    elif others := _others(Path(program), Path(package), layout.root):
        found = f"root runs what others can change: {others}"
        mend = "chown and chmod it, or install remusnet where only root can write"
    return Check(
        what="the script's Python",
        kind=CheckKind.FILES,
        state=CheckState.MISSING if mend else CheckState.OK,
        found=found,
        why="remusnet's netbuf script",
        mend=mend,
    )


def _others(program: Path, package: Path, root: Path) -> str:
    """The first thing that others can change; empty for none, or where only root can tell."""
    try:
        return next(changeable(program, package, root), "")
    except OSError:
        return ""


def _domains(root: Path) -> Iterator[Check]:
    places = _places(root)
    what, why = (
        "the file of domains",
        "the policy of each domain; with a mistake everything is held",
    )
    try:
        there = Path(places.config).exists()
        if there:
            load_domain_file(places.config)
    except RemusnetError as error:
        mend = f"remusnet policy check {places.config}"
        yield Check(what, CheckKind.FILES, CheckState.MISSING, str(error), why, mend)
        return
    found = places.config if there else f"none: every domain gets tcp-only ({places.config})"
    yield Check(what, CheckKind.FILES, CheckState.OK, found, why)
    if there:
        largest = max(each.plug_limit for each in load_domain_file(places.config).domains.all_terms)
        mend = f'memory = "64MB" in {places.config}, or a smaller rate or limit'
        yield memory_look("memory for its largest buffer", [largest], mend)
    if Path(places.ready).exists():
        ready = read_ready(places.ready, places.config) is not None
        yield Check(
            what="prepared filters",
            kind=CheckKind.FILES,
            state=CheckState.OK if ready else CheckState.MISSING,
            found=places.ready if ready else f"{places.ready} is older than what it is made from",
            why="setups in a fraction of the time",
            mend="" if ready else "remusnet xen install",
        )


def _netback(root: Path) -> Iterator[Check]:
    """What else the kernel has to have, the checks of the kernel try."""
    there, found = built("xen_netback", "CONFIG_XEN_NETDEV_BACKEND", root)
    yield Check(
        what="xen-netback",
        kind=CheckKind.KERNEL,
        state={True: CheckState.OK, False: CheckState.MISSING, None: CheckState.UNKNOWN}[there],
        found=found or "no trace of it",
        why="the vifs of guests",
        mend="" if there else "modprobe xen-netback; else boot Debian's standard kernel",
    )


def _qdiscs(root: Path) -> Iterator[Check]:
    """A Dom0 that is mounted elsewhere has no kernel to ask."""
    if root != Path("/"):
        return
    with Netlink() as netlink:
        yield without_blackhole(devices_with(netlink, "blackhole"))


def without_blackhole(devices: Sequence[str]) -> Check:
    """``devices``: those with a blackhole qdisc, which libnl 3.7 can't list: libxl aborts then."""
    named = ", ".join(map(quoted, devices))
    return Check(
        what="no blackhole qdisc",
        kind=CheckKind.KERNEL,
        state=CheckState.MISSING if devices else CheckState.OK,
        found=f"one on {named}: libnl, and xl with it, aborts where it lists one"
        if devices
        else "yes",
        why="xl remus with a netbuf script",
        mend="put another qdisc in its place, such as pfifo limit 0" if devices else "",
    )


def _places(root: Path) -> Places:
    return places_below(str(root), os.environ)


def _library(root: Path) -> Path | None:
    found = [path for pattern in _LIBRARIES for path in root.glob(pattern) if path.is_file()]
    return max(found, key=lambda path: [len(path.name), path.name], default=None)


def _installed(root: Path, package: str) -> str:
    """The version of a Debian package whose name begins so; dpkg's own file says it."""
    name = ""
    for line in _text(root / "var/lib/dpkg/status").splitlines():
        key, _, value = line.partition(": ")
        if key == "Package":
            name = value
        elif key == "Version" and name.startswith(package):
            return value
    return ""


def _read(path: Path) -> str:
    return _text(path).strip()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


CHECKS: tuple[Look, ...] = (_xen, _netback, _libxenlight, _script, _domains, _qdiscs)
