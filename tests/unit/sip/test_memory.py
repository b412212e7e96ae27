"""What is over leaves nothing behind, not even until somebody looks for cycles."""

from __future__ import annotations

import asyncio
import gc

from remusnet.actors import Cell
from remusnet.sip.message import Request, Response
from remusnet.sip.proxy.calls import Call
from remusnet.sip.transaction import Machine
from tests.lib.sip_bench import request
from tests.lib.sip_whole import ALICE, BOB, WholeBench, answered, invited, opened, virtual


def alive(*kinds: type) -> int:
    return sum(isinstance(each, kinds) for each in gc.get_objects())


async def call(bench: WholeBench) -> None:
    """One from INVITE to BYE, and all that lingers after it."""
    invite, [forwarded] = await invited(bench)
    [ok] = await answered(bench, forwarded, 200, contact=f"<sip:bob@{BOB.remote}>")
    assert isinstance(ok, Response)
    fields = {
        "call_id": invite.call_id.decode(),
        "from": (invite.get("from") or b"").decode(),
        "to": (ok.get("to") or b"").decode(),
        "route": ok.values("record-route")[0].decode(),
    }
    for method in ("ACK", "BYE"):
        await bench.receive(request(method, f"sip:bob@{BOB.remote}", ALICE, **fields), ALICE)
    bye = bench.sent()[-1]
    assert isinstance(bye, Request)
    assert bye.method == b"BYE"
    await answered(bench, bye, 200)
    await asyncio.sleep(100)


@virtual
async def test_calls_that_are_over_are_gone_at_once_without_a_look_for_cycles() -> None:
    bench = await opened(WholeBench())
    await bench.register("bob", BOB)
    bench.sent()
    await call(bench)
    gc.collect()
    gc.disable()
    try:
        before = alive(Cell, Machine, Call)
        for _ in range(5):
            await call(bench)
        assert alive(Cell, Machine, Call) == before
    finally:
        gc.enable()
