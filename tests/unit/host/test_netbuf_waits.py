"""The netbuf script gives up before libxl kills it, and says who kept it waiting."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from remusnet.errors import MissingDependency
from remusnet.host.netbuf import locks, script
from remusnet.host.netbuf.locks import LIBXL_SECONDS, LONGEST_SECONDS, XenLock
from remusnet.host.xenstore import Xenstore

BUSY = 5
PATH = "/libxl/1/remus/netbuf/0"


@pytest.fixture
def environment(
    tmp_path: Path, store_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    monkeypatch.setattr(locks, "LONGEST_SECONDS", 0.3)
    name = store_folder / "store/local/domain/1/name"
    name.mkdir(parents=True)
    (name / ".value").write_text("pbx\n")
    return {
        "vifname": "vif1.0",
        "XENBUS_PATH": PATH,
        "REMUSNET_CONFIG": str(tmp_path / "none.toml"),
        "REMUSNET_RUN_DIR": str(tmp_path / "run"),
        "REMUSNET_STATE_DIR": str(tmp_path / "state"),
        "REMUSNET_XEN_LOCK_DIR": str(tmp_path / "locks"),
    }


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Another process has the lock."""
    path.parent.mkdir(exist_ok=True)
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        file = path.open("w")
        fcntl.flock(file, fcntl.LOCK_EX)
        os.write(tell, b"!")
        time.sleep(60)
        os._exit(0)
    os.read(ready, 1)
    HOLDERS.append(child)
    try:
        yield
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


HOLDERS: list[int] = []


def owned(environment: dict[str, str]) -> None:
    """As a quick setup leaves it, so that a teardown goes for the lock first."""
    run_dir = Path(environment["REMUSNET_RUN_DIR"])
    run_dir.mkdir(exist_ok=True)
    (run_dir / "ifb-1.0.xen").write_text(f"{PATH}\nifb-1.0:7:B vif1.0:3:4711\n")


@pytest.mark.parametrize(("action", "name"), [("setup", "locks/pickifb"), ("teardown", "run/lock")])
def test_who_has_the_lock_all_the_time_is_named(
    tmp_path: Path,
    environment: dict[str, str],
    store_folder: Path,
    capsys: pytest.CaptureFixture[str],
    action: str,
    name: str,
) -> None:
    owned(environment)
    start = time.monotonic()
    with held(tmp_path / name):
        assert script.run([action], environment) == BUSY
    assert time.monotonic() - start < 10
    (line,) = capsys.readouterr().err.splitlines()
    expected = (
        f"gave up: process {HOLDERS[-1]} has had the lock {tmp_path / name} all the time, "
        "and libxl kills this script 40 s after its start"
    )
    assert line == f"remusnet-netbuf: error: {expected}"
    told = store_folder / f"store{PATH}/hotplug-error/.value"
    assert told.read_text() == f"{expected}\n"


def test_one_deadline_is_for_all_locks_together(tmp_path: Path) -> None:
    """Each one waited for 30 s by itself, and the long way for 60 more: libxl waits for 40."""
    deadline = time.monotonic() + 0.4
    first, second = (XenLock(str(tmp_path), name, deadline) for name in ("first", "second"))
    with held(tmp_path / "first"), pytest.raises(locks.Busy), first:
        pass
    start = time.monotonic()
    with held(tmp_path / "second"), pytest.raises(locks.Busy), second:
        pass
    assert time.monotonic() - start < 10, "nothing is left of it"
    assert locks.remaining(deadline) == 0


def test_what_is_left_after_the_locks_is_enough_for_xenstore() -> None:
    assert LONGEST_SECONDS < script._LAST_SECONDS < LIBXL_SECONDS


def test_xenstore_is_not_waited_for_beyond_the_end(store_folder: Path) -> None:
    (store_folder / "refuse-xenstore-read").touch()  # it hangs
    start = time.monotonic()
    with pytest.raises(MissingDependency, match="did not answer within 1 s"):
        Xenstore(until=start).read("/local/domain/1/name")
    assert time.monotonic() - start < 5


def test_the_lock_of_xens_scripts_is_not_to_be_opened_by_others(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        with XenLock(str(tmp_path / "locks"), "pickifb", time.monotonic()):
            assert (tmp_path / "locks/pickifb").stat().st_mode & 0o777 == 0o600
            assert (tmp_path / "locks").stat().st_mode & 0o777 == 0o755
    finally:
        os.umask(old)
    assert not (tmp_path / "locks/pickifb").exists()
