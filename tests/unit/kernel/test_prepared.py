"""A plan that was prepared, and its end: the order of messages, and when it is left to others."""

from __future__ import annotations

import errno
from itertools import groupby
from struct import pack, unpack_from

import pytest

from remusnet.kernel import prepared
from remusnet.kernel.change import execute
from remusnet.kernel.change.execute import harmless, together
from remusnet.kernel.prepared import GaveUp
from remusnet.kernel.wire.codec import Template, read_template
from remusnet.kernel.wire.messages import encode
from remusnet.kernel.wire.netlink import Answer
from remusnet.plan.operations import (
    AddFilter,
    AddIngress,
    AddPlug,
    CreateBuffer,
    DeleteDevice,
    DeleteIngress,
    DeletePlug,
    QuietDevice,
    ReleasePlug,
)
from remusnet.plan.plan import CLASSIFIERS, build_plan
from remusnet.plan.rows import Operation
from remusnet.policy import PRESETS

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


PLAN = [
    (operation, template)
    for operation, template in execute.prepared(
        CLASSIFIERS["u32"](PRESETS["real-time"]), decouple=True
    )
]


def prepared_templates() -> list[Template]:
    """As the file that the netbuf script reads has them."""
    before: Operation | None = None
    for operation, template in PLAN:
        template.harmless = tuple(harmless(operation))
        template.together = before is not None and together(before, operation)
        before = operation
    return [read_template(template.words()) for _, template in PLAN]


class NewKernel(Kernel):
    """Numbers what is made, and refuses what it is told to, with ``error``."""

    def __init__(self, refused: type[Operation] | None = None, error: int = 0) -> None:
        super().__init__()
        self.refused, self.error = refused, error
        self.batches: list[int] = []

    def ask(self, messages: list[bytes]) -> list[Answer]:
        start = len(self.told)
        self.told += messages
        self.batches.append(len(messages))
        kinds = [type(operation) for operation, _ in PLAN][start : start + len(messages)]
        return [Answer(self.error if kind is self.refused else 0) for kind in kinds]

    def get(self, request: bytes) -> list[tuple[int, bytes]]:
        if unpack_from("=H", request, 4)[0] == GETLINK:
            return [(16, bytes(16) + attribute(13, pack("=I", 32)))]
        return super().get(request)


def protect(monkeypatch: pytest.MonkeyPatch, kernel: NewKernel) -> tuple[object, ...]:
    monkeypatch.setattr(prepared, "Netlink", lambda: kernel)
    monkeypatch.setattr(prepared, "fingerprint", lambda _netlink, _vif: 42)
    monkeypatch.setattr("remusnet.kernel.prepared._socket.if_nametoindex", NUMBERS.__getitem__)
    monkeypatch.setattr(prepared, "tcx_programs", lambda _vif: ())
    return prepared.protect((VIF,), BUFFER, SINK, 1_000_000, prepared_templates())


def test_a_prepared_plan_is_the_plan_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = NewKernel()
    made, marks = protect(monkeypatch, kernel)
    plan = build_plan(
        [VIF], PRESETS["real-time"], classifier="u32", rate=1, interval_ns=1, limit=1_000_000
    )
    assert kernel.told == [encode(each, NUMBERS.__getitem__) for each in plan.operations]
    assert (made, marks) == (MADE, {"index": 7, "handle": 0x80010000, "queue": 32})
    assert prepared.read_made(prepared.made_text(MADE)) == MADE


def test_filters_of_one_verdict_go_together_and_all_else_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What fails among these leaves more held than planned, never less."""
    kernel = NewKernel()
    protect(monkeypatch, kernel)
    verdicts = [each.filter.verdict for each, _ in PLAN if isinstance(each, AddFilter)]
    alone = len(PLAN) - len(verdicts)
    assert kernel.batches[:alone] == [1] * alone
    assert kernel.batches[alone:] == [len([*group]) for _, group in groupby(verdicts)]


@pytest.mark.parametrize("refused", [CreateBuffer, AddPlug, AddIngress, AddFilter])
def test_what_the_kernel_refuses_ends_it_there(
    monkeypatch: pytest.MonkeyPatch, refused: type[Operation]
) -> None:
    kernel = NewKernel(refused, errno.ENOENT)
    with pytest.raises(GaveUp, match="ENOENT"):
        protect(monkeypatch, kernel)
    kinds = [type(operation) for operation, _ in PLAN]
    last = kinds[len(kernel.told) - kernel.batches[-1]]
    assert last is refused


def test_a_kernel_without_ipv6_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = NewKernel(QuietDevice, errno.EAFNOSUPPORT)
    protect(monkeypatch, kernel)
    assert len(kernel.told) == len(PLAN)
