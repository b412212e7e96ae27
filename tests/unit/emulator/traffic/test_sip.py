"""RFC 3261's timers, as transcripts."""

from __future__ import annotations

from remusnet.emulator.traffic.sip import Callee, Caller, plan, request, response
from remusnet.scenario.traffic import Sip
from tests.unit.emulator.playbook import Playbook
from tests.unit.emulator.scenes import scenario


def sip(text: str = "") -> Sip:
    (found,) = scenario(f"[[sip]]\n{text}").sip
    return found


def caller(text: str = "") -> Playbook:
    found = sip(text)
    return Playbook(Caller(found, 0, plan(found)))


def callee(text: str = "") -> Playbook:
    return Playbook(Callee(sip(text), 0))


def test_a_call_over_udp_in_its_course() -> None:
    play = caller('talk = "3s"')
    assert play.start() == ["timer plan 0"]
    assert play.expire("plan") == [
        "begin INVITE",
        "send INVITE",
        "timer again 500",
        "timer give-up 32000",
    ]
    assert play.hear("100 INVITE") == ["stop again", "stop give-up"]
    assert play.hear("180 INVITE", at_ms=70) == [
        "answered INVITE 180 after 70",
        "stop again",
        "stop give-up",
    ]
    assert play.hear("200 INVITE") == [
        "send ACK",
        "stop again",
        "stop give-up",
        "end INVITE done",
        "timer plan 3000",
    ]
    assert play.expire("plan")[:2] == ["begin BYE", "send BYE"]
    assert play.hear("200 BYE", 1) == ["stop again", "stop give-up", "end BYE done"]


def test_timer_a_doubles_without_an_end() -> None:
    play = caller()
    play.expire("plan")
    for step in (1000, 2000, 4000, 8000, 16000):
        assert play.expire("again") == ["again INVITE", "send INVITE", f"timer again {step}"]
    assert play.expire("give-up")[-1] == "end INVITE timeout"
    assert play.expire("again") == []


def test_timer_e_doubles_up_to_t2_and_is_t2_after_a_provisional() -> None:
    play = caller("register = true\ncall = false")
    play.expire("plan")
    for step in (1000, 2000, 4000, 4000):
        assert play.expire("again")[-1] == f"timer again {step}"
    play = caller("register = true\ncall = false")
    play.expire("plan")
    play.hear("100 REGISTER")
    assert play.expire("again")[-1] == "timer again 4000"


def test_over_tcp_no_request_is_sent_again() -> None:
    play = caller('transport = "tcp"')
    assert play.expire("plan") == ["begin INVITE", "send INVITE", "timer give-up 32000"]


def test_a_late_copy_of_the_200_is_acknowledged_again() -> None:
    play = caller()
    play.expire("plan")
    play.hear("200 INVITE")
    assert play.hear("200 INVITE") == ["send ACK"]
    assert play.hear("180 INVITE") == []


def test_the_callee_rings_then_answers_until_it_hears_the_ack() -> None:
    for transport in ("udp", "tcp"):  # 13.3.1.4: over TCP too
        play = callee(f'transport = "{transport}"')
        assert play.start() == []
        assert play.hear("INVITE") == ["send 100 INVITE", "send 180 INVITE", "timer answer 0 2000"]
        assert play.expire("answer 0") == ["send 200 INVITE", "timer again 0 500"]
        for step in (1000, 2000, 4000, 4000):
            assert play.expire("again 0") == [
                "again INVITE",
                "send 200 INVITE",
                f"timer again 0 {step}",
            ]
        assert play.hear("ACK") == ["stop again 0"]
        assert play.expire("again 0") == []


def test_the_callee_answers_a_copy_with_its_last_answer() -> None:
    play = callee()
    play.hear("INVITE")
    assert play.hear("INVITE") == ["again INVITE", "send 180 INVITE"]
    play.hear("REGISTER", 1)
    assert play.hear("REGISTER", 1) == ["again REGISTER", "send 200 REGISTER"]


def test_a_200_without_an_ack_is_given_up() -> None:
    play = callee('t2 = "400s"')
    play.hear("INVITE")
    play.expire("answer 0")
    steps = 0
    while play.expire("again 0"):
        steps += 1
    # 500 ms doubled six times is 32 s, which is 64 times T1.
    assert steps == 6


def test_the_plan_of_a_dialog_with_everything() -> None:
    found = sip('register = true\nre-invite = "2s"\ntalk = "5s"')
    assert [(name, wait // 10**9) for name, wait in plan(found)] == [
        ("REGISTER", 0),
        ("INVITE", 0),
        ("re-INVITE", 2),
        ("BYE", 3),
    ]


def test_messages_are_sip_and_inside_tls_nobody_can_tell() -> None:
    text = response("200", "re-INVITE", sip(), 7, 2).text
    head, _, body = text.partition(b"\r\n\r\n")
    assert head.startswith(b"SIP/2.0 200 OK\r\n")
    assert b"CSeq: 3 INVITE" in head
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"m=audio 10014 RTP/AVP" in body
    sealed = request("INVITE", sip('transport = "tls"'), 7, 2)
    assert sealed.text.startswith(b"\x17\x03\x03")
    assert b"SIP/2.0" not in sealed.text
    assert len(sealed.text) == sealed.size
