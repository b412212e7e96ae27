"""Bindings last as long as their phones were told, whoever sets the clock."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from remusnet.sip.bindings import Binding
from remusnet.sip.location import service
from remusnet.sip.message import Response
from remusnet.sip.steady import SteadyClock
from remusnet.sip.store import Store
from tests.lib.sip_whole import BOB, WholeBench, invited, opened, virtual

HOUR = 3600.0


class Wall:
    """A wall clock that can be set."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.time = 1.8e9

    def __call__(self) -> float:
        return self.time + self.loop.time()


async def clocked() -> tuple[WholeBench, Wall]:
    bench = await opened(WholeBench())
    wall = Wall()
    steady = SteadyClock(wall, wall.loop.time)
    bench.wiring.wall = bench.held.locations.wall = steady
    bench.held.locations.steady = steady
    return bench, wall


def left(response: Response) -> int:
    """For how long the binding is said to last."""
    [contact] = response.values("contact")
    return int(contact.rpartition(b"expires=")[2])


@pytest.mark.parametrize("step", [HOUR, -HOUR, 20 * 365 * 24 * HOUR])
@virtual
async def test_a_clock_that_is_set_costs_no_binding_and_keeps_none_for_longer(step: float) -> None:
    bench, wall = await clocked()
    await bench.register("bob", BOB, expires="600")
    wall.time += step
    for _ in range(4):
        _, forwarded = await invited(bench)
        assert len(forwarded) == 1, "he is called"
        await asyncio.sleep(70)
        bench.sent()
    assert left(await bench.register("bob", BOB, contact="")) in (319, 320, 321)
    [binding] = bench.store.bindings[b"bob@example.org"]
    assert binding.expires == pytest.approx(wall() + 320, abs=1), "the next process has the clock"
    await asyncio.sleep(330)
    _, forwarded = await invited(bench)
    assert forwarded == []


@virtual
async def test_a_clock_that_drifts_by_less_than_half_a_second_is_not_followed() -> None:
    _, wall = await clocked()
    steady = SteadyClock(wall, wall.loop.time)
    wall.time += 0.4
    assert steady.step() == 0
    wall.time += 0.2
    assert steady.step() == pytest.approx(0.6)


@virtual
async def test_what_has_expired_is_deleted_also_where_one_batch_follows_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was left where the store was at work each time that the minute was over."""
    monkeypatch.setattr(service, "_EXPIRE_S", 2.05)
    bench, _ = await clocked()
    bench.held.locations.gather_s = 0.2
    old = Binding(b"old@example.org", b"sip:old@h", 1.0, 1000, b"c", 1)
    bench.store.bindings[old.aor] = (old,)
    location = bench.system.find("location")
    for number in range(100):
        location.tell(service.Lookup(b"u%d@example.org" % number, location, None))
        await asyncio.sleep(0.05)
    assert bench.store.bindings[old.aor] == ()


def test_a_store_shifts_what_has_not_expired(tmp_path: Path) -> None:
    async def main() -> list[float]:
        store = Store(f"sqlite:{tmp_path / 'sip.db'}")
        await store.open()
        aors = [b"one", b"two"]
        for aor, expires in zip(aors, (100.0, 200.0), strict=True):
            await store.replace({aor: (Binding(aor, b"sip:a@h", expires, 1, b"c", 1),)})
        await store.shift(50.0, 150.0)
        found = await store.load(aors)
        await store.close()
        return [found[aor][0].expires for aor in aors]

    assert asyncio.run(main()) == [100.0, 250.0]
