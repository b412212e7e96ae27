"""The four transactions of RFC 3261, 17 (RFC 6026, RFC 4320), event by event: figures 5 to 8."""

from __future__ import annotations

from itertools import accumulate

import pytest

from remusnet.sip.message import Request, Response
from remusnet.sip.message.build import ack, cancel, respond
from remusnet.sip.timers import Timers
from remusnet.sip.transaction import (
    Arm,
    Command,
    Disarm,
    End,
    Fired,
    FromUser,
    FromWire,
    InviteClient,
    InviteServer,
    Machine,
    NonInviteClient,
    NonInviteServer,
    ToUser,
    ToWire,
    Trouble,
    Unreachable,
)
from tests.lib.sip_bench import phone, request

T = Timers()
INVITE = request("INVITE", "sip:bob@example.org", phone(), route="<sip:p1;lr>, <sip:p2;lr>")
OPTIONS = request("OPTIONS", "sip:bob@example.org", phone())


def of(asked: Request, status: int) -> Response:
    return respond(asked, status, tag="t")


def made(
    kind: type[Machine], asked: Request, *, reliable: bool = False
) -> tuple[Machine, list[Command]]:
    machine = kind(asked, reliable=reliable, timers=T)
    return machine, machine.begin()


def sent(commands: list[Command]) -> list[object]:
    """What goes out: methods and statuses."""
    found: list[object] = []
    for command in commands:
        if isinstance(command, ToWire):
            message = command.message
            found.append(message.method if isinstance(message, Request) else None)
            if isinstance(message, Response):
                found[-1] = message.status
    return found


def told(commands: list[Command]) -> list[object]:
    """What its user is told: statuses, methods, troubles."""
    found: list[object] = []
    for command in commands:
        if isinstance(command, ToUser):
            what = command.what
            found.append(getattr(what, "status", None) or getattr(what, "method", what))
    return found


def armed(commands: list[Command]) -> dict[str, float]:
    return {each.timer: each.seconds for each in commands if isinstance(each, Arm)}


def ends(commands: list[Command]) -> bool:
    return any(isinstance(each, End) for each in commands)


def test_the_timers_are_those_of_table_4() -> None:
    """RFC 3261, table 4; all in proportion to T1."""
    assert (T.t1, T.t2, T.t4, T.transaction) == (0.5, 4, 5, 32)
    assert T.d > 32
    assert T.c > 180
    assert (Timers(0.1).t2, Timers(0.1).t4) == (0.8, 1.0)
    assert Timers(0.1).transaction == pytest.approx(6.4)


# INVITE client: 17.1.1, RFC 6026 8.4.


def test_timer_a_doubles_without_a_bound_until_timer_b() -> None:
    machine, commands = made(InviteClient, INVITE)
    assert sent(commands) == [b"INVITE"]
    intervals = [armed(commands)["A"]]
    assert armed(commands)["B"] == 64 * T.t1
    for _ in range(6):
        commands = machine.handle(Fired("A"))
        assert sent(commands) == [b"INVITE"]
        intervals.append(armed(commands)["A"])
    assert intervals == [0.5, 1, 2, 4, 8, 16, 32]
    assert list(accumulate(intervals))[5] < 32 < list(accumulate(intervals))[6]
    commands = machine.handle(Fired("B"))
    assert told(commands) == [Trouble.TIMEOUT]
    assert ends(commands)


def test_an_invite_is_not_repeated_over_a_reliable_transport() -> None:
    assert "A" not in armed(made(InviteClient, INVITE, reliable=True)[1])


def test_a_provisional_response_ends_the_repetition_of_an_invite() -> None:
    machine, _ = made(InviteClient, INVITE)
    commands = machine.handle(FromWire(of(INVITE, 180)))
    assert told(commands) == [180]
    assert {Disarm("A"), Disarm("B")} <= set(commands)
    assert machine.state_name == "proceeding"
    assert told(machine.handle(FromWire(of(INVITE, 183)))) == [183]


@pytest.mark.parametrize("provisional", [True, False])
def test_a_failure_is_acknowledged_each_time_that_it_comes_until_timer_d(
    provisional: bool,
) -> None:
    machine, _ = made(InviteClient, INVITE)
    if provisional:
        machine.handle(FromWire(of(INVITE, 180)))
    commands = machine.handle(FromWire(of(INVITE, 486)))
    assert (sent(commands), told(commands)) == ([b"ACK"], [486])
    assert armed(commands)["D"] > 32
    commands = machine.handle(FromWire(of(INVITE, 486)))
    assert (sent(commands), told(commands)) == ([b"ACK"], [])
    assert ends(machine.handle(Fired("D")))


def test_timer_d_is_zero_over_a_reliable_transport() -> None:
    machine, _ = made(InviteClient, INVITE, reliable=True)
    assert armed(machine.handle(FromWire(of(INVITE, 486))))["D"] == 0


