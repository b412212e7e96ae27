"""Where an actor is in its life."""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Only a RUNNING actor takes its next message."""

    STARTING = "starting"
    RUNNING = "running"
    BUSY = "busy"  # a handler that is a coroutine is under way
    SUSPENDED = "suspended"  # an actor above it is being restarted
    FAILED = "failed"  # a back-off, or its parent's restart, is awaited
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"
