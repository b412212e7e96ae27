"""What the control socket's orders do: status, restart, crash."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from remusnet.errors import InvalidInput, NotPermitted, quoted
from remusnet.sip.server import Server


class InjectedFault(Exception):
    """A fault on purpose."""


_MOST_TIMES = 1000


def obey(server: Server, order: dict[str, Any]) -> Any:
    """The answer to an order. Raises RemusnetError."""
    what = order.get("do")
    if what == "status":
        return status(server)
    if what == "restart":
        server.system.find(_path(order)).restart()
        return {"restarted": _path(order)}
    if what == "crash":
        return _crash(server, order)
    raise InvalidInput(f"unknown order: {quoted(str(what))}")


def status(server: Server) -> dict[str, Any]:
    """The tree and the counts, as ``remusnet sip status --json`` prints them."""
    actors = [asdict(row) for row in server.system.status()]
    for row in actors:
        row["age_s"] = round(row["age_s"], 3)
    counts = server.wiring.counts
    return {
        "actors": actors,
        "transactions": len(server.wiring.table),
        "calls": server.calls,
        "bindings": server.bindings,
        "requests": dict(counts.requests),
        "responses": dict(counts.responses),
        "malformed": counts.malformed,
        "stray": counts.stray,
        "overload": counts.overload,
        "dead_letters": server.system.dead_letters,
        "connections": server.sockets.connections,
        "blocked": _blocked(server),
        "blocks": server.sockets.floods.blocks,
        "dropped": server.sockets.dropped,
        "repeated": server.sockets.intake.repeated,
        "store": server.held.locations.trouble or "ok",
        "draining": server.draining,
    }


def _blocked(server: Server) -> list[dict[str, Any]]:
    """Sources that are kept out, and for how long yet."""
    now = server.system.now()
    return [
        {"source": source, "left_s": round(max(until - now, 0), 3)}
        for source, until in server.sockets.floods.blocked.items()
    ]


def _crash(server: Server, order: dict[str, Any]) -> Any:
    if not server.config.allow_faults:
        raise NotPermitted("this server takes no faults: start it with --allow-faults")
    times = order.get("times", 1)
    if not isinstance(times, int) or not 1 <= times <= _MOST_TIMES:
        raise InvalidInput(f"invalid times: {quoted(str(times))}; expected 1 to {_MOST_TIMES}")
    path = _path(order)
    cell = server.system.find(path)
    for _ in range(times):
        cell.crash(InjectedFault("by remusnet sip crash"))
    return {"crashed": path, "times": times}


def _path(order: dict[str, Any]) -> str:
    path = order.get("actor")
    if not isinstance(path, str) or not path:
        raise InvalidInput("which actor?")
    return path
