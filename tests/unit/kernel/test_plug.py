"""The plug's driver, its record and its messages, without a kernel that has plugs."""

from __future__ import annotations

import errno
import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from remusnet.errors import Conflict, InvalidInput, KernelRefused, MissingDependency, NotPermitted
from remusnet.kernel import plug as plug_module
from remusnet.kernel.locks import driver_of, forget_driver
from remusnet.kernel.messages import PLUG_QOPT, TCMSG, PlugAction, plug_message
from remusnet.kernel.netlink import Answer, Netlink
from remusnet.kernel.plug import Plug, plug_status
from remusnet.kernel.plug_record import (
    PlugId,
    PlugRecord,
    PlugState,
    plug_id,
    read_record,
    write_record,
)
from remusnet.kernel.state import Counters, Qdisc

HANDLE = 0x80010000
BUFFER, RELEASE_ONE = PlugAction.BUFFER, PlugAction.RELEASE_ONE
OPEN = PlugAction.RELEASE_INDEFINITE


class Kernel:
    """In Netlink's place: what it was told, and what it answers."""

    def __init__(self) -> None:
        self.told: list[tuple[PlugAction, int]] = []
        self.answer: Answer | None = None
        self.error: BaseException | None = None
        self.root: Qdisc | None = Qdisc("plug", HANDLE, Counters(qlen=2, backlog=200, drops=1))

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def tell(self, request: bytearray) -> Answer | None:
        _, index, handle, _, _ = TCMSG.unpack_from(request, 16)
        assert (index, handle) == (7, HANDLE)
        action, limit = PLUG_QOPT.unpack(request[-PLUG_QOPT.size :])
        if self.error is not None:
            raise self.error
        if self.answer is None:
            self.told.append((PlugAction(action), limit))
        return self.answer


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    monkeypatch.setattr(plug_module, "Netlink", lambda: made)
    monkeypatch.setattr(plug_module, "root_qdisc", lambda _netlink, _index: made.root)
    monkeypatch.setattr(socket, "if_nametoindex", lambda _name: 7)
    return made


@pytest.fixture
def make(kernel: Kernel, tmp_path: Path) -> Callable[..., Plug]:
    """Makes a plug of ifb0; ``state``: what the driver before it has left."""

    def make(state: PlugState = PlugState.UNKNOWN, *, force: bool = False) -> Plug:
        write_record(tmp_path, "ifb0", plug_id(7, HANDLE), PlugRecord(state))
        return Plug("ifb0", force=force, run_dir=tmp_path)

    return make


# States


@pytest.mark.parametrize(
    ("before", "operation", "after"),
    [
        (PlugState.UNKNOWN, Plug.buffer, PlugState.WAITING),
        (PlugState.OPEN, Plug.buffer, PlugState.BUFFERING),
        (PlugState.BUFFERING, Plug.buffer, PlugState.WAITING),
        (PlugState.UNKNOWN, Plug.release, PlugState.UNKNOWN),
        (PlugState.OPEN, Plug.release, PlugState.OPEN),
        (PlugState.BUFFERING, Plug.release, PlugState.BUFFERING),
        (PlugState.WAITING, Plug.release, PlugState.BUFFERING),
        *((state, Plug.release_all, PlugState.OPEN) for state in PlugState),
    ],
)
def test_each_operation_leads_to_its_state(
    make: Callable[..., Plug],
    before: PlugState,
    operation: Callable[[Plug], None],
    after: PlugState,
) -> None:
    plug = make(before)
    operation(plug)
    assert plug.state is after
    plug.close()


def test_a_buffer_that_would_strand_an_epoch_never_reaches_the_kernel(
    make: Callable[..., Plug], kernel: Kernel
) -> None:
    plug = make(PlugState.WAITING)
    with pytest.raises(Conflict, match="ifb0 still waits for its release"):
        plug.buffer()
    assert (kernel.told, plug.state) == ([], PlugState.WAITING)
    plug.close()


def test_what_a_forced_buffer_strands_is_known_until_all_is_released(
    make: Callable[..., Plug],
) -> None:
    plug = make(PlugState.WAITING, force=True)
    plug.buffer()
    plug.release()
    assert plug.record.stranded
    plug.release_all()
    assert not plug.record.stranded
    plug.close()


def test_a_refusal_changes_nothing(make: Callable[..., Plug], kernel: Kernel) -> None:
    plug = make(PlugState.OPEN)
    kernel.answer = Answer(errno.EPERM)
    with pytest.raises(NotPermitted, match="could not buffer on ifb0"):
        plug.buffer()
    assert plug.record == PlugRecord(PlugState.OPEN)
    plug.close()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), KernelRefused("no answer")])
