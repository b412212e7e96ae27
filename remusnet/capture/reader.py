"""Reading a capture, whatever its format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from remusnet.capture import linktypes, pcap, pcapng
from remusnet.capture.source import label, load
from remusnet.frames import Frames, Int64s


@dataclass(frozen=True, slots=True)
class Capture:
    """One capture of Ethernet frames.

    ``frames``: in file order. Possibly none. ``numbers``: int64[n], the number of each in
    Wireshark: 1 to n, but where a pcapng has other blocks, or frames that are left out, between.
    ``warnings``: one line each, with the capture's name; a person should see them.
    ``name``: the path as it was given, or "standard input".
    """

    frames: Frames
    numbers: Int64s
    warnings: tuple[str, ...]
    name: str
    format: Literal["pcap", "pcapng"]


def read(source: str | Path) -> Capture:
    """The frames of ``source``: a path, or ``"-"`` for standard input.

    Reads pcap (microseconds and nanoseconds) and pcapng, in both byte orders, gzipped or not. A
    capture that is cut or damaged gives the whole frames before that place, and one warning.
    ``length`` is never below ``caplen``, even where the file says so. Frames of Linux cooked
    captures (``tcpdump -i any``), raw IP and BSD loopback get an Ethernet header that is made up,
    and a warning says so. Interfaces of other link types are left out of a pcapng, with a warning.

    Raises InvalidInput: no such file, not readable, not a capture, or none of its frames of a link
    type that is read.
    """
    name = label(source)
    content = load(source, (*pcap.MAGICS, pcapng.MAGIC))
    form: Literal["pcap", "pcapng"] = "pcapng" if content.data.startswith(pcapng.MAGIC) else "pcap"
    parsed = (pcapng if form == "pcapng" else pcap).parse(content.data, name)
    parsed.frames.data.setflags(write=False)

    warnings = []
    # Where the gzip data ends early, so does a record: that is one thing to tell, not two.
    if problem := content.problem or parsed.problem:
        count = len(parsed.frames)
        warnings.append(f"{name}: {problem}; read the {count} whole frames before that")
    if parsed.untimed:
        warnings.append(
            f"{name}: {parsed.untimed} frames have no time (simple packet blocks); "
            "they take that of the frame before them"
        )
    warnings += [
        f"{name}: {count} frames of link type {linktypes.shown(link_type)} are left out"
        for link_type, count in parsed.foreign.items()
    ]
    if parsed.made_up:
        types = ", ".join(map(linktypes.shown, parsed.made_up))
        cooked = {linktypes.LINUX_SLL, linktypes.LINUX_SLL2} & set(parsed.made_up)
        # Whoever captures on "any" sees what is forwarded once on each device.
        often = "; a frame that went through several devices is there several times"
        warnings.append(
            f"{name}: frames of link type {types} have no Ethernet header: it is made up"
            + (often if cooked else "")
        )
    numbers = parsed.numbers
    if numbers is None:
        numbers = np.arange(1, len(parsed.frames) + 1, dtype=np.int64)
    return Capture(
        parsed.frames,
        numbers,
        tuple(warnings),
        "standard input" if source == "-" else str(source),
        form,
    )
