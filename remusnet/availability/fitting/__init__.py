"""From what was measured to what a model takes: distributions of lives and of restarts.

`events` reads a SIP server's events, `history` makes times of them, `likelihood` fits
distributions to times that may be censored, `fit` does all of it.
"""

from __future__ import annotations