def test_each_2xx_goes_up_until_timer_m_and_none_is_acknowledged() -> None:
    """RFC 6026, 7.2 and 8.4."""
    machine, _ = made(InviteClient, INVITE)
    commands = machine.handle(FromWire(of(INVITE, 200)))
    assert (sent(commands), told(commands)) == ([], [200])
    assert armed(commands)["M"] == 64 * T.t1
    assert machine.state_name == "accepted"
    assert told(machine.handle(FromWire(of(INVITE, 200)))) == [200]
    assert told(machine.handle(FromWire(of(INVITE, 486)))) == []
    assert ends(machine.handle(Fired("M")))


@pytest.mark.parametrize("kind", [InviteClient, NonInviteClient])
def test_what_can_not_be_sent_is_told_at_once(kind: type[Machine]) -> None:
    """RFC 3261, 17.1.4."""
    machine, _ = made(kind, INVITE if kind is InviteClient else OPTIONS)
    commands = machine.handle(Unreachable("no route"))
    assert told(commands) == [Trouble.TRANSPORT]
    assert ends(commands)


def test_an_ack_is_made_of_the_invite_and_the_to_of_the_response() -> None:
    """RFC 3261, 17.1.1.3."""
    response = of(INVITE, 486)
    made_ack = ack(INVITE, response)
    for name in ("call-id", "from", "route"):
        assert made_ack.lines(name) == INVITE.lines(name)
    assert made_ack.uri == INVITE.uri
    assert made_ack.get("to") == response.get("to")
    assert made_ack.values("via") == INVITE.values("via")[:1]
    assert made_ack.cseq == (INVITE.cseq[0], b"ACK")
    assert made_ack.body == b""


def test_a_cancel_is_made_of_the_invite() -> None:
    """RFC 3261, 9.1."""
    asked = INVITE.copy()
    asked.add("Require", b"foo")
    asked.push("Via", b"SIP/2.0/UDP ours;branch=z9hG4bKours")
    made_cancel = cancel(asked)
    for name in ("call-id", "from", "to", "route"):
        assert made_cancel.lines(name) == asked.lines(name)
    assert made_cancel.uri == asked.uri
    assert made_cancel.cseq == (asked.cseq[0], b"CANCEL")
    assert made_cancel.values("via") == [b"SIP/2.0/UDP ours;branch=z9hG4bKours"]
    assert not made_cancel.has("require")


# Non-INVITE client: 17.1.2.


def test_timer_e_doubles_up_to_t2_until_timer_f() -> None:
    machine, commands = made(NonInviteClient, OPTIONS)
    assert armed(commands) == {"F": 64 * T.t1, "E": T.t1}
    intervals = []
    for _ in range(5):
        commands = machine.handle(Fired("E"))
        assert sent(commands) == [b"OPTIONS"]
        intervals.append(armed(commands)["E"])
    assert intervals == [1, 2, 4, 4, 4]
    commands = machine.handle(Fired("F"))
    assert told(commands) == [Trouble.TIMEOUT]
    assert ends(commands)


def test_after_a_provisional_response_a_request_is_repeated_at_t2() -> None:
    machine, _ = made(NonInviteClient, OPTIONS)
    assert told(machine.handle(FromWire(of(OPTIONS, 100)))) == [100]
    assert armed(machine.handle(Fired("E")))["E"] == T.t2
    assert told(machine.handle(Fired("F"))) == [Trouble.TIMEOUT]


@pytest.mark.parametrize(("reliable", "seconds"), [(False, T.t4), (True, 0)])
def test_a_final_response_goes_up_once_and_repetitions_are_absorbed_until_timer_k(
    reliable: bool, seconds: float
) -> None:
    machine, _ = made(NonInviteClient, OPTIONS, reliable=reliable)
    commands = machine.handle(FromWire(of(OPTIONS, 200)))
    assert told(commands) == [200]
    assert armed(commands)["K"] == seconds
    assert {Disarm("E"), Disarm("F")} <= set(commands)
    assert machine.handle(FromWire(of(OPTIONS, 200))) == []
    assert ends(machine.handle(Fired("K")))


def test_a_request_is_not_repeated_over_a_reliable_transport() -> None:
    assert "E" not in armed(made(NonInviteClient, OPTIONS, reliable=True)[1])


# INVITE server: 17.2.1, RFC 6026 8.5.


def test_an_invite_gets_a_100_at_once_and_its_repetition_the_last_provisional_response() -> None:
    machine, commands = made(InviteServer, INVITE)
    assert sent(commands) == [100]
    assert sent(machine.handle(FromWire(INVITE))) == [100]
    assert sent(machine.handle(FromUser(of(INVITE, 183)))) == [183]
    assert sent(machine.handle(FromWire(INVITE))) == [183]


def test_timer_g_doubles_up_to_t2_until_the_ack_or_timer_h() -> None:
    machine, _ = made(InviteServer, INVITE)
    commands = machine.handle(FromUser(of(INVITE, 486)))
    assert sent(commands) == [486]
    assert (armed(commands)["G"], armed(commands)["H"]) == (T.t1, 64 * T.t1)
    intervals = []
    for _ in range(4):
        commands = machine.handle(Fired("G"))
        assert sent(commands) == [486]
        intervals.append(armed(commands)["G"])
    assert intervals == [1, 2, 4, 4]
    assert sent(machine.handle(FromWire(INVITE))) == [486]
    commands = machine.handle(Fired("H"))
    assert told(commands) == [Trouble.TIMEOUT]
    assert ends(commands)


