"""The end of what was prepared: the order of its messages, and when it leaves it to remove."""

from __future__ import annotations

from struct import pack, unpack_from

import pytest

from remusnet.kernel import prepared
from remusnet.kernel.prepared import GaveUp
from remusnet.kernel.wire.messages import encode
from remusnet.kernel.wire.netlink import Answer
from remusnet.plan.operations import DeleteDevice, DeleteIngress, DeletePlug, ReleasePlug
from remusnet.plan.rows import Operation

BUFFER, SINK, VIF = "ifb-1.0", "sink-1.0", "vif1.0"
NUMBERS = {BUFFER: 7, SINK: 8, VIF: 3}
COUPLED = [(BUFFER, 7, "B"), (VIF, 3, "42")]
HEADER, GETLINK, GETQDISC = 16, 18, 38
MADE = [COUPLED[0], (SINK, 8, "S"), COUPLED[1]]


def attribute(kind: int, payload: bytes) -> bytes:
    return pack("=HH", 4 + len(payload), kind) + payload + b"\0" * (-len(payload) % 4)


class Kernel:
    """A plug that empties when it is opened, on a buffer device that is ours."""

    def __init__(self) -> None:
        self.told: list[bytes] = []
        self.held = 3
        self.kind = b"plug\0"
        self.sink_kind = b"pfifo\0"
        self.alias = b"remusnet:vif1.0"
        self.sink_alias = b"remusnet/sink:vif1.0"

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def ask(self, messages: list[bytes]) -> list[Answer]:
        self.told += messages
        if messages == [encode(ReleasePlug(BUFFER), NUMBERS.__getitem__)]:
            self.held = 0
        return [Answer(0)]

    def get(self, request: bytes) -> list[tuple[int, bytes]]:
        kind, index = unpack_from("=H", request, 4)[0], unpack_from("=i", request, HEADER + 4)[0]
        if kind == GETLINK:
            alias = self.alias if index == NUMBERS[BUFFER] else self.sink_alias
            counters = attribute(23, pack("=7Q", 9, 9, 0, 0, 0, 0, 0))
            return [(16, bytes(16) + attribute(20, alias) + counters)]
        assert kind == GETQDISC
        what = self.kind if index == NUMBERS[BUFFER] else self.sink_kind
        queue = attribute(7, attribute(3, pack("=5I", self.held, 0, 0, 0, 0)))
        where = pack("=BxxxiIII", 0, index, 0x80010000, 0xFFFFFFFF, 0)
        return [(36, where + attribute(1, what) + queue)]


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    monkeypatch.setattr(prepared, "Netlink", lambda: made)
    monkeypatch.setattr(prepared, "fingerprint", lambda _netlink, _vif: 42)
    monkeypatch.setattr("remusnet.kernel.prepared._socket.if_nametoindex", NUMBERS.__getitem__)
    return made


@pytest.mark.parametrize("made", [MADE, COUPLED])
def test_what_is_held_leaves_before_frames_can_pass_it_by(
    kernel: Kernel, made: list[tuple[str, int, str]]
) -> None:
    prepared.end(made)
    operations: list[Operation] = [
        ReleasePlug(BUFFER),
        DeleteIngress(VIF),
        ReleasePlug(BUFFER),
        DeletePlug(BUFFER),
        *([DeleteDevice(SINK)] if made is MADE else []),
        DeleteDevice(BUFFER),
    ]
    assert kernel.told == [encode(each, NUMBERS.__getitem__) for each in operations]


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("kind", b"pfifo\0"),
        ("alias", b"mine"),
        ("alias", b""),
        ("sink_kind", b"bfifo\0"),
        ("sink_alias", b"remusnet:vif1.0"),
    ],
)
def test_what_is_not_as_it_was_made_is_not_touched(kernel: Kernel, what: str, value: bytes) -> None:
    setattr(kernel, what, value)
    with pytest.raises(GaveUp):
        prepared.end(MADE)
    assert kernel.told == []


@pytest.mark.parametrize(
    "made",
    [
        [(BUFFER, 9, "B"), *MADE[1:]],
        [MADE[0], (SINK, 9, "S"), MADE[2]],
        [*MADE[:2], (VIF, 4, "42")],
        [*MADE[:2], (VIF, 3, "43")],
    ],
)
def test_other_devices_of_the_same_names_and_other_filters_are_not_touched(
    kernel: Kernel, made: list[tuple[str, int, str]]
) -> None:
    with pytest.raises(GaveUp):
        prepared.end(made)
    assert kernel.told == []


def test_a_plug_that_does_not_empty_is_left_to_remove(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keeps(messages: list[bytes]) -> list[Answer]:
        kernel.told += messages
        return [Answer(0)]

    monkeypatch.setattr(kernel, "ask", keeps)
    with pytest.raises(GaveUp):
        prepared.end(MADE)
    assert kernel.told == [encode(ReleasePlug(BUFFER), NUMBERS.__getitem__)]
