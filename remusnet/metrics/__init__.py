"""Numbers from arrays of times: RTP (RFC 3550), delay, loss, outages, speech (the E-model).

Pure: the emulator and captures give the arrays, reports show the numbers.
"""

from __future__ import annotations
