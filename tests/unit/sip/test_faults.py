"""Every kind of actor crashed at every message of two registrations, a call and a cancelled call.

The phones (`tests.lib.sip_phones`) repeat what gets no answer, so what is lost here is lost to a
user. Time is virtual: what a fault delays, is told exactly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache

import pytest

from remusnet.actors import Cell, Change
from remusnet.sip.flows import Transport
from remusnet.sip.presets import NONE, RESILIENT, THESIS, Preset
from remusnet.sip.signals import Bytes
from tests.lib.sip_bench import phone, request
from tests.lib.sip_phones import T1, Outcome, Strike, play
from tests.lib.sip_whole import BOB, WholeBench, answered, invited, opened, virtual

KINDS = ["registrar", "location", "proxy", "session", "transport", "sender", "coder"]
KINDS += ["transactions", "transaction", "receiver"]
TRANSPORTS = (Transport.UDP, Transport.TCP)
MOST = 5  # failures in 30 s; one more escalates


class Struck(Exception):
    """The fault."""


def struck(
    kind: str, nth: int, *, before: int = 0, times: int = 1, hit: list[str]
) -> Callable[[WholeBench], Strike]:
    """A fault at the ``nth`` message of an actor of ``kind``, after ``before`` earlier ones.

    ``times``: so often does that message fail. ``transport`` takes no messages: it is crashed at
    the ``nth`` message of any actor. What was hit is added to ``hit``.
    """

    def prepare(bench: WholeBench) -> Strike:
        seen = 0
        left = times
        hit_message: object = None

        def strike(cell: Cell, message: object) -> None:
            nonlocal seen, left, hit_message
            if kind == "transport":
                seen += 1
                if seen == nth:
                    hit.append(type(message).__name__)
                    for _ in range(before + 1):
                        bench.system.find("transport").crash(Struck())
                return
            if cell.kind != kind:
                return
            again = hit_message is not None and message is hit_message
            seen += not again
            if (seen == nth or again) and left:
                hit.append(type(message).__name__)
                if hit_message is None:
                    for _ in range(before):
                        cell.note_failure()
                left -= 1
                hit_message = message
                raise Struck

        return strike

    return prepare


@cache
def healthy(preset: Preset, transport: Transport) -> Outcome:
    """A run without a fault."""
    outcome = play(preset, transport, lambda _bench: lambda _cell, _message: None)
    assert (outcome.lost, outcome.failures, outcome.left) == ({}, 0, 0)
    return outcome


def runs(
    preset: Preset, transport: Transport, kind: str, *, before: int = 0, times: int = 1
) -> list[Outcome]:
    """A run for each message that an actor of ``kind`` takes."""
    found: list[Outcome] = []
    while True:
        hit: list[str] = []
        strike = struck(kind, len(found) + 1, before=before, times=times, hit=hit)
        outcome = play(preset, transport, strike)
        if not hit:
            assert found, "no actor of this kind took a message"
            return found
        outcome.struck = hit[0]
        found.append(outcome)


@pytest.mark.slow
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("before", [0, MOST])
def test_under_resilient_no_fault_costs_a_call_or_a_binding_or_a_caller_more_than_t1(
    before: int, kind: str, transport: Transport
) -> None:
    for nth, outcome in enumerate(runs(RESILIENT, transport, kind, before=before), 1):
        where = f"{kind}, message {nth}: {outcome.struck}"
        assert outcome.lost == {}, where
        assert not outcome.ended, where
        assert outcome.failures >= 1, where
        assert outcome.escalations == (before == MOST), where
        assert outcome.delay(healthy(RESILIENT, transport)) <= T1, where
        assert (outcome.left, outcome.up) == (0, 0), f"{where}: something is never forgotten"


@pytest.mark.parametrize("kind", KINDS)
def test_six_faults_in_30_s_escalate_and_five_do_not(kind: str) -> None:
    for faults in (MOST, MOST + 1):
        hit: list[str] = []
        strike = struck(kind, 4, before=faults - 1, hit=hit)
        outcome = play(RESILIENT, Transport.UDP, strike)
        assert hit, kind
        assert (outcome.lost, outcome.escalations) == ({}, faults > MOST), kind


@pytest.mark.slow
def test_under_thesis_its_strategy_loses_calls_and_registrations(
    capsys: pytest.CaptureFixture[str],
) -> None:
    kinds = [kind for kind in KINDS if kind != "transport"]
    lost: dict[tuple[str, Transport], int] = {}
    rows = []
    for kind in kinds:
        row = f"{kind:13}"
        for transport in TRANSPORTS:
            outcomes = runs(THESIS, transport, kind)
            assert not any(outcome.ended or outcome.escalations for outcome in outcomes)
            calls = sum(outcome.calls_lost > 0 for outcome in outcomes)
            bindings = sum(outcome.bindings_lost > 0 for outcome in outcomes)
            lost[kind, transport] = calls + bindings
            row += f"{len(outcomes):9}{calls:7}{bindings:10}"
        rows.append(row)
    with capsys.disabled():
        print("\nunder `thesis`: faults, how many of them lost a call, a registration")
        print(f"{'':13}{'UDP':>9}{'':17}{'TCP':>9}")
        print(f"{'':13}" + 2 * f"{'faults':>9}{'calls':>7}{'bindings':>10}")
        print("\n".join(rows))
    # A phone's retransmission makes up for a lost datagram, but for one of a stream nobody does.
    assert lost["receiver", Transport.UDP] == 0
    for kind in ("receiver", "sender", "coder", "transactions"):
        assert lost[kind, Transport.TCP] > lost[kind, Transport.UDP], kind
    # A router's restart stops its children: a fault at each message of the proxy costs a call.
    outcomes = runs(THESIS, Transport.UDP, "proxy")
    assert all(outcome.calls_lost for outcome in outcomes)
    # A message that is dropped in the tree, nobody repeats: its sender is answered by no one.
    for kind in ("registrar", "location", "session", "transaction"):
        assert lost[kind, Transport.UDP] > 0, kind


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_under_none_the_first_fault_ends_the_system(kind: str) -> None:
    outcome = play(NONE, Transport.UDP, struck(kind, 1, hit=[]))
    assert outcome.ended
    assert outcome.calls_lost == 2
    assert outcome.bindings_lost >= 2


@pytest.mark.slow
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "transport"])
def test_under_resilient_a_message_that_fails_twice_leaves_nothing_that_waits_for_ever(
    kind: str, transport: Transport
) -> None:
    for nth, outcome in enumerate(runs(RESILIENT, transport, kind, times=2), 1):
        where = f"{kind}, message {nth}: {outcome.struck}: {outcome.lost}"
        assert not outcome.ended, where
        # Who asks later is answered, and those that were told no are told so.
        silent = [why for why in outcome.lost.values() if "no answer" in why]
        assert not silent, where
        assert outcome.left == 0, where


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("kind", ["receiver", "coder", "transactions", "transaction", "registrar"])
@virtual
async def test_under_resilient_a_request_that_fails_twice_is_answered_500_at_once(
    kind: str, transport: Transport
) -> None:
    """Over TCP nobody would repeat it; over UDP each repetition would fail once more."""
    bench = await opened(WholeBench())
    flow = phone("192.0.2.7", 40000, transport)
    left = 2

    def strike(cell: Cell, _message: object) -> None:
        nonlocal left
        if cell.kind == kind and left:
            left -= 1
            raise Struck

    bench.system.before = strike
    made = request("REGISTER", "sip:example.org", flow, to="<sip:bob@example.org>")
    await bench.receive(made, flow)
    assert bench.statuses() == [500]
    assert [letter.reason for letter in bench.dead] == ["its processing failed twice"]


@virtual
async def test_under_thesis_a_caller_whose_session_is_lost_is_told_so_some_time() -> None:
    """Nobody else would ever answer: its transaction would stay for good."""
    bench = await opened(WholeBench(preset=THESIS))
    await bench.register("bob", BOB)
    _invite, [forwarded] = await invited(bench)
    await answered(bench, forwarded, 180)
    bench.system.find("proxy").crash(Struck())
    await bench.settle()
    assert bench.held.calls.calls == {}
    assert len(bench.wiring.table) > 0
    await asyncio.sleep(7200)
    assert 408 in bench.statuses()
    assert len(bench.wiring.table) == 0


@virtual
async def test_under_thesis_bindings_are_taken_again_after_the_top_was_restarted() -> None:
    bench = await opened(WholeBench(preset=THESIS))
    await bench.register("bob", BOB)
    # The next batch waits for more to share it when the top goes: it ends with its actor.
    bench.held.locations.gather_s = 10
    contact = {"contact": f"<sip:bob@{BOB.remote}>", "to": "<sip:bob@example.org>"}
    again = request("REGISTER", "sip:example.org", BOB, **contact)
    assert bench.wiring.receiver is not None
    bench.wiring.receiver.tell(Bytes(again.serialize(), BOB))
    while bench.held.locations.working is None:
        await asyncio.sleep(0)
    for _ in range(MOST + 1):
        bench.system.find("transport").crash(Struck())
    for _ in range(100):
        await asyncio.sleep(0)
    assert sum(e.actor == "/" and e.change is Change.RESTARTED for e in bench.events) == 1
    assert bench.held.locations.working is None
    bench.held.locations.gather_s = 0
    bench.sent()
    assert (await bench.register("bob", BOB)).status == 200
