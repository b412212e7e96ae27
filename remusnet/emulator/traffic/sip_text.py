"""SIP messages as text: what their sizes are taken from, and what a capture shows."""

from __future__ import annotations

from remusnet.emulator.traffic.endpoints import Payload
from remusnet.scenario.scenario import Sip, Transport

_REASONS = {"100": "Trying", "180": "Ringing", "200": "OK"}
_SDP = (
    "v=0\r\no=- {number} {number} IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    "m=audio {port} RTP/AVP 8 0\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n"
    "a=ptime:20\r\na=sendrecv\r\n"
)
_TLS_RECORD = 29
"""Bytes that TLS 1.3 puts around each record with AES-GCM (RFC 8446: 5 + 8 + 16)."""


def request(name: str, sip: Sip, dialog: int, number: int) -> Payload:
    """The request of transaction ``number`` of a dialog."""
    method = name.removeprefix("re-")
    body = _sdp(dialog) if method == "INVITE" else ""
    first = f"{method} sip:callee@example.com SIP/2.0"
    return _payload(name, first, method, body, sip, dialog, number)


def response(code: str, name: str, sip: Sip, dialog: int, number: int) -> Payload:
    """The answer to it."""
    method = name.removeprefix("re-")
    body = _sdp(dialog) if method == "INVITE" and code == "200" else ""
    first = f"SIP/2.0 {code} {_REASONS[code]}"
    return _payload(f"{code} {name}", first, method, body, sip, dialog, number)


def _sdp(dialog: int) -> str:
    return _SDP.format(number=dialog + 1, port=10_000 + 2 * (dialog % 10_000))


def _payload(
    name: str, first: str, method: str, body: str, sip: Sip, dialog: int, number: int
) -> Payload:
    transport = sip.transport.upper()
    branch = f"z9hG4bK-{dialog}-{number}-{method}"
    lines = [
        first,
        f"Via: SIP/2.0/{transport} caller.example.com:5060;branch={branch}",
        "Max-Forwards: 70",
        f"From: <sip:caller@example.com>;tag=c{dialog}",
        f"To: <sip:callee@example.com>{'' if number == 0 else f';tag=s{dialog}'}",
        f"Call-ID: {dialog}@caller.example.com",
        f"CSeq: {number + 1} {method}",
        f"Contact: <sip:caller@caller.example.com;transport={sip.transport}>",
    ]
    if body:
        lines.append("Content-Type: application/sdp")
    lines += [f"Content-Length: {len(body)}", "", body]
    text = "\r\n".join(lines).encode("ascii")
    if sip.transport is Transport.TLS:
        # Nobody without the keys sees more than a record.
        sealed = bytes((7 * at + dialog) % 251 for at in range(len(text) + _TLS_RECORD - 5))
        text = b"\x17\x03\x03" + len(sealed).to_bytes(2, "big") + sealed
    return Payload(name, len(text), number, text)
