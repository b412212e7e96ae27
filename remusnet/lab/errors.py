"""Why a lab could not do its work."""

from __future__ import annotations

from remusnet.errors import MissingDependency, RemusnetError


class LabUnavailable(MissingDependency):
    """This machine can't provide the lab; the message says what would mend it."""


class LabDied(RemusnetError):
    """The lab ended, or was stopped, before its job did.

    The message's first line says why, the others are its last words.
    """
