"""The netbuf script, against the commands that Xen's own script starts for the same.

Runs in a UML kernel. Both get the same stand-ins for xenstore's tools, which start no programs of
their own. The stock sequence is tools/hotplug/Linux/remus-netbuf-setup with xen-hotplug-common.sh
and locking.sh, one domain, the first IFB free; where a tool of it is not installed, a cheaper one
stands in (``tc`` for libnl's tools, ``true`` for the others).
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from remusnet.host.install import script_text
from remusnet.host.netbuf.compiled import make_ready
from remusnet.host.netbuf.places import Places
from remusnet.kernel.wire.messages import encode
from remusnet.kernel.wire.netlink import Netlink
from remusnet.plan.operations import DeleteDevice, DeleteIngress, DeletePlug
from scripts.benchmarks.ratio import Ratio

STOCK = Path(__file__).with_name("netbuf-stock.sh")
STAND_IN = Path(__file__).parents[2] / "tests/kernel/stand-ins/xenstore"
VIF, OURS, SINK, THEIRS = "vif1.0", "ifb-1.0", "sink-1.0", "ifb0"
PATH = "/libxl/1/remus/netbuf/0"


@contextmanager
def ratios() -> Iterator[list[Ratio]]:
    """A setup, and a setup with its teardown, by each of the two.

    A teardown whose domain was destroyed is one of its own: what is held must not leave then, and
    remusnet looks at the kernel before it ends anything.
    """
    for words in (
        f"ip link add {VIF} type dummy",
        f"ip link add {THEIRS} numtxqueues 1 numrxqueues 1 type ifb",
        "ip link add ifb1 numtxqueues 1 numrxqueues 1 type ifb",
    ):
        subprocess.run(words.split(), check=True)
    with TemporaryDirectory(prefix="remusnet-netbuf-") as folder:
        dom0 = _Dom0(Path(folder))
        yield [
            Ratio(
                "a netbuf setup",
                "the stock script's commands",
                1,
                lambda: dom0.ours("setup"),
                lambda: dom0.theirs("setup"),
            ),
            Ratio(
                "a netbuf setup and teardown",
                "the stock script's commands",
                1,
                lambda: dom0.ours("setup", "teardown"),
                lambda: dom0.theirs("setup", "teardown"),
            ),
            Ratio(
                "the same, its domain destroyed",
                "the stock script's commands",
                1,
                lambda: dom0.ours("setup", "destroyed", "teardown"),
                lambda: dom0.theirs("setup", "destroyed", "teardown"),
            ),
        ]


class _Dom0:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "bin").mkdir()
        (folder / "store/local/domain/1").mkdir(parents=True)
        self._domain = {"name": "guest", "vm": "/vm/0f5d1c6e-2a75-4d6b-9c55-8d2f3b1e7a90"}
        shutil.copy(STAND_IN, folder / "xenstore")
        for tool in ("read", "write", "rm", "list", "exists"):
            (folder / f"bin/xenstore-{tool}").symlink_to(folder / "xenstore")
        for tool in ("modinfo", "ifconfig", "logger", "perl"):
            if shutil.which(tool) is None:
                (folder / f"bin/{tool}").symlink_to("/bin/true")
        self._script = folder / "remusnet-netbuf"
        self._script.write_text(script_text(sys.executable), encoding="utf-8")
        self._script.chmod(0o755)
        self._environment = {
            "PATH": f"{folder}/bin:{os.environ['PATH']}",
            "vifname": VIF,
            "XENBUS_PATH": PATH,
            "REMUSNET_CONFIG": str(folder / "none.toml"),
            "REMUSNET_RUN_DIR": str(folder / "run"),
            "REMUSNET_STATE_DIR": str(folder / "state"),
            "REMUSNET_XEN_LOCK_DIR": str(folder / "locks"),
        }
        if not make_ready(Places(self._environment)):
            raise RuntimeError("nothing is ready")

    def ours(self, *actions: str) -> None:
        self._each(actions, str(self._script))
        if "teardown" not in actions:
            _undo([DeleteIngress(VIF), DeletePlug(OURS), DeleteDevice(SINK), DeleteDevice(OURS)])
            for name in (f"{OURS}.json", f"{OURS}.xen"):
                (self._folder / "run" / name).unlink()
            self._forget()

    def theirs(self, *actions: str) -> None:
        self._each(actions, "bash", str(STOCK))
        if "teardown" not in actions:
            _undo([DeleteIngress(VIF), DeletePlug(THEIRS)])
            self._forget()

    def _each(self, actions: Sequence[str], *script: str) -> None:
        for key, value in self._domain.items():
            (self._folder / f"store/local/domain/1/{key}").mkdir(exist_ok=True)
            (self._folder / f"store/local/domain/1/{key}/.value").write_text(f"{value}\n")
        for action in actions:
            if action == "destroyed":
                for key in self._domain:
                    shutil.rmtree(self._folder / f"store/local/domain/1/{key}")
            else:
                self._run([*script, action])

    def _run(self, command: list[str]) -> None:
        # To a file: xen-hotplug-common.sh sends its errors to xen-hotplug.log.
        with (self._folder / "log").open("wb") as log:
            subprocess.run(command, env=self._environment, stderr=log, check=True)

    def _forget(self) -> None:
        shutil.rmtree(self._folder / f"store{PATH}")


def _undo(operations: list[DeleteIngress | DeletePlug | DeleteDevice]) -> None:
    """What a teardown does, by messages, which take no time beside a process."""
    with Netlink() as netlink:
        netlink.ask([encode(each, socket.if_nametoindex) for each in operations])