@pytest.mark.parametrize(("reliable", "seconds"), [(False, T.t4), (True, 0)])
def test_an_ack_ends_the_repetition_and_others_are_absorbed_until_timer_i(
    reliable: bool, seconds: float
) -> None:
    machine, _ = made(InviteServer, INVITE, reliable=reliable)
    response = of(INVITE, 486)
    assert ("G" in armed(machine.handle(FromUser(response)))) != reliable
    commands = machine.handle(FromWire(ack(INVITE, response)))
    assert {Disarm("G"), Disarm("H")} <= set(commands)
    assert armed(commands)["I"] == seconds
    assert (sent(commands), told(commands)) == ([], [])
    assert machine.handle(FromWire(ack(INVITE, response))) == []
    assert ends(machine.handle(Fired("I")))


def test_after_a_2xx_repeated_invites_are_absorbed_and_acks_go_up_until_timer_l() -> None:
    """RFC 6026, 7.1 and 8.5: the 2xx itself is repeated by who made it."""
    machine, _ = made(InviteServer, INVITE)
    commands = machine.handle(FromUser(of(INVITE, 200)))
    assert sent(commands) == [200]
    assert armed(commands)["L"] == 64 * T.t1
    assert "G" not in armed(commands)
    assert machine.handle(FromWire(INVITE)) == []
    assert sent(machine.handle(FromUser(of(INVITE, 200)))) == [200]
    assert told(machine.handle(FromWire(ack(INVITE, of(INVITE, 200))))) == [b"ACK"]
    assert sent(machine.handle(FromUser(of(INVITE, 486)))) == []
    assert ends(machine.handle(Fired("L")))


@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("kind", [InviteServer, NonInviteServer])
def test_a_response_that_can_not_be_sent_is_told_and_the_transaction_stays(
    kind: type[Machine], final: bool
) -> None:
    """RFC 3261, 17.2.4, as RFC 6026, 7.1, has it: repetitions are still absorbed."""
    asked = INVITE if kind is InviteServer else OPTIONS
    machine, _ = made(kind, asked)
    if final:
        machine.handle(FromUser(of(asked, 486)))
    commands = machine.handle(Unreachable("no route"))
    assert told(commands) == [Trouble.TRANSPORT]
    assert not ends(commands)
    assert told(machine.handle(FromWire(asked))) == []
    if final:
        assert ends(machine.handle(Fired("H" if kind is InviteServer else "J")))


def test_an_invite_whose_user_is_lost_is_answered_some_time() -> None:
    """RFC 3261 has no such timer, for no user of a transaction is lost in it."""
    machine, commands = made(InviteServer, INVITE)
    assert armed(commands)["silent"] > 10 * T.c
    commands = machine.handle(FromUser(of(INVITE, 180)))
    assert armed(commands)["silent"] > 10 * T.c
    commands = machine.handle(Fired("silent"))
    assert sent(commands) == [408]
    assert Disarm("silent") in commands
    assert ends(machine.handle(Fired("H")))


# Non-INVITE server: 17.2.2.


def test_a_request_is_answered_and_its_repetition_the_same_until_timer_j() -> None:
    machine, commands = made(NonInviteServer, OPTIONS)
    assert sent(commands) == []
    assert machine.handle(FromWire(OPTIONS)) == []
    commands = machine.handle(FromUser(of(OPTIONS, 200)))
    assert sent(commands) == [200]
    assert armed(commands)["J"] == 64 * T.t1
    assert sent(machine.handle(FromWire(OPTIONS))) == [200]
    assert machine.handle(FromUser(of(OPTIONS, 500))) == [], "the first final response counts"
    assert ends(machine.handle(Fired("J")))


def test_timer_j_is_zero_over_a_reliable_transport() -> None:
    machine, _ = made(NonInviteServer, OPTIONS, reliable=True)
    assert armed(machine.handle(FromUser(of(OPTIONS, 200))))["J"] == 0


def test_a_non_invite_gets_a_100_when_timer_e_has_come_to_t2_and_no_other_provisional() -> None:
    """RFC 4320, 4.1."""
    machine, commands = made(NonInviteServer, OPTIONS)
    assert armed(commands) == {"F": T.t1 + 2 * T.t1 + 4 * T.t1}
    assert machine.handle(FromUser(of(OPTIONS, 183))) == []
    commands = machine.handle(Fired("F"))
    assert sent(commands) == [100]
    assert sent(machine.handle(FromWire(OPTIONS))) == [100]
    assert armed(commands)["F"] == 64 * T.t1 - 7 * T.t1
    # Its client has given up: no 408, nothing (4.2).
    commands = machine.handle(Fired("F"))
    assert (sent(commands), told(commands)) == ([], [])
    assert ends(commands)
    assert sent(machine.handle(FromUser(of(OPTIONS, 200)))) == []
