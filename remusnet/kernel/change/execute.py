"""Encodes operations, does them one after the other, and can undo them in reverse.

Each operation is acknowledged before the next begins; plugs are waited for together. Only filters
of one vif and one verdict are sent together: where one of them fails, those after it hold more, or
let less pass, than planned. Each filter is encoded once for all its vifs. A signal waits until it
is safe: between two messages to the kernel, never within one.
"""

from __future__ import annotations

import errno
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from itertools import groupby
from struct import Struct
from types import FrameType

from remusnet.classify.filters import Classification, Filter
from remusnet.errors import InvalidInput, RemusnetError, quoted
from remusnet.kernel.change.drain import drain
from remusnet.kernel.change.explain import describe, explain
from remusnet.kernel.state.observe import Seen
from remusnet.kernel.wire.codec import (
    BUFFER,
    BUFFER_NAME,
    HEADER,
    IFINFOMSG,
    LIMIT,
    RTM_NEWLINK,
    RTM_SETLINK,
    SINK,
    SINK_NAME,
    UINT,
    VIF,
    VIF_NAMES,
    Template,
    Text,
)
from remusnet.kernel.wire.messages import Same, encode
from remusnet.kernel.wire.netlink import Netlink
from remusnet.plan.operations import (
    AddFilter,
    DeleteDevice,
    DrainPlug,
    ReleasePlug,
)
from remusnet.plan.plan import Plan, Protection, undo_of
from remusnet.plan.rows import Operation

_NO_IPV6 = frozenset({errno.EAFNOSUPPORT, errno.EOPNOTSUPP})
# The thing to delete is gone; EINVAL: so is the qdisc that had it.
_GONE = frozenset({errno.ENOENT, errno.ENODEV, errno.EINVAL})


class Executor:
    """Does operations over ``netlink`` on what was ``seen``.

    ``check`` is called between them, and may raise. ``done`` is what can be undone, in order.
    ``encoder``: one that others on the same devices use too.
    """

    def __init__(
        self,
        netlink: Netlink,
        seen: Seen,
        check: Callable[[], None] = lambda: None,
        encoder: Encoder | None = None,
    ) -> None:
        self._netlink = netlink
        if encoder is None:
            encoder = Encoder({each.name: each.index for each in seen.devices.values()})
        self._encoder = encoder
        self._check = check
        self.done: list[Operation] = []

    def run(self, operations: Iterable[Operation]) -> None:
        """Does ``operations``. Raises what `explain` makes of the first failure."""
        for batch in _batches(operations):
            self._check()
            drained = [each for each in batch if isinstance(each, DrainPlug)]
            if drained:
                self._drain(drained, self._check)
                continue
            answers = self._netlink.ask([self._encode(each) for each in batch])
            failed = None
            for operation, answer in zip(batch, answers, strict=True):
                if not answer.error:
                    self.done.append(operation)
                elif answer.error not in harmless(operation):
                    failed = failed or explain(operation, answer)
            if failed is not None:
                raise failed

    def undo(self) -> tuple[str, ...]:
        """Takes back what is done, all of it, whatever fails; one line for each failure."""
        problems = []
        for operation in undo_of(self.done):
            try:
                if isinstance(operation, DrainPlug):
                    self._drain([operation], lambda: None)
                    continue
                (answer,) = self._netlink.ask([self._encode(operation)])
            except RemusnetError as error:
                problems.append(str(error))
                continue
            fine = _GONE if isinstance(operation, ReleasePlug) else harmless(operation)
            if answer.error and answer.error not in fine:
                problems.append(str(explain(operation, answer)))
        self.done.clear()
        return tuple(problems)

    def _encode(self, operation: Operation) -> bytes:
        try:
            return self._encoder.encode(operation)
        except OSError as error:
            device = quoted(str(operation.arguments.get("device", "")))
            raise InvalidInput(f"could not {describe(operation)}: {device} is gone") from error

    def _drain(self, operations: Iterable[DrainPlug], check: Callable[[], None]) -> None:
        devices = {each.device: self._encoder.index(each.device) for each in operations}
        drain(self._netlink, devices, check=check)


def harmless(operation: Operation) -> frozenset[int]:
    """Errors in spite of which the operation is done, or need not be."""
    if operation.row.deletes:
        return _GONE
    return _NO_IPV6 if operation.row.may_fail else frozenset()


def _batches(operations: Iterable[Operation]) -> Iterator[list[Operation]]:
    batch: list[Operation] = []
    for operation in operations:
        if batch and not together(batch[-1], operation):
            yield batch
            batch = []
        batch.append(operation)
    if batch:
        yield batch


def together(one: Operation, next_one: Operation) -> bool:
    """Whether nothing has to be known of ``one`` before ``next_one`` is begun."""
    if isinstance(one, DrainPlug) and isinstance(next_one, DrainPlug):
        return True  # they wait together
    return (
        isinstance(one, AddFilter)
        and isinstance(next_one, AddFilter)
        and one.device == next_one.device
        and one.filter.verdict is next_one.filter.verdict
    )


_ATTRIBUTE = Struct("=HH")
# Two numbers for each hole that share no byte with each other or with another's, so that their
# places in a message stand out.
_ONE = {VIF: 0x01010101, BUFFER: 0x02020202, SINK: 0x03030303, LIMIT: 0x04040404}
_OTHER = {VIF: 0x05050505, BUFFER: 0x06060606, SINK: 0x07070707, LIMIT: 0x08080808}
_HOLES = {UINT.pack(number): name for name, number in _ONE.items()}
# Names that no other text of a message contains.
_NAMES = {VIF_NAMES: "<vifs>", BUFFER_NAME: "<buffer>", SINK_NAME: "<sink>"}


