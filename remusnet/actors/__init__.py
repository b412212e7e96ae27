"""Supervised actors: state and behaviour behind mailboxes, in a tree that mends itself.

The words are those of Akka and Erlang/OTP; docs/explanation/actors.md says where it departs from
each. It knows nothing of SIP.
"""

from __future__ import annotations

from remusnet.actors.actor import Actor, Machine, Unexpected, expect
from remusnet.actors.cell import Cell, Watched
from remusnet.actors.envelope import AskFailed, Reply
from remusnet.actors.events import Change, Event, JsonLines
from remusnet.actors.spec import Spec
from remusnet.actors.state import State
from remusnet.actors.strategy import (
    Backoff,
    Directive,
    OnChildren,
    OnMessage,
    Scope,
    Strategy,
    Window,
)
from remusnet.actors.supervision import Escalated
from remusnet.actors.system import DeadLetter, Status, System
from remusnet.actors.timer import Timer

__all__ = [
    "Actor",
    "AskFailed",
    "Backoff",
    "Cell",
    "Change",
    "DeadLetter",
    "Directive",
    "Escalated",
    "Event",
    "JsonLines",
    "Machine",
    "OnChildren",
    "OnMessage",
    "Reply",
    "Scope",
    "Spec",
    "State",
    "Status",
    "Strategy",
    "System",
    "Timer",
    "Unexpected",
    "Watched",
    "Window",
    "expect",
]
