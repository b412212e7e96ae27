"""What the program is called, for its messages and for the shells that complete it."""

from __future__ import annotations

PROGRAM = "remusnet"

# Set by the completion scripts; the name is click's convention.
COMPLETE_VARIABLE = "_REMUSNET_COMPLETE"
