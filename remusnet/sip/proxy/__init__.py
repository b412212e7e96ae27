"""The stateful proxy (RFC 3261, 16): the session router, and an actor a call below it.

Nothing here does I/O: `request` and `loops` judge and prepare requests, `context` collects the
responses of branches, `session` and `router` are the actors that obey them.
"""

from __future__ import annotations

from remusnet.sip.proxy.calls import Calls
from remusnet.sip.proxy.router import Proxy

__all__ = ["Calls", "Proxy"]
