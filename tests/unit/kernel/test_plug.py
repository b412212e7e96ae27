"""The plug's driver, its record and its messages, without a kernel that has plugs."""

from __future__ import annotations

import errno
import json
import socket
import struct
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from remusnet.errors import Conflict, InvalidInput, KernelRefused, MissingDependency, NotPermitted
from remusnet.kernel import plug as plug_module
from remusnet.kernel import plug_status as plug_status_module
from remusnet.kernel.plug import Plug
from remusnet.kernel.plug_status import plug_status
from remusnet.kernel.run_dir import change_lock, driver_of
from remusnet.kernel.state.drivers import (
    PlugId,
    PlugRecord,
    PlugState,
    forget_driver,
    plug_id,
    read_record,
    write_record,
)
from remusnet.kernel.wire.codec import (
    IFF_UP,
    IFINFOMSG,
    NLM_F_ACK,
    PLUG_QOPT,
    RTM_NEWLINK,
    TCMSG,
    plug_message,
)
from remusnet.kernel.wire.messages import PlugAction
from remusnet.kernel.wire.netlink import Answer
from remusnet.kernel.wire.objects import Counters, Device, Qdisc
from remusnet.kernel.wire.plug_line import PlugLine, unacknowledged

HANDLE = 0x80010000
BUFFER, RELEASE_ONE = PlugAction.BUFFER, PlugAction.RELEASE_ONE
OPEN = PlugAction.RELEASE_INDEFINITE


class Kernel:
    """In the place of Netlink and of PlugLine: what it was told, and what it answers.

    ``purge``: what the next look finds to have purged the plug.
    """

    def __init__(self) -> None:
        self.told: list[tuple[PlugAction, int] | str] = []
        self.answer: Answer | None = None
        self.error: BaseException | None = None
        self.root: Qdisc | None = Qdisc("plug", HANDLE, Counters(qlen=2, backlog=200, drops=1))
        self.purge, self.coming, self.up = "", "", True
        self._refusal: Answer | None = None

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        pass

    def expect(self, *, up: bool, queue: int) -> None:
        assert (up, queue) == (True, 32)

    def send(self, request: bytearray) -> None:
        kind, flags = struct.unpack_from("=HH", request, 4)
        assert not flags & NLM_F_ACK
        if self.error is not None:
            raise self.error
        self._refusal = self.answer
        if kind == RTM_NEWLINK:
            self.told.append("up" if IFINFOMSG.unpack_from(request, 16)[3] & IFF_UP else "down")
            return
        _, index, handle, _, _ = TCMSG.unpack_from(request, 16)
        assert (index, handle) == (7, HANDLE)
        action, limit = PLUG_QOPT.unpack(request[-PLUG_QOPT.size :])
        if self.answer is None:
            self.told.append((PlugAction(action), limit))
            if action == OPEN and self.root is not None:
                self.root = replace(self.root, counters=replace(self.root.counters, qlen=0))

    def look(self) -> Answer | None:
        refusal, self._refusal = self._refusal, None
        self.purge, self.coming = self.coming or self.purge, ""
        return refusal

    def forget(self) -> None:
        self.purge = ""


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    monkeypatch.setattr(plug_module, "Netlink", lambda: made)
    monkeypatch.setattr(plug_module, "PlugLine", lambda _index: made)
    monkeypatch.setattr(plug_status_module, "Netlink", lambda: made)
    monkeypatch.setattr(plug_status_module, "root_qdisc", lambda _netlink, _index: made.root)
    monkeypatch.setattr(
        plug_module, "device_at", lambda _netlink, at: Device(at, "ifb0", "ifb", "", True, queue=32)
    )
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
    """Nor do counters of frames that were purged live on: only a release of all clears them."""
    plug = make(before)
    plug.start()
    assert [each[0] for each in kernel.told] == [OPEN, BUFFER]
    assert (plug.state, plug.record.stranded) == (PlugState.BUFFERING, False)
    plug.buffer()
    plug.close()


# A BUFFER whose refusal is read later


def test_a_refused_buffer_is_known_before_anything_is_released(
    make: Callable[..., Plug], kernel: Kernel
) -> None:
    plug = make(PlugState.BUFFERING)
    kernel.answer = Answer(errno.ENOMEM)
    plug.buffer()
    kernel.answer = None
    with pytest.raises(KernelRefused, match="could not buffer on ifb0: Cannot allocate memory"):
        plug.release()
    assert (kernel.told, plug.state, plug.record.buffers) == ([], PlugState.BUFFERING, 0)
    plug.close()


def test_a_refused_buffer_does_not_keep_a_plug_from_being_opened(
    make: Callable[..., Plug], kernel: Kernel
) -> None:
    with make(PlugState.BUFFERING) as plug:
        kernel.answer = Answer(errno.ENOMEM)
        plug.buffer()
        kernel.answer = None
    assert kernel.told == [(OPEN, 0)]


# Purges

CLEARED = ["down", (OPEN, 0), (BUFFER, 0), "up"]


