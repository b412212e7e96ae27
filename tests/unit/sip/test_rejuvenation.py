"""Restarts before a failure, in virtual time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from remusnet.actors import Change
from remusnet.sip.config_file import SipFileError, load
from remusnet.sip.rejuvenation import ACTORS, Rejuvenation, rejuvenate
from tests.lib.sip_bench import SipBench
from tests.lib.sip_whole import ALICE, BOB, WholeBench, answered, invited, opened, virtual

LINES = 'listen = ["udp:127.0.0.1:0"]\ndomains = ["example.org"]\n[[rejuvenate]]\n'


def restarted(bench: SipBench) -> list[tuple[str, float]]:
    return [
        (each.actor, each.time_ns / 1e9) for each in bench.events if each.change is Change.RESTARTED
    ]


@virtual
async def test_an_actor_is_restarted_by_its_age_again_and_again() -> None:
    bench = await opened(WholeBench())
    told: list[str] = []
    rejuvenate(bench.system, [Rejuvenation("transport/coder", every_s=10)], told.append)
    await asyncio.sleep(31.5)
    found = restarted(bench)
    assert [actor for actor, _ in found] == ["transport/coder"] * 3
    assert [time for _, time in found] == pytest.approx([10, 20, 30], abs=1)
    assert told == ["rejuvenation: transport/coder is restarted: it is 10 s old"] * 3
    assert not [each for each in bench.events if each.change is Change.FAILED]


@virtual
async def test_an_actor_is_restarted_when_the_process_is_too_large_once_a_minute() -> None:
    bench = await opened(WholeBench())
    size = 100
    told: list[str] = []
    order = Rejuvenation("proxy", memory=2**20)
    rejuvenate(bench.system, [order], told.append, lambda: size)
    await asyncio.sleep(200)
    assert restarted(bench) == []
    size = 2**20
    await asyncio.sleep(125)
    assert [actor for actor, _ in restarted(bench)] == ["proxy"] * 3
    assert told[0] == "rejuvenation: proxy is restarted: 1 MiB are in memory"


@virtual
async def test_an_actor_is_restarted_when_too_many_messages_wait_for_it() -> None:
    bench = await opened(WholeBench())
    told: list[str] = []
    rejuvenate(bench.system, [Rejuvenation("transport/sender", mailbox=3)], told.append)
    await asyncio.sleep(90)
    assert told == []
    sender = bench.wiring.sender
    assert sender is not None
    sender.hold()
    for _ in range(3):
        bench.wiring.coder.tell("nothing")  # type: ignore[union-attr]  # any message
        sender.tell("nothing that it knows")
    await asyncio.sleep(1.5)
    assert told == ["rejuvenation: transport/sender is restarted: 3 messages wait for it"]


@virtual
async def test_a_call_lives_through_the_rejuvenation_of_every_actor() -> None:
    bench = await opened(WholeBench())
    await bench.register("bob", BOB)
    bench.sockets.log.clear()
    orders = [Rejuvenation(actor, every_s=1) for actor in ACTORS]
    rejuvenate(bench.system, orders, lambda _text: None)
    _, [forwarded] = await invited(bench, ALICE)
    await asyncio.sleep(5)
    [ok] = [each for each in await answered(bench, forwarded, 200) if each.has("via")][-1:]
    assert b"alice" in (ok.get("from") or b"")
    assert bench.held.calls.established == 1
    assert {actor for actor, _ in restarted(bench)} == set(ACTORS)


@virtual
async def test_the_actors_that_a_file_may_name_are_those_of_the_tree() -> None:
    bench = WholeBench()
    assert tuple(cell.path for cell in bench.system.walk()) == ACTORS


def test_a_file_says_when() -> None:
    text = LINES + 'actor = "proxy"\nevery = "3600s"\nmailbox = 5000\nmemory = "500MiB"\n'
    config = load(text, "sip.toml", Path())
    assert config.rejuvenation == (Rejuvenation("proxy", 3600.0, 5000, 500 * 2**20),)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ('actor = "proxi"\nevery = "3600s"\n', "rejuvenate[1].actor"),
        ('actor = "proxy"\n', "rejuvenate[1].every: missing"),
        ('actor = "proxy"\nmemory = "1"\n', "rejuvenate[1].memory"),
        ('actor = "proxy"\nafter = "1h"\n', "unknown key"),
    ],
)
def test_what_a_file_gets_wrong_is_named(lines: str, problem: str) -> None:
    with pytest.raises(SipFileError) as raised:
        load(LINES + lines, "sip.toml", Path())
    assert problem in " ".join(map(str, raised.value.mistakes))
