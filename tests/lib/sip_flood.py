"""Sends requests from one address as evenly as it can: ``python -m tests.lib.sip_flood``.

Arguments: the method, the server's port, the transport, requests a second, seconds. It answers
nothing, as those who flood do. It says when it begins, and how many it has sent.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import time

SOURCE = "127.0.0.2"


def request(method: str, transport: str, number: int) -> bytes:
    """To a user whom nobody knows, or of one whom nobody has registered yet."""
    user = f"nobody{number}"
    uri = "sip:example.org" if method == "REGISTER" else f"sip:{user}@example.org"
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/{transport.upper()} {SOURCE}:5060;branch=z9hG4bKflood{number}",
        "Max-Forwards: 70",
        f"From: <sip:{user}@example.org>;tag=f{number}",
        f"To: <sip:{user}@example.org>",
        f"Call-ID: flood{number}",
        f"CSeq: 1 {method}",
        f"Contact: <sip:{user}@{SOURCE}:5060>",
        "Content-Length: 0",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def main() -> None:
    """Send."""
    method, port, transport = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    rate, seconds = float(sys.argv[4]), float(sys.argv[5])
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    sent = 0
    with socket.socket(socket.AF_INET, kind) as flooder:
        flooder.bind((SOURCE, 0))
        flooder.connect(("127.0.0.1", port))
        print("begun", flush=True)
        begun = time.monotonic()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while (now := time.monotonic() - begun) < seconds:
                while sent < now * rate:
                    sent += 1
                    with contextlib.suppress(ConnectionRefusedError):
                        flooder.send(request(method, transport, sent))
                time.sleep(0.002)
        print(sent, flush=True)


if __name__ == "__main__":
    main()