def test_an_operation_without_an_answer_leaves_the_state_unknown(
    make: Callable[..., Plug], kernel: Kernel, error: BaseException
) -> None:
    plug = make(PlugState.OPEN)
    kernel.error = error
    with pytest.raises(type(error)):
        plug.buffer()
    assert plug.state is PlugState.UNKNOWN
    plug.close()


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (Answer(errno.ENODEV), InvalidInput, "could not release: 'ifb0' is gone"),
        (Answer(errno.EEXIST), Conflict, r"replaced or deleted its plug \(EEXIST\)"),
        (Answer(errno.ENOENT, "no qdisc"), Conflict, r"replaced or deleted its plug \(no qdisc\)"),
        (Answer(errno.ENOMEM), KernelRefused, "could not release on ifb0: Cannot allocate memory"),
    ],
)
def test_the_kernels_refusals_say_what_has_happened(
    make: Callable[..., Plug], kernel: Kernel, answer: Answer, kind: type[Exception], said: str
) -> None:
    plug = make()
    kernel.answer = answer
    with pytest.raises(kind, match=said):
        plug.release()
    plug.close()


@pytest.mark.parametrize("limit", [0, -1, 2**32])
def test_an_impossible_limit_is_refused(make: Callable[..., Plug], limit: int) -> None:
    plug = make()
    with pytest.raises(InvalidInput, match="expected 1 to 4294967295"):
        plug.set_limit(limit)
    plug.close()


def test_a_limit_is_told_and_remembered(make: Callable[..., Plug], kernel: Kernel) -> None:
    plug = make()
    plug.set_limit(5000)
    assert kernel.told == [(PlugAction.LIMIT, 5000)]
    assert plug.status().record.limit == 5000
    plug.close()


@pytest.mark.parametrize("before", PlugState)
def test_a_start_strands_nothing_whatever_was_left(
    make: Callable[..., Plug], kernel: Kernel, before: PlugState
) -> None:
    """An epoch that waits is released before the buffer, one that is open after it."""
    plug = make(before)
    plug.start()
    assert [action for action, _ in kernel.told] == [RELEASE_ONE, BUFFER, RELEASE_ONE]
    assert (plug.state, plug.record.stranded) == (PlugState.BUFFERING, False)
    plug.buffer()
    plug.close()


# Its context, its lock and its record


def test_leaving_the_context_opens_the_plug(make: Callable[..., Plug], kernel: Kernel) -> None:
    with make(PlugState.OPEN) as plug:
        plug.buffer()
    assert kernel.told == [(BUFFER, 0), (OPEN, 0)]


def test_closing_it_within_the_context_leaves_it_as_it_is(
    make: Callable[..., Plug], kernel: Kernel
) -> None:
    """A guest that has failed over must not say another word."""
    with make(PlugState.OPEN) as plug:
        plug.buffer()
        plug.close()
    assert kernel.told == [(BUFFER, 0)]


def test_the_first_error_is_told_and_the_second_noted(
    make: Callable[..., Plug], kernel: Kernel
) -> None:
    def leave_by_an_error() -> None:
        with make():
            kernel.answer = Answer(errno.ENODEV)
            raise ValueError("first")

    with pytest.raises(ValueError, match="first") as caught:
        leave_by_an_error()
    assert caught.value.__notes__ == ["then: could not release all: 'ifb0' is gone"]


def test_a_plug_that_can_not_be_opened_at_the_end_is_an_error(
    make: Callable[..., Plug], kernel: Kernel
) -> None:
    plug = make()
    kernel.answer = Answer(errno.ENODEV)
    with pytest.raises(InvalidInput, match="is gone"), plug:
        pass


def test_closing_writes_the_record_and_gives_up_the_lock(
    make: Callable[..., Plug], tmp_path: Path
) -> None:
    plug = make(PlugState.OPEN)
    assert driver_of(tmp_path, "ifb0")
    plug.buffer()
    plug.close()
    plug.close()
    assert driver_of(tmp_path, "ifb0") == ""
    assert plug_status("ifb0", tmp_path).record == PlugRecord(PlugState.BUFFERING, buffers=1)


def test_while_it_is_driven_there_is_no_record(make: Callable[..., Plug], tmp_path: Path) -> None:
    """So that a driver that is killed leaves none that is wrong."""
    plug = make(PlugState.OPEN)
    assert plug_status("ifb0", tmp_path).record.state is PlugState.UNKNOWN
    plug.close()


