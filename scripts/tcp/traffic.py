"""Who talks inside the kernel: a server that sends what it is asked for, and clients that ask.

Standard library only, in files of its own: it runs once for each side, in its namespace.

    traffic.py serve TERMS                until it is killed
    traffic.py ask TERMS ADDRESS          prints a line of JSON for each connection, as it ends
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
import time
from typing import Any

Terms = dict[str, Any]
"""See `scripts.tcp.rows.Row.terms`."""
PORT = 8080
_ASKED = struct.Struct("!QQ")


def _exact(stream: socket.socket, size: int) -> bool:
    """Read ``size`` bytes; False where the stream ended before any came."""
    left = size
    while left:
        data = stream.recv(min(1 << 20, left))
        if not data:
            if left == size:
                return False
            raise EOFError
        left -= len(data)
    return True


def _head(stream: socket.socket) -> tuple[int, int] | None:
    """How long the request is and how long its answer shall be; None at the end."""
    data = b""
    while len(data) < _ASKED.size:
        more = stream.recv(_ASKED.size - len(data))
        if not more:
            return None
        data += more
    request, response = _ASKED.unpack(data)
    return request, response


def _answer(stream: socket.socket, terms: Terms) -> None:
    _set(stream, terms)
    with stream:
        while (asked := _head(stream)) is not None:
            request, response = asked
            _exact(stream, request - _ASKED.size)
            for size in terms["writes"] or (response,):
                stream.sendall(b"x" * size)


def _set(stream: socket.socket, terms: Terms) -> None:
    if not terms["tcp"].get("nagle", True):
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def serve(terms: Terms) -> None:
    """One thread a connection."""
    listening = socket.create_server(("", PORT), backlog=500)
    while True:
        stream, _ = listening.accept()
        threading.Thread(target=_answer, args=(stream, terms), daemon=True).start()


def _ask(address: str, terms: Terms, number: int, lock: threading.Lock) -> None:
    began = time.monotonic()
    with socket.create_connection((address, PORT)) as stream:
        _set(stream, terms)
        request = _ASKED.pack(terms["request"], terms["response"])
        request += b"y" * (terms["request"] - len(request))
        for exchange in range(terms["exchanges"]):
            if exchange:
                time.sleep(terms["think_ms"] / 1e3)
            stream.sendall(request)
            if not _exact(stream, terms["response"]):
                raise EOFError
        took_ms = (time.monotonic() - began) * 1e3
    with lock:
        print(json.dumps({"number": number, "took_ms": took_ms}), flush=True)


def ask(address: str, terms: Terms) -> None:
    """All connections, each at its time, and until the last has ended."""
    began, lock, threads = time.monotonic(), threading.Lock(), []
    for number in range(terms["count"]):
        at = began + number * terms["spacing_us"] / 1e6
        while (left := at - time.monotonic()) > 0:
            time.sleep(left)
        thread = threading.Thread(target=_ask, args=(address, terms, number, lock))
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(json.loads(sys.argv[2]))
    else:
        ask(sys.argv[3], json.loads(sys.argv[2]))
