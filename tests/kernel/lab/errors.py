"""Why a lab could not do its work."""

from __future__ import annotations


class LabUnavailable(Exception):
    """This machine can't provide the lab; the message says what would mend it."""


class LabDied(Exception):
    """The lab ended, or was stopped, before its job did; the message holds its last words."""
