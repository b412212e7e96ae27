"""What a service tells systemd."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from remusnet.host import service


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Whom it is told to."""
    where = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(where)
        made.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", where)
        yield made


def test_systemd_hears_that_it_is_up_what_it_does_that_it_lives_and_that_it_ends(
    systemd: socket.socket,
) -> None:
    service.ready("watching 2 protections")
    service.tell_status("a\nSTOPPING=1")
    service.alive()
    service.stopping()
    assert [systemd.recv(1000) for _ in range(4)] == [
        b"READY=1\nSTATUS=watching 2 protections",
        b"STATUS=a?STOPPING=1",
        b"WATCHDOG=1",
        b"STOPPING=1",
    ]


def test_without_systemd_nothing_is_told_and_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    for where in ("", "relative", "/nowhere/at/all"):
        monkeypatch.setenv("NOTIFY_SOCKET", where)
        service.ready("")


@pytest.mark.parametrize(("text", "expected"), [("60000000", 30.0), ("", None), ("0", None)])
def test_it_says_that_it_lives_twice_as_often_as_systemd_asks(
    monkeypatch: pytest.MonkeyPatch, text: str, expected: float | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", text)
    assert service.watchdog_s() == expected
