"""Models that ship: the thesis's, and designs of a SIP server with all that may fail under it."""

from __future__ import annotations
