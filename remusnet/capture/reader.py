"""Reading a capture, whatever its format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from remusnet.capture import pcap, pcapng
from remusnet.capture.source import label, load
from remusnet.frames import Frames


@dataclass(frozen=True, slots=True)
class Capture:
    """One capture of Ethernet frames.

    ``frames``: in file order, so frame ``i`` is number ``i + 1`` in Wireshark. Possibly none.
    ``warnings``: one line each, with the capture's name; a person should see them.
    ``name``: the path as it was given, or "standard input".
    """

    frames: Frames
    warnings: tuple[str, ...]
    name: str
    format: Literal["pcap", "pcapng"]


def read(source: str | Path) -> Capture:
    """The frames of ``source``: a path, or ``"-"`` for standard input.

    Reads pcap (microseconds and nanoseconds) and pcapng, in both byte orders, gzipped or not. A
    capture that is cut or damaged gives the whole frames before that place, and one warning.
    ``length`` is never below ``caplen``, even where the file says so.

    Raises InvalidInput: no such file, not readable, not a capture, or not of Ethernet frames.
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
    return Capture(
        parsed.frames, tuple(warnings), "standard input" if source == "-" else str(source), form
    )
