"""Metrics in a file and at an address."""

from __future__ import annotations

import os
import socket
import stat
import sys
import tempfile
import threading
import urllib.request
from pathlib import Path

import pytest

from remusnet.api import monitoring
from remusnet.api.monitoring import serve_metrics, write_metrics
from remusnet.api.protection import Listing
from remusnet.errors import (
    Conflict,
    InvalidInput,
    KernelRefused,
    MissingDependency,
    NotPermitted,
)
from remusnet.results.monitoring import Reading
from tests.lib.readings import reading


@pytest.fixture(autouse=True)
def one_protection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitoring, "readings", lambda *_, **__: read())


def read() -> Listing[Reading]:
    return Listing([reading()])


def asked(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        return str(answer.read().decode())


def test_a_file_is_replaced_as_one_step_and_all_may_read_it(tmp_path: Path) -> None:
    file = tmp_path / "remusnet.prom"
    file.write_text("old")
    with file.open() as opened:
        before = os.umask(0o077)
        try:
            write_metrics(file)
        finally:
            os.umask(before)
        assert opened.read() == "old", "who reads goes on with what was there"
    assert 'remusnet_backlog_bytes{buffer="ifb-1.0",vif="vif1.0"} 3000.0' in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "remusnet.prom"
    link.symlink_to("there/file")
    write_metrics(link)
    assert link.is_symlink()
    assert [each.name for each in (tmp_path / "there").iterdir()] == ["file"]


def test_what_can_not_be_read_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: str, **__: object) -> Listing[Reading]:
        raise KernelRefused("no")

    monkeypatch.setattr(monitoring, "readings", refuse)
    file = tmp_path / "remusnet.prom"
    file.write_text("old")
    with pytest.raises(KernelRefused):
        write_metrics(file)
    assert (file.read_text(), list(tmp_path.iterdir())) == ("old", [file])


def test_a_disk_that_is_full_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    file = tmp_path / "remusnet.prom"
    file.write_text("old")
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(InvalidInput, match="No space left on device"):
        write_metrics(file)
    assert (file.read_text(), list(tmp_path.iterdir())) == ("old", [file])


def test_where_it_may_not_write_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    with pytest.raises(NotPermitted, match="may not write"):
        write_metrics(tmp_path / "x.prom")


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write_metrics(pipe)
    reader.join(10)
    assert got[0].startswith(b"# HELP remusnet_up ")
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_metrics_are_read_anew_for_each_who_asks(host: str) -> None:
    seen = []

    def once_more() -> Listing[Reading]:
        seen.append(1)
        return Listing([reading(backlog=len(seen))])

    with serve_metrics(f"{host}:0", once_more) as server:
        for number in (1, 2):
            assert f'vif="vif1.0"}} {number}.0' in asked(server.address)
    assert len(seen) == 2


def test_after_its_end_nobody_answers_and_the_port_is_free() -> None:
    server = serve_metrics("127.0.0.1:0", read)
    server.close()
    with pytest.raises(OSError):
        asked(server.address)
    serve_metrics(server.address, read).close()


def test_a_kernel_that_can_not_be_read_is_told_in_the_answer() -> None:
    def refuse() -> Listing[Reading]:
        raise KernelRefused("no")

    with serve_metrics("127.0.0.1:0", refuse) as server:
        answer = asked(server.address)
    assert "remusnet_up 0.0" in answer
    assert "backlog" not in answer


def test_a_port_that_is_taken_is_a_conflict() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(Conflict, match="Address already in use"):
            serve_metrics(f"127.0.0.1:{port}", read)


@pytest.mark.parametrize(
    "address", ["", "127.0.0.1", ":9911", "9911", "127.0.0.1:x", "127.0.0.1:70000", "[::1", "a@b:1"]
)
def test_an_address_that_is_none_is_one_line(address: str) -> None:
    with pytest.raises(InvalidInput, match="expected one such as 127.0.0.1:9911"):
        serve_metrics(address, read)


def test_without_prometheus_client_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "remusnet.report.prometheus", raising=False)
    monkeypatch.delattr("remusnet.report.prometheus", raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MissingDependency, match=r"install 'remusnet\[monitoring\]'"):
        write_metrics(Path("x"))
