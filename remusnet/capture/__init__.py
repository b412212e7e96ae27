"""Captures in and out: pcap and pcapng become ``Frames``, ``Frames`` become nanosecond pcap.

>>> from remusnet import capture
>>> call = capture.read("call.pcapng.gz")      # doctest: +SKIP
>>> capture.write("held.pcap", call.frames)    # doctest: +SKIP
"""

from __future__ import annotations

from remusnet.capture.kind import is_capture
from remusnet.capture.reader import Capture, read, read_frames
from remusnet.capture.writer import write

__all__ = ["Capture", "is_capture", "read", "read_frames", "write"]
