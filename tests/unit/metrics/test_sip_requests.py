"""SIP requests of a capture, and what answered them (RFC 3261, sections 7 and 17)."""

from __future__ import annotations

import pytest

from remusnet.classify.columns import columns
from remusnet.emulator.run.recordings import simulate
from remusnet.frames import Frames
from remusnet.metrics.sip_requests import SipRequest, sip_requests
from remusnet.policy import PRESETS
from remusnet.schedule import Schedule, ScheduleKind
from tests.unit.metrics import packets as make
from tests.unit.metrics.packets import Flow

MS = 1_000_000
PHONE, SERVER = "10.0.0.1", "10.0.0.2"
THERE, BACK = Flow(PHONE, 5060, SERVER, 5060), Flow(SERVER, 5060, PHONE, 5060)


def message(
    start: str, cseq: str, branch: str = "z9hG4bKa", to: str = "", via: str = "Via"
) -> bytes:
    return (
        f"{start}\r\n{via}: SIP/2.0/UDP {PHONE}:5060;rport;branch={branch}\r\n"
        f"From: <sip:a@x>;tag=1\r\nTo: <sip:b@x>{to}\r\nCall-ID: c1@x\r\n"
        f"CSeq: {cseq}\r\nContent-Length: 0\r\n\r\n"
    ).encode()


INVITE = message("INVITE sip:b@x SIP/2.0", "1 INVITE")
RINGING = message("SIP/2.0 180 Ringing", "1 INVITE", to=";tag=2")
OK = message("SIP/2.0 200 OK", "1 INVITE", to=";tag=2")
ACK = message("ACK sip:b@x SIP/2.0", "1 ACK", branch="z9hG4bKb", to=";tag=2")
BYE = message("BYE sip:b@x SIP/2.0", "2 BYE", branch="z9hG4bKc", to=";tag=2")
BYE_OK = message("SIP/2.0 200 OK", "2 BYE", branch="z9hG4bKc", to=";tag=2")


def captured(*sent: tuple[int, bytes]) -> Frames:
    """Frames at times in ms."""
    return Frames.of([frame for _, frame in sent], [at * MS for at, _ in sent])


def requests(*sent: tuple[int, bytes]) -> list[SipRequest]:
    frames = captured(*sent)
    return sip_requests(frames, columns(frames))


def there(text: bytes) -> bytes:
    return make.udp(text, THERE)


def back(text: bytes) -> bytes:
    return make.udp(text, BACK)


CALL = (
    (1000, there(INVITE)),
    (1050, back(RINGING)),
    (3000, back(OK)),
    (3001, there(ACK)),
    (9000, there(BYE)),
    (9002, back(BYE_OK)),
)


def test_a_call_is_an_invite_and_a_bye_each_with_its_final_response() -> None:
    assert requests(*CALL) == [
        SipRequest("INVITE", "c1@x", "udp", 0, 2, ringing=1),
        SipRequest("BYE", "c1@x", "udp", 4, 5),
    ]


def test_what_is_sent_again_is_counted_and_a_mirrored_copy_is_not() -> None:
    found = requests(
        (0, there(INVITE)),
        (1, there(INVITE)),
        (500, there(INVITE)),
        (900, back(OK)),
        (1400, back(OK)),
        (1401, back(OK)),
    )
    assert found == [SipRequest("INVITE", "c1@x", "udp", 0, 3, copies=2)]


def test_a_request_within_a_dialog_and_one_that_is_never_answered() -> None:
    again = message("INVITE sip:b@x SIP/2.0", "5 INVITE", branch="z9hG4bKd", to=";tag=2")
    assert requests((0, there(again)), (9, back(RINGING))) == [
        SipRequest("re-INVITE", "c1@x", "udp", 0)
    ]


def test_compact_names_and_other_cases_are_read() -> None:
    compact = INVITE.replace(b"Via:", b"v :").replace(b"Call-ID:", b"i:").replace(b"CSeq", b"cseq")
    assert [each.name for each in requests((0, there(compact)))] == ["INVITE"]


def test_over_tcp_a_segment_begins_with_a_message() -> None:
    found = requests((0, make.tcp(INVITE, 1, THERE)), (70, make.tcp(OK, 1, BACK)))
    assert found == [SipRequest("INVITE", "c1@x", "tcp", 0, 1)]


@pytest.mark.parametrize(
    "text",
    [
        INVITE.replace(b"branch", b"twig"),
        INVITE.replace(b"CSeq", b"Seq"),
        INVITE.replace(b"Call-ID", b"Call"),
        INVITE.replace(b"SIP/2.0\r\n", b"SIP/3.0\r\n"),
        INVITE[:40],
        OK,
        b"SIP/2.0",
        b"INVITE",
    ],
)
def test_what_cannot_be_told_is_left_out(text: bytes) -> None:
    assert requests((0, there(text))) == []


def test_an_answer_that_the_guest_sends_late_makes_the_set_up_as_much_longer() -> None:
    """The peer calls the guest: the 200 at 3,000 ms waits for its commit, at 3,105 ms."""
    schedule = Schedule(200 * MS, 5 * MS, 5 * MS, ScheduleKind.XL)
    policies = [PRESETS["tcp-only"], PRESETS["hold-all"]]
    frames = captured(*CALL)
    compared = simulate(frames, policies, schedule, 10**7, capture="x", guest=SERVER).comparison
    (recorded, _) = compared.recorded_sip
    assert recorded.duration_ms == 2000
    (bypassed, held) = (run.sip[0] for run in compared.outcomes)
    assert bypassed.duration_ms == 2000
    ready = compared.outcomes[1].commit_ns
    assert held.end_ns == ready[ready > 3000 * MS][0]
    assert (recorded.ringing_ms, bypassed.ringing_ms) == (50, 50)
    assert held.ringing_ns == ready[ready > 1050 * MS][0] - 1000 * MS
    assert [each.client for each in (recorded, held)] == ["peer", "peer"]


def test_a_request_that_the_guest_sends_late_is_answered_as_much_later() -> None:
    schedule = Schedule(200 * MS, 5 * MS, 5 * MS, ScheduleKind.XL)
    frames = captured(*CALL)
    compared = simulate(
        frames, [PRESETS["hold-all"]], schedule, 10**7, capture="x", guest=PHONE
    ).comparison
    (run,) = compared.outcomes
    late = run.commit_ns[run.commit_ns > 1000 * MS][0] - 1000 * MS
    assert run.sip[0].client == "guest"
    assert run.sip[0].end_ns == 3000 * MS + late


def test_an_answer_that_the_plug_drops_never_comes() -> None:
    schedule = Schedule(200 * MS, 5 * MS, 5 * MS, ScheduleKind.XL)
    frames = captured(*CALL)
    compared = simulate(
        frames, [PRESETS["hold-all"]], schedule, 100, capture="x", guest=SERVER
    ).comparison
    assert compared.outcomes[0].sip[0].duration_ms is None