def test_a_purge_before_a_release_clears_the_plug_and_releases_nothing(
    make: Callable[..., Plug], kernel: Kernel
) -> None:
    plug = make(PlugState.WAITING)
    kernel.coming = "it was set down"
    plug.release()
    assert kernel.told == CLEARED
    assert (plug.state, plug.purges, plug.purge) == (PlugState.BUFFERING, 1, "it was set down")
    plug.buffer()
    plug.release()
    assert kernel.told == [*CLEARED, (BUFFER, 0), (RELEASE_ONE, 0)]
    assert plug.purges == 1
    plug.close()


def test_a_purge_between_the_look_and_the_release_clears_it_at_once(
    make: Callable[..., Plug], kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug = make(PlugState.WAITING)
    send = kernel.send

    def send_late(request: bytearray) -> None:
        if PLUG_QOPT.unpack(request[-PLUG_QOPT.size :])[0] == RELEASE_ONE:
            kernel.coming = "it was set down"
        send(request)

    monkeypatch.setattr(kernel, "send", send_late)
    plug.release()
    assert kernel.told == [(RELEASE_ONE, 0), *CLEARED]
    plug.close()


def test_a_device_that_is_down_is_left_so(make: Callable[..., Plug], kernel: Kernel) -> None:
    plug = make(PlugState.WAITING)
    kernel.coming, kernel.up = "it was set down", False
    plug.release()
    assert kernel.told == [(OPEN, 0), (BUFFER, 0)]
    plug.close()


def test_an_open_plug_has_nothing_to_clear(make: Callable[..., Plug], kernel: Kernel) -> None:
    plug = make(PlugState.OPEN)
    kernel.coming = "it was set down"
    plug.release()
    assert kernel.told == [(RELEASE_ONE, 0)]
    assert (plug.state, plug.purges) == (PlugState.OPEN, 0)
    plug.close()


def test_while_another_remusnet_is_at_work_a_purged_plug_only_holds(
    make: Callable[..., Plug], kernel: Kernel, tmp_path: Path
) -> None:
    """An apply that found the device down would open its plug, just when the driver raises it."""
    plug = make(PlugState.WAITING)
    kernel.coming = "it was set down"
    with change_lock(tmp_path):
        plug.release()
        plug.buffer()
        plug.release()
    assert kernel.told == [(BUFFER, 0)]
    plug.buffer()
    assert kernel.told == [(BUFFER, 0), *CLEARED, (BUFFER, 0)]
    assert (plug.state, plug.purges) == (PlugState.WAITING, 1)
    plug.close()


def test_fewer_frames_than_the_driver_before_left_are_a_purge(
    make: Callable[..., Plug], kernel: Kernel, tmp_path: Path
) -> None:
    """A process for each operation hears no news in between, so it counts."""
    first = make(PlugState.OPEN)
    first.buffer()
    first.close()
    kernel.root = Qdisc("plug", HANDLE, Counters(packets=1))
    second = Plug("ifb0", run_dir=tmp_path)
    second.buffer()
    assert kernel.told == [(BUFFER, 0), *CLEARED, (BUFFER, 0)]
    assert second.purge == "it holds fewer frames than were left in it"
    second.close()


def test_a_purge_that_a_driver_left_alone_shows_to_the_next(
    make: Callable[..., Plug], kernel: Kernel, tmp_path: Path
) -> None:
    first = make(PlugState.BUFFERING)
    first.buffer()
    kernel.coming = "it was set down"
    first.close()
    with closing(Plug("ifb0", run_dir=tmp_path)) as second:
        second.release()
        assert second.purges == 1


def test_a_start_that_finds_a_frame_on_its_way_begins_anew(
    make: Callable[..., Plug], kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a frame belongs to no epoch: it would stay in front of all that follow."""
    plug = make()
    left = [0, 1, 0, 0]
    monkeypatch.setattr(plug, "_waiting", lambda: left.pop(0))
    plug.start()
    assert kernel.told == [(OPEN, 0), (BUFFER, 0)] * 2
    plug.close()


# The line


def test_only_the_refusal_of_the_last_message_is_told() -> None:
    """A signal handler may raise between a send and its look; that refusal waits in the socket."""
    line = PlugLine(1)
    # No such message type; EPERM for those who may not ask. Either way the kernel refuses.
    line.send(bytearray(b"\x14\0\0\0\xff\x7f\x01\0" + bytes(12)))
    no_device = unacknowledged(plug_message(2**31 - 1, OPEN))
    line.send(no_device)
    found = line.look()
    assert found is not None
    assert found.error in (errno.ENODEV, errno.EPERM)
    assert line.look() is None
    line.close()


def test_no_memory_for_an_answer_is_an_error_and_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def send(self, data: bytes) -> int:
            return len(data)

        def recv_into(self, data: bytearray, size: int, flags: int) -> int:
            raise OSError(errno.ENOBUFS, "No buffer space available")

    line = PlugLine(1)
    line.close()
    monkeypatch.setattr(line, "_socket", Full())
    line.send(unacknowledged(plug_message(1, RELEASE_ONE)))
    with pytest.raises(KernelRefused, match="no answer from the kernel: No buffer space"):
        line.look()


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
    assert plug_status("ifb0", tmp_path).record == PlugRecord(
        PlugState.BUFFERING, buffers=1, came=2
    )


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
