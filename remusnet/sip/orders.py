"""What the control socket's orders do: status, restart, crash."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from remusnet.actors import Status
from remusnet.errors import InvalidInput, NotPermitted, quoted
from remusnet.sip.server import Server


class InjectedFault(Exception):
    """A fault on purpose."""


_MOST_TIMES = 1000


async def obey(server: Server, order: dict[str, Any]) -> str:
    """The answer to an order, in JSON. Raises RemusnetError."""
    what = order.get("do")
    if what == "status":
        return await status(server)
    if what == "restart":
        server.system.find(_path(order)).restart()
        return json.dumps({"restarted": _path(order)})
    if what == "crash":
        return json.dumps(_crash(server, order))
    raise InvalidInput(f"unknown order: {quoted(str(what))}")


async def status(server: Server) -> str:
    """The tree and the counts, as ``remusnet sip status --json`` prints them.

    Each transaction is an actor: calls have their turns while thousands of them are written down.
    """
    rows = []
    for portion in server.system.status_in_portions():
        rows += [json.dumps(_row(each)) for each in portion]
        await asyncio.sleep(0)
    counts = server.wiring.counts
    others = {
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
    return f'{{"actors": [{", ".join(rows)}], {json.dumps(others)[1:]}'


def _row(status: Status) -> dict[str, object]:
    return {
        "path": status.path,
        "kind": status.kind,
        "state": status.state,
        "age_s": round(status.age_s, 3),
        "mailbox": status.mailbox,
        "restarts": status.restarts,
        "restarts_in_window": status.restarts_in_window,
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