def test_without_the_lock_nothing_is_written(kernel: Kernel, tmp_path: Path) -> None:
    with Plug("ifb0", lock=False, run_dir=tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_record_goes_with_the_buffer_device(make: Callable[..., Plug], tmp_path: Path) -> None:
    make().close()
    forget_driver(tmp_path, "ifb0")
    assert list(tmp_path.iterdir()) == []


def test_the_status_has_the_kernels_figures(kernel: Kernel, tmp_path: Path) -> None:
    kernel.root = Qdisc("plug", HANDLE, Counters(packets=9, qlen=2, backlog=200, drops=1))
    found = plug_status("ifb0", tmp_path)
    assert (found.packets, found.backlog, found.drops, found.passed) == (2, 200, 1, 9)


@pytest.mark.parametrize(
    ("root", "without", "kind", "said"),
    [
        (Qdisc("fq_codel", 1, Counters()), False, Conflict, "root qdisc of ifb0 is fq_codel"),
        (None, False, Conflict, "ifb0 has no plug"),
        (None, True, MissingDependency, r"no plug \(sch_plug\)"),
    ],
)
def test_what_is_no_plug_is_not_driven(
    kernel: Kernel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    root: Qdisc | None,
    without: bool,
    kind: type[Exception],
    said: str,
) -> None:
    kernel.root = root
    monkeypatch.setattr("remusnet.kernel.probe.lacks", lambda _name: without)
    with pytest.raises(kind, match=said):
        Plug("ifb0", run_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no such device: 'no-such-ifb'"):
        Plug("no-such-ifb", run_dir=tmp_path)


@pytest.mark.parametrize("device", ["../etc", "", "a" * 16])
def test_a_device_name_that_can_not_be_one_is_no_path(tmp_path: Path, device: str) -> None:
    with pytest.raises(InvalidInput, match="invalid device name"):
        Plug(device, run_dir=tmp_path)


# The record


RECORD = PlugRecord(PlugState.WAITING, limit=5000, buffers=3, releases=2, stranded=True)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_record(tmp_path / "new", "ifb0", plug_id(7, HANDLE), RECORD)
    assert read_record(tmp_path / "new", "ifb0", plug_id(7, HANDLE)) == RECORD
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["plug-ifb0.state"]


@pytest.mark.parametrize("other", [plug_id(8, HANDLE), plug_id(7, HANDLE + 0x10000)])
def test_a_record_of_another_device_or_qdisc_is_not_believed(tmp_path: Path, other: PlugId) -> None:
    write_record(tmp_path, "ifb0", plug_id(7, HANDLE), RECORD)
    assert read_record(tmp_path, "ifb0", other) == PlugRecord()


def test_a_record_of_an_earlier_boot_is_not_believed(tmp_path: Path) -> None:
    write_record(tmp_path, "ifb0", plug_id(7, HANDLE), RECORD)
    path = tmp_path / "plug-ifb0.state"
    content = json.loads(path.read_text())
    content["plug"]["boot"] = "yesterday"
    path.write_text(json.dumps(content))
    assert read_record(tmp_path, "ifb0", plug_id(7, HANDLE)) == PlugRecord()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"format": 2}', '{"format": 1}', "\x00\xff" * 5000]
)
def test_a_damaged_record_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "plug-ifb0.state").write_text(content)
    assert read_record(tmp_path, "ifb0", plug_id(7, HANDLE)) == PlugRecord()


def test_a_folder_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match="file"):
        write_record(tmp_path / "file", "ifb0", plug_id(7, HANDLE), RECORD)


# Messages


def test_an_answer_to_an_interrupted_message_is_not_taken_for_this_ones() -> None:
    """A signal handler may raise between a send and its answer, which then waits in the socket."""
    with Netlink() as netlink:
        # No such message type; EPERM for those who may not ask. Either way the kernel refuses.
        unknown = bytearray(b"\x14\0\0\0\xff\x7f\x05\0" + bytes(12))
        no_device = bytearray(plug_message(2**31 - 1, OPEN))
        netlink._socket.send(unknown)
        found = netlink.tell(no_device)
        assert found is not None
        assert found.error in (errno.ENODEV, errno.EPERM)
        assert found == netlink.tell(no_device)


def test_no_memory_for_an_answer_is_an_error_and_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def send(self, data: bytes) -> int:
            return len(data)

        def recv_into(self, data: bytearray) -> int:
            raise OSError(errno.ENOBUFS, "No buffer space available")

        def close(self) -> None:
            pass

    with Netlink() as netlink:
        netlink.close()
        monkeypatch.setattr(netlink, "_socket", Full())
        with pytest.raises(KernelRefused, match="no answer from the kernel: No buffer space"):
            netlink.tell(bytearray(plug_message(1, RELEASE_ONE)))
