"""What the journal is told of a change: one datagram of fields, harmless whatever is in them."""

from __future__ import annotations

import socket
import string
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remusnet.kernel import journal

Fields = dict[str, list[str]]


@pytest.fixture
def entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Fields]]:
    """A journal's socket; each call reads an entry."""
    path = str(tmp_path / "socket")
    monkeypatch.setattr(journal, "SOCKET", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as there:
        there.bind(path)
        there.settimeout(1)
        yield lambda: parsed(there.recv(1 << 20))


def parsed(datagram: bytes) -> Fields:
    """By the rules of the native protocol: NAME=value, a line each."""
    found: Fields = {}
    assert datagram.endswith(b"\n")
    for line in datagram.decode("ascii").splitlines():
        name, equals, value = line.partition("=")
        assert equals, line
        assert set(name) <= set(string.ascii_uppercase + "_"), line
        found.setdefault(name, []).append(value)
    return found


def test_an_entry_says_who_did_what_to_which_vif_and_how_it_ended(
    entries: Callable[[], Fields], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_USER", "ann")
    journal.record(
        "apply", ["vif1.0", "vif1.0-emu"], buffers=["ifb-1.0"], policy="real-time", operations=31
    )
    found = entries()
    assert found["MESSAGE"] == ["apply vif1.0, vif1.0-emu: done (policy real-time, 31 operations)"]
    assert found["REMUSNET_VIF"] == ["vif1.0", "vif1.0-emu"]
    assert (found["REMUSNET_ACTION"], found["REMUSNET_RESULT"]) == (["apply"], ["done"])
    assert (found["REMUSNET_BUFFER"], found["REMUSNET_OPERATIONS"]) == (["ifb-1.0"], ["31"])
    assert "by sudo of ann" in found["REMUSNET_WHO"][0]
    assert found["PRIORITY"] == ["6"]
    journal.record("remove", ["vif1.0"], result=journal.FAILED, text="ENOMEM")
    second = entries()
    assert (second["PRIORITY"], second["REMUSNET_TEXT"]) == (["3"], ["ENOMEM"])
    assert second["REMUSNET_ID"] == found["REMUSNET_ID"]


def test_a_cause_is_the_action_of_all_that_is_done_for_it(entries: Callable[[], Fields]) -> None:
    with journal.because("repair", "0123"):
        journal.record("apply", ["vif1.0"])
        inner = entries()
        with journal.because("go-back"):
            journal.record("remove", ["vif1.0"])
            assert entries()["REMUSNET_ID"] == ["0123"]
    assert (inner["REMUSNET_ACTION"], inner["REMUSNET_STEP"]) == (["repair"], ["apply"])
    assert inner["MESSAGE"] == ["repair (apply) vif1.0: done"]
    journal.record("apply", ["vif1.0"])
    assert entries()["REMUSNET_ID"] != ["0123"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=3000), st.lists(st.text(max_size=300), max_size=100), st.text())
def test_nothing_that_others_chose_forges_a_field_or_grows_without_limit(
    entries: Callable[[], Fields], text: str, names: list[str], policy: str
) -> None:
    journal.record("apply", names, policy=policy, text=f"a\nREMUSNET_RESULT=done\x1b[2J{text}")
    found = entries()
    assert found["REMUSNET_RESULT"] == ["done"]
    assert len(found.get("REMUSNET_VIF", ())) <= 65
    values = [value for each in found.values() for value in each]
    assert all(value.isascii() and value.isprintable() for value in values)
    assert max(len(each) for name, each in ((n, v) for n, e in found.items() for v in e)) < 8000
    assert sum(map(len, values)) < 20_000


def test_without_a_journal_nothing_fails_and_verbose_says_it_on_standard_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(journal, "SOCKET", str(tmp_path / "none"))
    journal.record("apply", ["vif1.0"])
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(journal, "verbose", True)
    journal.record("apply", ["vif\n1.0"])
    assert capsys.readouterr().err.startswith(r"remusnet: apply vif\n1.0: done [")


def test_a_journal_that_takes_no_more_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "full")
    monkeypatch.setattr(journal, "SOCKET", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as there:
        there.bind(path)
        for _ in range(2000):  # net.unix.max_dgram_qlen is 512 at most by default
            journal.record("apply", ["vif1.0"])
        assert b"vif1.0" in there.recv(1 << 16), "it was asked at all"
