"""The pcapng format: sections of blocks, each block with its type and its length at both ends.

Source: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html; the obsolete packet block
is in its appendix. Blocks of other types say nothing about frames and are skipped.
"""

from __future__ import annotations

import struct
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from remusnet.capture import interfaces, linktypes
from remusnet.capture.interfaces import Interface
from remusnet.capture.linktypes import Placed, as_ethernet
from remusnet.capture.pcap import MAX_RECORD, STRETCH, Parsed, check_frames, words
from remusnet.errors import InvalidInput
from remusnet.files import label
from remusnet.frames import Bytes, Frames, Int64s

# Block types. The section header's reads the same in both byte orders.
_SECTION = 0x0A0D0D0A
_INTERFACE = 1
_OBSOLETE_PACKET = 2
_SIMPLE_PACKET = 3
_ENHANCED_PACKET = 6
# Wireshark (wiretap/pcapng.c) gives these a frame's number: custom blocks, systemd's journal, and
# sysdig's events. Of all other types it makes no line.
_NUMBERED = frozenset((0x0000_0BAD, 0x4000_0BAD, 9, 0x204, 0x216, 0x221))

MAGIC = b"\x0a\x0d\x0d\x0a"
_ORDERS = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
# Wireshark's MAX_BLOCK_SIZE (wiretap/pcapng.c): a longer block is damage, not a file cut short.
_MAX_BLOCK = 16 << 20
# A section is a file that was put behind another, an interface one that was merged: each costs as
# much as thousands of frames. Other blocks are names, statistics and comments.
_MAX_SECTIONS = 5000
_MAX_INTERFACES = 5000
_MAX_OTHER = 1 << 20
# The smallest block of a type: both lengths and the fields that it must have.
_SMALLEST = {
    _SECTION: 28,
    _INTERFACE: 20,
    _OBSOLETE_PACKET: 32,
    _SIMPLE_PACKET: 16,
    _ENHANCED_PACKET: 32,
}
_SMALLEST_OTHER = 12


@dataclass(slots=True)
class _Section:
    """Where the blocks of one section lie; positions are those of the blocks' first bytes.

    ``packets``: enhanced and obsolete packet blocks. ``simple``: simple packet blocks. ``others``:
    how many blocks say nothing of frames; ``numbered``: those of them that are numbered as frames.
    ``end``: how far the walk has come, in the end to the next section. ``more``: whether it goes
    on. ``problem``: why it ended early, or "".
    """

    order: str
    start: int
    end: int
    interfaces: list[Interface] = field(default_factory=list)
    interfaces_at: array[int] = field(default_factory=lambda: array("q"))
    packets: array[int] = field(default_factory=lambda: array("q"))
    simple: array[int] = field(default_factory=lambda: array("q"))
    others: int = 0
    numbered: array[int] = field(default_factory=lambda: array("q"))
    more: bool = True
    problem: str = ""

    def pass_over(self, kind: int, at: int) -> None:
        """A block that says nothing of frames; Wireshark numbers some of those kinds as frames."""
        self.others += 1
        if kind in _NUMBERED:
            self.numbered.append(at)


@dataclass(frozen=True, slots=True)
class _Part:
    """The frames of one section; ``timed`` is false where a frame has no time of its own.

    ``numbers``: int64[n], of each frame among the ``numbered`` blocks of the section, from 1.
    ``foreign``: link types of interfaces that were left out, and how many frames each had.
    """

    frames: Frames
    timed: npt.NDArray[np.bool_]
    problem: str
    numbers: Int64s
    numbered: int
    made_up: frozenset[int]
    foreign: Mapping[int, int]


