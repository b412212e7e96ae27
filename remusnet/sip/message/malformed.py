"""What is wrong with a message, and what to answer to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remusnet.sip.message.message import Message


class Malformed(Exception):
    """A message that nobody can act on.

    ``status``: what a request like it is answered (RFC 3261, 21.4 and 21.5); 0 where no answer can
    be built or none is due (a response, an ACK, no Via). ``message``: what could be read of it.
    """

    def __init__(self, reason: str, status: int = 400, message: Message | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.message = message
