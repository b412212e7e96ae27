"""SIP messages: bytes whose headers are found once, and read when a caller asks for them."""

from __future__ import annotations

from remusnet.sip.message.framing import Framer
from remusnet.sip.message.headers import split_list
from remusnet.sip.message.message import Malformed, Message, Request, Response, parse

__all__ = ["Framer", "Malformed", "Message", "Request", "Response", "parse", "split_list"]
