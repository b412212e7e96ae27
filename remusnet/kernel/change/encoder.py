"""Operations as messages, and as templates: each filter is encoded once for all its vifs."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from struct import Struct

from remusnet.classify.filters import Classification, Filter
from remusnet.kernel.prepared import (
    BUFFER,
    BUFFER_NAME,
    LIMIT,
    SINK,
    SINK_NAME,
    VIF,
    VIF_NAMES,
    Template,
    Text,
)
from remusnet.kernel.wire.codec import HEADER, IFINFOMSG, RTM_NEWLINK, RTM_SETLINK, UINT
from remusnet.kernel.wire.messages import encode
from remusnet.plan.operations import AddFilter, DeleteDevice
from remusnet.plan.plan import Plan, Protection
from remusnet.plan.rows import Operation

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
        # By identity, and kept alive: a plan uses the same filters for all its vifs, and to hash
        # one costs as much as to encode it.
        self._templates: dict[tuple[int, bool, bool], tuple[Filter, Template]] = {}

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
        key = (id(operation.filter), operation.shared, bool(operation.sink))
        names = {VIF: operation.device, BUFFER: operation.buffer, SINK: operation.sink}
        if key not in self._templates:
            holes = {name: hole for hole, name in names.items()}
            made = _template(operation, operation, holes)
            self._templates[key] = (operation.filter, made)
        found = self._templates[key][1]
        return found.fill({hole: UINT.pack(self.index(names[hole])) for hole in found.holes})


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
