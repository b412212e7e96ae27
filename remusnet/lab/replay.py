"""What runs inside the kernel: a guest's frames through the rules, and a plug at its times.

    guest0 ------ vif1.0 ---- xenbr0 (bridge) ---- cl0 ------ client0
                     (ifb-1.0: where held frames wait)

``remusnet apply`` puts the rules on vif1.0. Frames go in at guest0 and come out at client0; what
was held is seen at the buffer device too. One thread does all in order of time, so that a frame
that is due after an operation is sent after it, however late both are.

Run as ``python -m remusnet.lab.replay``, in the directory ``$LAB_JOB``; see `remusnet.lab.script`
for its files.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from remusnet.kernel.wire.codec import plug_message
from remusnet.kernel.wire.messages import PlugAction
from remusnet.kernel.wire.netlink import Netlink
from remusnet.lab import script
from remusnet.lab.driving import VIF, beginning, protect, sleep_until
from remusnet.lab.ring import Ring
from remusnet.lab.script import Seen, Terms, number_of

GUEST, CLIENT = "guest0", "client0"
_BED = f"""\
link add xenbr0 type bridge forward_delay 0 stp_state 0 mcast_snooping 0
link add {VIF} type veth peer name {GUEST}
link add cl0 type veth peer name {CLIENT}
link set {VIF} master xenbr0
link set cl0 master xenbr0
link set {VIF} type bridge_slave learning off
link set cl0 type bridge_slave learning off
"""
_DEVICES = ("xenbr0", VIF, GUEST, "cl0", CLIENT)
_FORWARDING = "3"

_SO_SNDBUFFORCE = 32
_S = 1_000_000_000
_TAIL_NS, _QUIET_NS = _S // 5, 3_000_000
_MOST_UNREAD = 1_000


def main() -> None:
    """Read the script, do it, write what was seen."""
    place = Path(os.environ["LAB_JOB"])
    terms = Terms.read((place / script.TERMS).read_text(encoding="utf-8"))
    _make_bed()
    buffer = protect(terms.policy, terms.classifier)
    with (
        # Without buffers: each use of one takes a lock, which asks for the time. That is a system
        # call here, and as dear as a frame.
        (place / script.STEPS).open("rb", 0) as steps,
        (place / script.SEEN).open("wb", 0) as seen,
        (place / script.DONE).open("wb", 0) as done,
    ):
        _Replay(buffer, terms, seen, done).run(script.read_steps(steps))


def _make_bed() -> None:
    # The kernel may load IPv6 with its first socket only; addrgenmode is refused before.
    socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close()
    quiet = "".join(f"link set {d} addrgenmode none\nlink set {d} up\n" for d in _DEVICES)
    subprocess.run(["ip", "-batch", "-"], input=_BED + quiet, text=True, check=True)
    # The kernel sees in its own time that both ends of a pair are up, and drops frames till then.
    deadline = time.monotonic() + 30
    while not _forwarding():
        if time.monotonic() > deadline:
            raise RuntimeError("the bed doesn't come up")
        time.sleep(0.01)


def _forwarding() -> bool:
    def says(device: str, file: str) -> str:
        return Path("/sys/class/net", device, file).read_text(encoding="ascii").strip()

    up = all(says(each, "operstate") == "up" for each in _DEVICES)
    return up and all(says(each, "brport/state") == _FORWARDING for each in (VIF, "cl0"))


class _Replay:
    def __init__(self, buffer: str, terms: Terms, seen: BinaryIO, done: BinaryIO) -> None:
        self._index = socket.if_nametoindex(buffer)
        self._netlink = Netlink()
        self._seen, self._done = seen, done
        self._held, self._arrived = Ring(buffer, outgoing=True), Ring(CLIENT)
        self._out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._out.bind((GUEST, 0))
        # What a plug holds is charged to its sender, which would block.
        self._out.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, 1 << 29)
        self._virtual = terms.virtual
        self._begin_ns = 0
        self._times: list[bytes] = []
        self._tell(PlugAction.LIMIT, terms.limit)
        self._tell(PlugAction.BUFFER)  # apply leaves it open

    def run(self, steps: Iterator[script.Step]) -> None:
        """All steps at their times; then the plug is opened, to see what it still has."""
        self._begin_ns = beginning()
        unread = last_ns = 0
        for step in steps:
            unread += 1
            # In virtual time once an epoch, in real time where nothing is due soon; and before the
            # rings run over.
            quiet = step.buffer if self._virtual else step.time_ns - last_ns > _QUIET_NS
            if quiet or unread == _MOST_UNREAD:
                self._read()
                unread = 0
            last_ns = step.time_ns
            sleep_until(self._begin_ns + last_ns)
            done_ns = last_ns
            # In virtual time no frame is late, and to ask for the time costs as much as to send.
            if not self._virtual or not step.frame:
                done_ns = time.time_ns() - self._begin_ns
            if step.frame:
                self._out.send(step.frame)
            else:
                self._tell(PlugAction.BUFFER if step.buffer else PlugAction.RELEASE_ONE)
            self._times.append(script.TIME.pack(done_ns))
        sleep_until(self._begin_ns + last_ns + _TAIL_NS)
        self._read()
        self._times.append(script.TIME.pack(time.time_ns() - self._begin_ns))
        self._tell(PlugAction.RELEASE_INDEFINITE)
        time.sleep(_TAIL_NS / _S)
        self._read()

    def _tell(self, action: PlugAction, limit: int = 0) -> None:
        self._netlink.do(plug_message(self._index, action, limit), action.name)

    def _read(self) -> None:
        """Writes into the files what it has seen and done since the last time."""
        seen = []
        for where, ring in ((Seen.BUFFER, self._held), (Seen.CLIENT, self._arrived)):
            for frame in ring.frames():
                number = number_of(frame.data)
                if number is not None:
                    time_ns = frame.time_ns - self._begin_ns
                    seen.append(
                        script.SIGHTING.pack(where, number, time_ns, zlib.crc32(frame.data))
                    )
        self._seen.write(b"".join(seen))
        self._done.write(b"".join(self._times))
        self._times.clear()


if __name__ == "__main__":
    main()
