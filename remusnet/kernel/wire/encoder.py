"""Operations as messages, each filter encoded once for all the vifs that get it."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from struct import Struct

from remusnet.classify.filters import Filter
from remusnet.kernel.wire.messages import Index, encode
from remusnet.plan.operations import AddFilter, DeleteDevice
from remusnet.plan.rows import Operation
from remusnet.policy.verdict import Verdict

_INDEX = Struct("=I")
# Two numbers that share no byte, so that their places in a message stand out.
_ONE, _OTHER = 0x01010101, 0x02020202


@dataclass(frozen=True, slots=True)
class _Template:
    """A message around the numbers of its devices."""

    parts: tuple[bytes, ...]

    def fill(self, numbers: Iterable[int]) -> bytes:
        head, *rest = self.parts
        packed = map(_INDEX.pack, numbers)
        return head + b"".join(number + part for number, part in zip(packed, rest, strict=True))


class Encoder:
    """Encodes operations on the devices of ``indexes`` (numbers by name).

    Raises OSError for a device that is not there.
    """

    def __init__(self, indexes: Mapping[str, int]) -> None:
        self._indexes = dict(indexes)
        # By identity, and kept alive: a plan uses the same filters for all its vifs, and to hash
        # one costs as much as to encode it.
        self._templates: dict[tuple[int, bool, bool], tuple[Filter, _Template]] = {}

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
        if key not in self._templates:
            self._templates[key] = (operation.filter, _template(operation))
        return self._templates[key][1].fill(map(self.index, _devices(operation)))


def _devices(operation: AddFilter) -> Iterator[str]:
    """In the order in which the message has their numbers."""
    yield operation.device
    if operation.filter.verdict is Verdict.HOLD:
        if operation.sink:
            yield operation.sink
        yield operation.buffer


def _template(operation: AddFilter) -> _Template:
    """Splits the message where other numbers of devices make a difference."""

    def encoded(number: int) -> bytes:
        def index(_device: str) -> int:
            return number

        asked: Index = index
        return encode(operation, asked)

    one, other = encoded(_ONE), encoded(_OTHER)
    differ = [at for at, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    parts, end = [], 0
    for at in differ[:: _INDEX.size]:
        parts.append(one[end:at])
        end = at + _INDEX.size
    return _Template((*parts, one[end:]))