def parse(data: bytearray, source: str | Path) -> Parsed:
    """The frames of a pcapng file that begins with ``MAGIC``; ``source`` is for messages.

    Frames without a time (simple packet blocks) get that of the timed frame before them, or, at
    the start, of the first one after them: a time of 0 would stretch a call to half a century.

    Frames of a link type that isn't read are left out, and counted.

    Raises InvalidInput: no valid section header at the start, no frame of a link type that is read
    where there are others, or more sections, interfaces or frames than a capture has.
    """
    view = np.frombuffer(data, np.uint8)
    none = np.empty(0, np.int64)
    parts = [_Part(Frames.of([]), np.empty(0, np.bool_), "", none, 0, frozenset(), {})]
    numbered = 0
    foreign: Counter[int] = Counter()
    at = 0
    problem = ""
    sections = count = captured = 0
    while at < len(data) and not problem:
        sections += 1
        if sections > _MAX_SECTIONS:
            raise _too_many(source, _MAX_SECTIONS, "sections")
        order, problem = _section_order(data, at)
        if problem:
            if at == 0:
                raise InvalidInput(f"{label(source)} is not a capture: {problem}")
            break
        section = _walk(data, at, order, source)
        problem = section.problem
        if section.packets or section.simple or section.numbered:
            part = _decode(view, section)
            # Sections without frames leave nothing behind: a file can have millions of them.
            if len(part.frames):
                parts.append(replace(part, numbers=part.numbers + numbered))
            numbered += part.numbered
            foreign.update(part.foreign)
            count += len(part.frames)
            captured += int(part.frames.caplen.sum())
            check_frames(source, count, captured)
            problem = part.problem or problem
        at = section.end

    timed = np.concatenate([p.timed for p in parts])
    frames = Frames(
        data=view,
        offset=np.concatenate([p.frames.offset for p in parts]),
        caplen=np.concatenate([p.frames.caplen for p in parts]),
        length=np.concatenate([p.frames.length for p in parts]),
        time_ns=_filled(np.concatenate([p.frames.time_ns for p in parts]), timed),
    )
    if foreign and not len(frames):
        linktypes.check(next(iter(foreign)), source)
    numbers = np.concatenate([p.numbers for p in parts])
    return Parsed(
        frames,
        problem,
        untimed=int(np.count_nonzero(~timed)),
        # Where no block is between them, they count as they stand.
        numbers=None if numbered == len(frames) else numbers,
        made_up=tuple(sorted(frozenset().union(*(p.made_up for p in parts)))),
        foreign=foreign,
    )


def _section_order(data: bytearray, at: int) -> tuple[str, str]:
    """The byte order of the section that begins at ``at``, and what is wrong with its header."""
    if at + _SMALLEST[_SECTION] > len(data):
        return "", "cut in the middle of a section header"
    order = _ORDERS.get(bytes(data[at + 8 : at + 12]), "")
    if not order:
        return "", f"the section header at byte {at} has no byte order"
    major, minor = struct.unpack_from(f"{order}HH", data, at + 12)
    if major != 1:
        return "", f"the section at byte {at} is of pcapng version {major}.{minor}, not 1.x"
    return order, ""


def _too_many(source: str | Path, most: int, what: str) -> InvalidInput:
    return InvalidInput(
        f"{label(source)} has more than {most} {what}, the most that remusnet reads"
    )


def _walk(data: bytearray, start: int, order: str, source: str | Path) -> _Section:
    """Find the blocks of the section that begins at ``start``, up to the next or to damage.

    Raises InvalidInput where they are more than those of a capture.
    """
    section = _Section(order, start, end=start)
    while section.more and section.end < len(data):
        _walk_on(data, section, section.end + STRETCH, source)
        _check(source, section)
    return section


def _walk_on(data: bytearray, section: _Section, stop: int, source: str | Path) -> None:
    """The same for what begins before ``stop``."""
    head = struct.Struct(f"{section.order}II").unpack_from
    tail = struct.Struct(f"{section.order}I").unpack_from
    packets, simple = section.packets, section.simple
    end = len(data)
    at = section.end
    section.more = False
    while at < end:
        if at >= stop:
            section.more = True
            break
        if at + _SMALLEST_OTHER > end:
            section.problem = "cut in the middle of a block"
            break
        kind, total = head(data, at)
        if kind == _SECTION and at > section.start:
            break  # it may be of the other byte order, so its length can't be read here
        if total % 4 or not _SMALLEST.get(kind, _SMALLEST_OTHER) <= total <= _MAX_BLOCK:
            section.problem = _damage(at)
            break
        if at + total > end:
            section.problem = "cut in the middle of a block"
            break
        if tail(data, at + total - 4)[0] != total:
            section.problem = _damage(at)
            break
        if kind in (_ENHANCED_PACKET, _OBSOLETE_PACKET):
            packets.append(at)
        elif kind == _SIMPLE_PACKET:
            simple.append(at)
        elif kind != _INTERFACE:
            section.pass_over(kind, at)
        elif not _declare(data, section, at, total, source):
            break
        at += total
    section.end = at


def _declare(data: bytearray, section: _Section, at: int, total: int, source: str | Path) -> bool:
    """Adds the interface in a block; whether it makes sense."""
    interface = interfaces.parse(bytes(data[at + 8 : at + total - 4]), section.order)
    if interface is None:
        section.problem = _damage(at)
        return False
    section.interfaces.append(interface)
    section.interfaces_at.append(at)
    if len(section.interfaces) > _MAX_INTERFACES:
        raise _too_many(source, _MAX_INTERFACES, "interfaces in a section")
    return True


def _check(source: str | Path, section: _Section) -> None:
    """Whether the blocks so far may be those of a section."""
    if section.others > _MAX_OTHER:
        raise _too_many(source, _MAX_OTHER, "blocks without frames in a section")
    packets, simple = len(section.packets), len(section.simple)
    heads = _SMALLEST[_ENHANCED_PACKET] * packets + _SMALLEST[_SIMPLE_PACKET] * simple
    heads += _SMALLEST_OTHER * section.others
    check_frames(source, packets + simple, section.end - section.start - heads)


