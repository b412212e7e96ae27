"""Traffic of a guest and its peer, frame by frame, for the replay."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from remusnet.emulator.machine.epochs import Checkpoints, Deliveries, replay
from remusnet.frames import Frames
from tests.unit.metrics import packets as make
from tests.unit.metrics.packets import Flow

MS = 1_000_000
START_NS = make.START_NS
GUEST, PEER, OTHER = (
    bytes.fromhex(mac) for mac in ("00163e000001", "020000000002", "020000000003")
)
FROM_GUEST = Flow("10.0.0.1", 20000, "10.0.0.2", 30000)
FROM_PEER = Flow("10.0.0.2", 30000, "10.0.0.1", 20000)
SIP = Flow("10.0.0.1", 5060, "10.0.0.2", 40000)
GUEST_SSRC, PEER_SSRC = 0x600D0001, 0xC11E0002


def by(source: bytes, frame: bytes, destination: bytes = PEER) -> bytes:
    """``frame`` with other MAC addresses."""
    return destination + source + frame[12:]


def call(count: int = 2000, first_ns: int = 7 * MS) -> Frames:
    """RTP both ways, one packet every 20 ms without any jitter, and SIP over TCP every second.

    ``first_ns``: when the streams start after the capture did, with a SIP message.
    """
    steady = make.steady(count, late_ms=0)
    timed = [(at, by(GUEST, f)) for at, f in make.stream(steady, GUEST_SSRC, FROM_GUEST)]
    timed += [(at, by(PEER, f, GUEST)) for at, f in make.stream(steady, PEER_SSRC, FROM_PEER)]
    timed = [(at + first_ns, frame) for at, frame in timed]
    for second in range(count // 50):
        message = make.tcp(b"INFO sip:guest SIP/2.0\r\n\r\n", second * 1000, SIP)
        timed.append((second * 1000 * MS, by(GUEST, message)))
    timed.sort(key=lambda each: each[0])
    return Frames.of([frame for _, frame in timed], [START_NS + at for at, _ in timed])


def checkpoints(*steps: tuple[int, int, int]) -> Checkpoints:
    """Checkpoints from (suspend, resume, commit)."""
    columns = np.array(steps, np.int64).reshape(-1, 3)
    return Checkpoints(columns[:, 0], columns[:, 1], columns[:, 2])


def replayed(
    times: Sequence[int],
    checkpoints: Checkpoints,
    *,
    hold: Sequence[bool] | None = None,
    guest: Sequence[bool] | None = None,
    length: Sequence[int] | None = None,
    limit: int = 10**9,
) -> Deliveries:
    """`replay` of frames of one byte, sent by the guest and held, unless said otherwise."""
    n = len(times)
    return replay(
        np.array(times, np.int64),
        np.array([1] * n if length is None else length, np.int64),
        np.array([True] * n if guest is None else guest, np.bool_),
        np.array([True] * n if hold is None else hold, np.bool_),
        checkpoints,
        limit,
    )