class Encoder:
    """Encodes operations on the devices of ``indexes`` (numbers by name).

    Raises OSError for a device that is not there.
    """

    def __init__(self, indexes: Mapping[str, int]) -> None:
        self._indexes = dict(indexes)

    def index(self, device: str) -> int:
        """The number of ``device``; a new one is asked for once."""
        found = self._indexes.get(device)
        if found is None:
            found = self._indexes[device] = socket.if_nametoindex(device)
        return found

    def encode(self, operation: Operation) -> bytes:
        """``operation`` as one message."""
        if not isinstance(operation, AddFilter):
            encoded = encode(operation, self.index)
            if isinstance(operation, DeleteDevice):
                # Whatever has this name next has another number.
                self._indexes.pop(operation.device, None)
            return encoded
        template = _filter_template(
            Same(operation.filter), shared=operation.shared, decouple=bool(operation.sink)
        )
        names = {VIF: operation.device, BUFFER: operation.buffer, SINK: operation.sink}
        return template.fill({hole: UINT.pack(self.index(names[hole])) for hole in template.holes})


@lru_cache(maxsize=4096)
def _filter_template(what: Same[Filter], *, shared: bool, decouple: bool) -> Template:
    """Encoded once: a plan uses the same filters for all its vifs, and whenever one is repaired."""
    sink = SINK if decouple else ""
    made = AddFilter(VIF, BUFFER, what.value, shared, sink)
    return _template(made, made, {VIF: VIF, BUFFER: BUFFER, SINK: SINK})


def encode_once(filters: Iterable[Filter], *, decouple: bool) -> None:
    """Encodes ``filters`` beforehand, so that a caller that must be quick later only fills them in.

    For vifs whose qdisc is remusnet's own; ``decouple``: whether there is a sink.
    """
    for each in filters:
        _filter_template(Same(each), shared=False, decouple=decouple)


def prepared(
    classification: Classification, *, decouple: bool
) -> Iterator[tuple[Operation, Template]]:
    """The plan that protects vifs with ``classification``, in order, whatever they are called."""
    sink = _NAMES[SINK_NAME] if decouple else ""
    protection = Protection(_NAMES[BUFFER_NAME], (_NAMES[VIF_NAMES],), sink)
    holes = {protection.buffer: BUFFER, sink: SINK, protection.vifs[0]: VIF}
    plans = (Plan(classification, (protection,), each[LIMIT]).operations for each in (_ONE, _OTHER))
    for one, other in zip(*plans, strict=True):
        yield one, _template(one, other, holes)


def _template(one: Operation, other: Operation, holes: Mapping[str, str]) -> Template:
    """The message of an operation, cut where its encodings with `_ONE` and `_OTHER` differ.

    ``holes``: by the names of its devices.
    """
    first = encode(one, lambda name: _ONE[holes[name]])
    second = encode(other, lambda name: _OTHER[holes[name]])
    _, kind, flags, _, _ = HEADER.unpack_from(first)
    parts: list[bytes | str | Text] = []
    for piece, changed in zip(_pieces(first), _pieces(second), strict=True):
        if isinstance(piece, Text) or isinstance(changed, Text):
            parts.append(piece)
        else:
            parts += _around_numbers(piece, changed)
    return Template(kind, flags, tuple(_joined(parts)))


def _pieces(message: bytes) -> Iterator[bytes | Text]:
    """The body of a message, cut where a name is."""
    kind, body = HEADER.unpack_from(message)[1], message[HEADER.size :]
    at = IFINFOMSG.size if kind in (RTM_NEWLINK, RTM_SETLINK) else len(body)
    yield body[:at]
    while at < len(body):
        length, number = _ATTRIBUTE.unpack_from(body, at)
        end = at + length + (-length % 4)
        yield _text(number, body[at + _ATTRIBUTE.size : at + length]) or body[at:end]
        at = end


def _text(number: int, payload: bytes) -> Text | None:
    for name, marker in _NAMES.items():
        before, found, after = payload.partition(marker.encode())
        if found:
            return Text(number, before, name, after)
    return None


def _around_numbers(one: bytes, other: bytes) -> Iterator[bytes | str]:
    """The pieces around the numbers in which the two differ."""
    end = at = 0
    while at < len(one):
        if one[at] == other[at]:
            at += 1
            continue
        yield one[end:at]
        yield _HOLES[one[at : at + UINT.size]]
        end = at = at + UINT.size
    yield one[end:]


def _joined(parts: Iterable[bytes | str | Text]) -> Iterator[bytes | str | Text]:
    """The same, without empty bytes and with those that stand together in one."""
    for is_bytes, group in groupby(parts, key=lambda each: isinstance(each, bytes)):
        if not is_bytes:
            yield from group
        elif joined := b"".join(each for each in group if isinstance(each, bytes)):
            yield joined


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(RemusnetError):
    """A signal asked to stop; the exit code is a shell's for it (128 + its number)."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_code = 128 + number


class Interrupts:
    """The first signal that has come."""

    def __init__(self) -> None:
        self.number = 0

    def check(self) -> None:
        """Raises Interrupted where a signal has come, once."""
        number, self.number = self.number, 0
        if number:
            raise Interrupted(number)

    def note(self, number: int, _frame: FrameType | None) -> None:
        """The signal handler."""
        self.number = self.number or number


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """SIGINT, SIGTERM and SIGHUP are only noted meanwhile; those that were ignored still are.

    Outside the main thread, which alone may handle signals, nothing is noted.
    """
    noted = Interrupts()
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, noted.note)
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