def _decode(data: Bytes, section: _Section) -> _Part:
    """The frames of ``section`` in file order, up to the first block that contradicts itself."""
    packets, simple = np.array(section.packets, np.int64), np.array(section.simple, np.int64)
    kind, total, interface, high, low, caplen, length = words(data, packets, 7, section.order)
    _, simple_total, simple_length = words(data, simple, 3, section.order)

    # An obsolete packet block has 16 bits of interface, then 16 bits that count drops.
    short = interface & 0xFFFF if section.order == "<" else interface >> 16
    interface = np.where(kind == _OBSOLETE_PACKET, short, interface)

    # A simple packet block is of the first interface, and cut by that interface's snap length.
    snap = section.interfaces[0].snap_length if section.interfaces else 0
    simple_caplen = np.minimum(simple_length, snap) if snap else simple_length

    at = np.concatenate([packets, simple])
    interface = np.concatenate([interface, np.zeros_like(simple)])
    caplen = np.concatenate([caplen, simple_caplen])
    room = np.concatenate([total - 32, simple_total - 16])
    timed = np.arange(len(at)) < len(packets)
    ticks = np.zeros(len(at), np.uint64)
    ticks[timed] = (high.astype(np.uint64) << np.uint64(32)) | low.astype(np.uint64)

    time_ns, valid = _times(ticks, interface, section.interfaces)
    declared = np.searchsorted(np.array(section.interfaces_at, np.int64), at)
    valid = (valid | ~timed) & (interface < declared) & (caplen <= np.minimum(room, MAX_RECORD))

    order = np.argsort(at)
    whole = int(np.argmin(valid[order])) if not valid.all() else len(at)
    problem = _damage(int(at[order[whole]])) if whole < len(at) else ""
    kept = order[:whole]
    others = np.array(section.numbered, np.int64)
    if whole < len(at):
        others = others[others < at[order[whole]]]
    # Both are in file order: a frame's number is how many frames and others there are up to it.
    numbers = np.arange(1, len(kept) + 1) + np.searchsorted(others, at[kept])

    link = np.array([each.link_type for each in section.interfaces], np.int64)[interface[kept]]
    length = np.maximum(np.concatenate([length, simple_length]), caplen)
    placed = Placed((at + np.where(timed, 28, 12))[kept], caplen[kept], length[kept])
    made_up, foreign = set[int](), dict[int, int]()
    for link_type, count in zip(
        *map(np.ndarray.tolist, np.unique(link, return_counts=True)), strict=True
    ):
        if not linktypes.is_read(link_type):
            foreign[link_type] = count
        elif link_type != linktypes.ETHERNET:
            made_up.add(link_type)
            placed = _with_ethernet(data, link_type, placed, link == link_type)
    frames = Frames(data, placed.offset, placed.caplen, placed.length, time_ns[kept])
    own = np.flatnonzero(~np.isin(link, list(foreign)))
    return _Part(
        frames.take(own) if foreign else frames,
        timed[kept][own],
        problem,
        numbers[own],
        len(kept) + len(others),
        frozenset(made_up),
        foreign,
    )


def _with_ethernet(
    data: Bytes, link_type: int, placed: Placed, which: npt.NDArray[np.bool_]
) -> Placed:
    """``placed`` with those of ``which`` as Ethernet frames."""
    columns = (placed.offset.copy(), placed.caplen.copy(), placed.length.copy())
    own = as_ethernet(data, link_type, Placed(*(column[which] for column in columns)))
    for column, made in zip(columns, (own.offset, own.caplen, own.length), strict=True):
        column[which] = made
    return Placed(*columns)


def _times(
    ticks: npt.NDArray[np.uint64], interface: Int64s, declared: list[Interface]
) -> tuple[Int64s, npt.NDArray[np.bool_]]:
    """Nanoseconds of each frame by its interface's clock, and which of them are possible."""
    time_ns = np.zeros(len(ticks), np.int64)
    valid = np.zeros(len(ticks), np.bool_)
    # Sorted once: a look at all frames for each of thousands of interfaces would take minutes.
    by_interface = np.argsort(interface, kind="stable")
    indices, first = np.unique(interface[by_interface], return_index=True)
    for index, own in zip(indices, np.split(by_interface, first[1:]), strict=False):
        if index < len(declared):
            time_ns[own], valid[own] = declared[index].nanoseconds(ticks[own])
    return time_ns, valid


def _filled(time_ns: Int64s, timed: npt.NDArray[np.bool_]) -> Int64s:
    """``time_ns`` with the time of a timed neighbour where a frame has none of its own."""
    if timed.all() or not timed.any():
        return time_ns
    before = np.maximum.accumulate(np.where(timed, np.arange(len(timed)), -1))
    return time_ns[np.where(before < 0, np.argmax(timed), before)]


def _damage(at: int) -> str:
    return f"the block at byte {at} is damaged"
