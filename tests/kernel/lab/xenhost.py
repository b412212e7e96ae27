"""A Dom0 as the netbuf script sees it: a bed, stand-ins for xenstore's tools, and libxl's part.

What libxl does is written here once more, from tools/libs/light/libxl_netbuffer.c, and on sockets
and structures of its own: it must not share a mistake with remusnet.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from remusnet.host.install import script_text
from remusnet.host.netbuf.compiled import make_ready
from remusnet.host.netbuf.places import Places
from tests.kernel.lab.bed import VIF, Bed
from tests.kernel.lab.protection import Site

STAND_IN = Path(__file__).parents[1] / "stand-ins/xenstore"
TOOLS = ("read", "write", "rm", "list", "exists")
DOMAIN, NAME, UUID = 1, "guest", "f2b1c0de-0000-4000-8000-000000000001"
# Longer than any script takes on a busy UML kernel; libxl itself waits for 40 s.
LONGEST = 60.0

RTM_NEWQDISC, RTM_GETQDISC = 36, 38
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 1, 4, 0x300
TCA_KIND, TCA_OPTIONS = 1, 2
TC_H_ROOT = 0xFFFFFFFF
PLUG_BUFFER, PLUG_RELEASE_ONE = 0, 1

BUFFER = "ifb-1.0"
"""The buffer device of the bed's vif."""

MACS = bytes.fromhex("ffffffffffff 020000000001")
# IPv4 headers with protocol 6 and 17, then a TCP and a UDP header of zeros but for the lengths.
IPV4 = "0800 45000028 00004000 40{:02x}0000 0a090002 0a090003"
TCP = (
    MACS
    + bytes.fromhex(IPV4.format(6))
    + bytes.fromhex("1000 2000 00000000 00000000 5010")
    + bytes(6)
)
UDP = MACS + bytes.fromhex(IPV4.format(17)) + bytes.fromhex("1000 2000 0014 0000") + bytes(12)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a script ended."""

    status: int
    stderr: str


@dataclass(frozen=True, slots=True)
class XenHost:
    """A Dom0 with a folder for all that the script reads and writes."""

    bed: Bed
    folder: Path

    @property
    def config(self) -> Path:
        """The file of domains."""
        return self.folder / "remusnet.toml"

    @property
    def environment(self) -> dict[str, str]:
        """What leads the script to the stand-ins and to this folder."""
        return {
            "PATH": f"{self.folder}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "REMUSNET_CONFIG": str(self.config),
            "REMUSNET_RUN_DIR": str(self.folder / "run"),
            "REMUSNET_STATE_DIR": str(self.folder / "state"),
            "REMUSNET_XEN_LOCK_DIR": str(self.folder / "locks"),
        }

    @property
    def places(self) -> Places:
        """The same for the modules behind the script."""
        return Places(self.environment)

    def path(self, domid: int = DOMAIN, devid: int = 0) -> str:
        """XENBUS_PATH."""
        return f"/libxl/{domid}/remus/netbuf/{devid}"

    def start(
        self,
        action: str,
        vif: str = VIF,
        domid: int = DOMAIN,
        devid: int = 0,
        *,
        by: Sequence[str] = (),
        **more: str,
    ) -> subprocess.Popen[str]:
        """Starts the script in Dom0 as libxl does; ``by``: a program to start it with."""
        environment = self.environment | {
            "vifname": vif,
            "XENBUS_PATH": self.path(domid, devid),
            **more,
        }
        with self.bed.dom0.entered():
            return subprocess.Popen(
                [*by, str(self.folder / "remusnet-netbuf"), action],
                env=environment,
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )

    def run(
        self, action: str, vif: str = VIF, domid: int = DOMAIN, devid: int = 0, **more: str
    ) -> Ended:
        """The same, to its end."""
        return ended(self.start(action, vif, domid, devid, **more))

    def remusnet(self, *words: str) -> subprocess.CompletedProcess[str]:
        """``remusnet`` with the same files and tools."""
        return self.bed.dom0.remusnet(*words, env=self.environment)

    def store(self, path: str, value: str) -> None:
        """Writes to xenstore."""
        node = self.folder / f"store{path}"
        node.mkdir(parents=True, exist_ok=True)
        (node / ".value").write_text(f"{value}\n", encoding="utf-8")

    def stored(self, path: str) -> dict[str, str]:
        """All that xenstore has below ``path``."""
        root = self.folder / f"store{path}"
        return {
            str(each.parent.relative_to(root)): each.read_text(encoding="utf-8").rstrip("\n")
            for each in root.rglob(".value")
        }

    def refuse(self, tool: str, words: str | None) -> None:
        """Makes a tool of xenstore fail; hang with ``words`` empty, work again with None."""
        file = self.folder / f"refuse-xenstore-{tool}"
        if words is None:
            file.unlink()
        else:
            file.write_text(words, encoding="utf-8")


@contextmanager
def open_xen_host(bed: Bed, folder: Path) -> Iterator[XenHost]:
    """A Dom0 with one domain, whose vif is the bed's."""
    host = XenHost(bed, folder)
    (folder / "bin").mkdir(parents=True)
    shutil.copy(STAND_IN, folder / "xenstore")
    for tool in TOOLS:
        (folder / f"bin/xenstore-{tool}").symlink_to(folder / "xenstore")
    script = folder / "remusnet-netbuf"
    script.write_text(script_text(sys.executable), encoding="utf-8")
    script.chmod(0o755)
    (folder / "store").mkdir()
    host.store(f"/local/domain/{DOMAIN}/name", NAME)
    host.store(f"/local/domain/{DOMAIN}/vm", f"/vm/{UUID}")
    yield host


