"""A message made before its devices are there: bytes, and holes for their numbers and names. Light.

A plan is encoded once, whatever the devices are called in the end: for all the vifs that get the
same filters, and, in a file, for a script that has no time to encode anything.
"""

from __future__ import annotations

from remusnet.kernel.wire.codec import HEADER, attribute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VIF, BUFFER, SINK, LIMIT = "V", "B", "S", "L"
"""Holes of four bytes: the numbers of the three devices, and the plug's limit."""
BUFFER_NAME, SINK_NAME, VIF_NAMES = "buffer", "sink", "vifs"
"""Holes in a text: names of devices; those of the vifs with commas between them."""
NUMBERS = (VIF, BUFFER, SINK, LIMIT)
_NOTHING = "-"


class Text:
    """An attribute with a hole: ``before`` and ``after`` stand around what ``name`` names."""

    __slots__ = ("after", "before", "kind", "name")

    def __init__(self, kind: int, before: bytes, name: str, after: bytes) -> None:
        self.kind = kind
        self.before = before
        self.name = name
        self.after = after


class Template:
    """A message of ``kind`` with ``flags``, and its body in ``parts``.

    ``harmless``: the errnos that are no failure. ``holes``: those of `NUMBERS` that are in it.
    """

    __slots__ = ("flags", "harmless", "holes", "kind", "parts")

    def __init__(
        self,
        kind: int,
        flags: int,
        parts: Sequence[bytes | str | Text],
        harmless: Sequence[int] = (),
    ) -> None:
        self.kind = kind
        self.flags = flags
        self.parts = parts
        self.harmless = harmless
        self.holes = [each for each in parts if isinstance(each, str)]

    def fill(self, values: Mapping[str, bytes]) -> bytes:
        """The message with ``values`` in its holes."""
        body = b"".join(
            each
            if isinstance(each, bytes)
            else values[each]
            if isinstance(each, str)
            else attribute(each.kind, each.before + values[each.name] + each.after)
            for each in self.parts
        )
        return HEADER.pack(HEADER.size + len(body), self.kind, self.flags, 0, 0) + body

    def words(self) -> str:
        """The same as words, for a file of lines."""
        harmless = ",".join(map(str, self.harmless)) or _NOTHING
        return " ".join([str(self.kind), str(self.flags), harmless, *map(_word, self.parts)])


def read_template(text: str) -> Template:
    """From its words. Raises ValueError."""
    kind, flags, harmless, *words = text.split(" ")
    errnos = () if harmless == _NOTHING else tuple(map(int, harmless.split(",")))
    return Template(int(kind), int(flags), tuple(map(_part, words)), errnos)


def _word(part: bytes | str | Text) -> str:
    if isinstance(part, bytes):
        return part.hex()
    if isinstance(part, str):
        return part
    return f"{part.kind}:{part.before.hex()}:{part.name}:{part.after.hex()}"


def _part(word: str) -> bytes | str | Text:
    if word in NUMBERS:
        return word
    kind, colon, rest = word.partition(":")
    if not colon:
        return bytes.fromhex(word)
    before, name, after = rest.split(":")
    return Text(int(kind), bytes.fromhex(before), name, bytes.fromhex(after))
