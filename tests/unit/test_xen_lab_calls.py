"""What the Xen lab reads of sipp's files: which calls and registrations outlive a primary."""

from __future__ import annotations

from pathlib import Path

from tests.xen.lab.calls import Survival, completed, still_there

_CLOCK = 1_000_000_000 * 1_795_952_667  # 2026-11-29 11:44:27 UTC


def message(second: float, way: str, *lines: str) -> str:
    """As `sipp -trace_msg` writes one: its time, its size, and its lines as on the wire."""
    head = f"{'-' * 47} 2026-11-29 11:44:{27 + second:09.6f}\nUDP message {way} [99] bytes :\n\n"
    return head + "\r\n".join((*lines, "", "")) + "\n"


def request(second: float, call: int, method: str, number: int = 1) -> str:
    return message(
        second,
        "sent",
        f"{method} sip:callee@example.org SIP/2.0",
        f"Call-ID: {call}-1@10.0.0.1",
        f"CSeq: {number} {method}",
    )


def answer(second: float, call: int, method: str, number: int = 1, *more: str) -> str:
    lines = [f"Call-ID: {call}-1@10.0.0.1", f"CSeq: {number} {method}", *more]
    return message(second, "received", "SIP/2.0 200 OK", *lines)


def confirmed(second: float, call: int) -> str:
    """The callee's side: the ACK has come."""
    lines = [f"Call-ID: {call}-1@10.0.0.1", "CSeq: 1 ACK"]
    return message(second, "received", "ACK sip:callee@10.0.0.1 SIP/2.0", *lines)


def survival(folder: Path, calls: str, phones: str = "", callee: str = "") -> Survival:
    (folder / "calls-udp.messages").write_bytes(calls.encode())
    (folder / "callee-udp.messages").write_bytes(callee.encode())
    (folder / "phones-udp.messages").write_bytes(phones.encode())
    return Survival.read(folder, "udp", _CLOCK + 10_000_000_000)


def test_a_call_is_up_from_its_ack_and_survives_by_the_answer_to_its_bye(
    tmp_path: Path,
) -> None:
    calls = request(1, 1, "INVITE") + request(1.5, 1, "INVITE") + answer(2.25, 1, "INVITE")
    calls += request(2.25, 1, "ACK") + request(3, 2, "INVITE") + answer(4, 2, "INVITE")
    calls += request(20, 1, "BYE", 2) + answer(21, 1, "BYE", 2) + request(22, 2, "BYE", 2)
    callee = confirmed(2.5, 1) + confirmed(4.5, 2) + confirmed(5, 2)
    seen = survival(tmp_path, calls, callee=callee)
    assert len(seen.up()) == 2
    assert len(completed(seen.up())) == 1
    # Its INVITE was sent twice: the wait begins with the first.
    assert seen.set_up_ms() == [1250.0, 1000.0]


def test_calls_are_told_apart_by_where_the_loss_met_them(tmp_path: Path) -> None:
    hung_up = request(1, 1, "INVITE") + answer(2, 1, "INVITE")
    hung_up += request(3, 1, "BYE", 2) + answer(4, 1, "BYE", 2)
    under_way = request(9.9, 2, "INVITE") + answer(12, 2, "INVITE")
    # The caller has its answer; the callee got the ACK after the loss, or never.
    under_way += request(8, 4, "INVITE") + answer(9, 4, "INVITE") + request(9, 4, "ACK")
    under_way += request(8, 5, "INVITE") + answer(9, 5, "INVITE") + request(9, 5, "ACK")
    later = request(11, 3, "INVITE") + answer(12, 3, "INVITE")
    callee = confirmed(3, 1) + confirmed(13, 2) + confirmed(13, 3) + confirmed(13, 4)
    seen = survival(tmp_path, hung_up + under_way + later, callee=callee)
    assert [len(each) for each in (seen.up(), seen.under_way(), seen.later())] == [0, 3, 1]


def test_a_registration_is_there_if_the_server_still_knows_a_contact(tmp_path: Path) -> None:
    contact = "Contact: <sip:user@10.0.0.1:6021>;expires=596"
    phones = ""
    for phone in (1, 2, 3):
        phones += request(1, phone, "REGISTER") + answer(2, phone, "REGISTER", 1, contact)
    phones += request(20, 1, "REGISTER", 2) + answer(21, 1, "REGISTER", 2, contact)
    phones += request(20, 2, "REGISTER", 2) + answer(21, 2, "REGISTER", 2)
    phones += request(20, 3, "REGISTER", 2)
    seen = survival(tmp_path, "", phones)
    assert len(seen.registered()) == 3
    assert len(still_there(seen.registered())) == 1