def ended(process: subprocess.Popen[str]) -> Ended:
    """Waits for a script."""
    try:
        _, stderr = process.communicate(timeout=LONGEST)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        raise
    return Ended(process.returncode, stderr)


class Libxl:
    """What libxl does with the buffer device that the script has named."""

    def __init__(self, host: XenHost, domid: int = DOMAIN, devid: int = 0) -> None:
        keys = host.stored(host.path(domid, devid))
        assert "hotplug-error" not in keys, keys["hotplug-error"]
        self.device = keys["ifb"]
        with host.bed.dom0.entered():
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
            self._index = socket.if_nametoindex(self.device)
        assert self._root_kind() == "plug", f"plug qdisc is not installed on {self.device}"

    def __enter__(self) -> Libxl:
        return self

    def __exit__(self, *_error: object) -> None:
        self._socket.close()

    def postsuspend(self) -> None:
        """A checkpoint begins: BUFFER."""
        self._tell(PLUG_BUFFER)

    def commit(self) -> None:
        """The backup has it: RELEASE_ONE."""
        self._tell(PLUG_RELEASE_ONE)

    def _root_kind(self) -> str:
        """rtnl_qdisc_get_by_parent(cache, ifindex, TC_H_ROOT): a dump of all qdiscs, searched."""
        self._send(RTM_GETQDISC, NLM_F_REQUEST | NLM_F_DUMP, struct.pack("=B3xiIII", 0, 0, 0, 0, 0))
        kinds: list[str] = []
        while True:
            data = os.read(self._socket.fileno(), 1 << 16)
            while data:
                length, kind = struct.unpack_from("=IH", data)
                if kind == 3:
                    return "".join(kinds)
                _, index, _, parent, _ = struct.unpack_from("=B3xiIII", data, 16)
                if (index, parent) == (self._index, TC_H_ROOT):
                    size, what = struct.unpack_from("=HH", data, 36)
                    assert what == TCA_KIND
                    kinds.append(data[40 : 36 + size].rstrip(b"\0").decode())
                data = data[(length + 3) & ~3 :]

    def _tell(self, action: int) -> None:
        body = struct.pack("=B3xiIII", 0, self._index, 0, TC_H_ROOT, 0)
        body += struct.pack("=HH8s", 9, TCA_KIND, b"plug")
        body += struct.pack("=HHiI", 12, TCA_OPTIONS, action, 0)
        self._send(RTM_NEWQDISC, NLM_F_REQUEST | NLM_F_ACK, body)
        answer = os.read(self._socket.fileno(), 4096)
        (error,) = struct.unpack_from("=i", answer, 16)
        assert error == 0, os.strerror(-error)

    def _send(self, kind: int, flags: int, body: bytes) -> None:
        self._socket.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body)


def ready(host: XenHost) -> XenHost:
    """The same host, with prepared messages."""
    assert make_ready(host.places)
    return host


def never_ready(host: XenHost) -> XenHost:
    """The same host, with a folder in the way of the file of prepared messages."""
    Path(host.places.ready).mkdir(parents=True)
    return host


def site(host: XenHost) -> Site:
    """Its protections."""
    return Site(host.bed, host.folder / "run")


def looks(host: XenHost) -> dict[str, object]:
    """All that its kernel has."""
    return site(host).looks()


def clean(host: XenHost) -> set[str]:
    """What the script has left of its own files."""
    return site(host).files() | {path.name for path in (host.folder / "locks").glob("*")}


def set_up(host: XenHost, vif: str = VIF, domid: int = DOMAIN, devid: int = 0) -> None:
    """A setup that has to go well."""
    done = host.run("setup", vif, domid, devid)
    assert (done.status, done.stderr) == (0, "")
