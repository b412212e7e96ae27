"""Transactions (RFC 3261, 17, with RFC 6026) as state machines without I/O.

A machine takes an event and returns commands; its holder sends, waits and tells.
"""

from __future__ import annotations

from remusnet.sip.transaction.client import InviteClient, NonInviteClient
from remusnet.sip.transaction.machine import (
    Arm,
    Command,
    Disarm,
    End,
    Event,
    Fired,
    FromUser,
    FromWire,
    Machine,
    ToUser,
    ToWire,
    Trouble,
    Unreachable,
)
from remusnet.sip.transaction.server import InviteServer, NonInviteServer

__all__ = [
    "Arm",
    "Command",
    "Disarm",
    "End",
    "Event",
    "Fired",
    "FromUser",
    "FromWire",
    "InviteClient",
    "InviteServer",
    "Machine",
    "NonInviteClient",
    "NonInviteServer",
    "ToUser",
    "ToWire",
    "Trouble",
    "Unreachable",
]
