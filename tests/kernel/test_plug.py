"""The plug's API and command, on a kernel that has plugs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from remusnet.errors import Conflict, InvalidInput
from remusnet.kernel.plug import Plug
from remusnet.kernel.plug_status import plug_status
from remusnet.kernel.run_dir import driver_of
from remusnet.kernel.state.drivers import PlugState
from tests.kernel.lab.bed import VIF, Bed
from tests.kernel.lab.packets import stamped
from tests.kernel.lab.wait import wait_until
from tests.lib.program import Run, runner

pytestmark = pytest.mark.uml

SIZE = 100
FRAME = (bytes.fromhex("ffffffffffff 020000000001 88b5") + bytes(86))[:SIZE]


@pytest.fixture
def held(bed: Bed) -> Iterator[Bed]:
    """The bed, with all that the guest sends held in the plug of ifb0; the test is in Dom0."""
    bed.add_ifb("ifb0")
    bed.dom0.tc("qdisc add dev ifb0 root plug limit 1000000")
    bed.dom0.tc(f"qdisc add dev {VIF} ingress")
    bed.dom0.tc(f"filter add dev {VIF} ingress matchall action mirred egress redirect dev ifb0")
    with bed.dom0.entered():
        yield bed


@pytest.fixture
def remusnet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """The program in Dom0: ``remusnet("plug", "ifb0", "status")``; exit code, output and errors.

    In this process: a new one takes a second. No call keeps anything for the next.
    """

    def run(*args: str) -> tuple[int, str, str]:
        return runner(capsys)(*args, "--run-dir", tmp_path)

    return run


def status(remusnet: Run) -> Any:
    return json.loads(remusnet("plug", "ifb0", "status", "--json")[1])


# The API


def test_an_epoch_leaves_with_its_release_and_not_before(held: Bed, tmp_path: Path) -> None:
    with held.from_guest() as guest, held.at_client() as client:
        with Plug("ifb0", run_dir=tmp_path) as plug:
            plug.release_all()
            plug.buffer()
            guest.send([stamped(FRAME, 1), stamped(FRAME, 2)])
            held.wait_for_held("ifb0", 2)
            plug.buffer()
            guest.send([stamped(FRAME, 3)])
            held.wait_for_held("ifb0", 3)
            assert client.stamps() == []
            plug.release()
            assert client.expect(2) == [1, 2]
            found = plug.status()
            assert (found.packets, found.backlog, found.drops) == (1, SIZE, 0)
            assert found.record.state is PlugState.BUFFERING
        assert client.expect(1) == [3]


def test_leaving_by_an_error_opens_the_plug_too(held: Bed, tmp_path: Path) -> None:
    with held.from_guest() as guest, held.at_client() as client:
        guest.send([stamped(FRAME, 1)])
        held.wait_for_held("ifb0", 1)
        with pytest.raises(ZeroDivisionError), Plug("ifb0", run_dir=tmp_path):
            raise ZeroDivisionError
        assert client.expect(1) == [1]


def test_a_limit_drops_what_exceeds_it(held: Bed, tmp_path: Path) -> None:
    with held.from_guest() as guest, Plug("ifb0", run_dir=tmp_path) as plug:
        plug.set_limit(2 * SIZE)
        guest.send(stamped(FRAME, number) for number in range(3))
        wait_until(lambda: plug.status().drops == 1, "a drop")
        assert (plug.status().packets, plug.record.limit) == (2, 2 * SIZE)


def test_a_second_buffer_is_refused_unless_forced(held: Bed, tmp_path: Path) -> None:
    with Plug("ifb0", run_dir=tmp_path) as plug:
        plug.buffer()
        with pytest.raises(Conflict, match="would strand its frames"):
            plug.buffer()
    with Plug("ifb0", force=True, run_dir=tmp_path) as plug:
        plug.buffer()
        plug.buffer()
        assert not plug.record.stranded  # from an open plug, the first buffer closes no epoch
        plug.buffer()
        assert plug.record.stranded


def test_the_next_driver_knows_the_state_that_the_last_one_left(held: Bed, tmp_path: Path) -> None:
    first = Plug("ifb0", run_dir=tmp_path)
    first.buffer()
    first.set_limit(5000)
    first.close()
    second = Plug("ifb0", run_dir=tmp_path)
    assert (second.state, second.record.limit) == (PlugState.WAITING, 5000)
    second.close()


def test_a_record_is_not_believed_of_another_plug(held: Bed, tmp_path: Path) -> None:
    first = Plug("ifb0", run_dir=tmp_path)
    first.buffer()
    first.close()
    held.dom0.tc("qdisc delete dev ifb0 root")
    held.dom0.tc("qdisc add dev ifb0 root plug limit 1000000")
    assert plug_status("ifb0", tmp_path).record.state is PlugState.UNKNOWN


def test_one_plug_has_one_driver(held: Bed, tmp_path: Path) -> None:
    with Plug("ifb0", run_dir=tmp_path):
        assert driver_of(tmp_path, "ifb0") == f" by process {os.getpid()}"
        with pytest.raises(Conflict, match=f"driven already by process {os.getpid()}"):
            Plug("ifb0", run_dir=tmp_path)
        Plug("ifb0", lock=False, run_dir=tmp_path).close()
    assert driver_of(tmp_path, "ifb0") == ""


def test_a_killed_driver_frees_its_lock_and_leaves_the_plug_closed(
    held: Bed, tmp_path: Path
) -> None:
    code = f"""
import signal
from pathlib import Path
from remusnet.kernel.plug import Plug
plug = Plug("ifb0", run_dir=Path({str(tmp_path)!r}))
plug.release_all()
plug.buffer()
print(flush=True)
signal.pause()
"""
    with (
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as driver,
        held.from_guest() as guest,
        held.at_client() as client,
    ):
        assert driver.stdout is not None
        driver.stdout.readline()
        assert driver_of(tmp_path, "ifb0") == f" by process {driver.pid}"
        driver.send_signal(signal.SIGKILL)
        driver.wait(10)
        guest.send([stamped(FRAME, 1)])
        held.wait_for_held("ifb0", 1)
        assert client.stamps() == []
        with Plug("ifb0", run_dir=tmp_path) as plug:
            assert plug.state is PlugState.UNKNOWN
        assert client.expect(1) == [1]


def test_a_plug_that_goes_away_is_told_by_what_is_gone(held: Bed, tmp_path: Path) -> None:
    plug = Plug("ifb0", run_dir=tmp_path)
    held.dom0.tc("qdisc replace dev ifb0 root pfifo")
    with pytest.raises(Conflict, match="somebody has replaced or deleted its plug"):
        plug.buffer()
    # Without the handle in the message the kernel would make a plug of it, of limit 0.
    assert held.qdisc("ifb0").kind == "pfifo"
    held.dom0.tc("qdisc delete dev ifb0 root")
    with pytest.raises(Conflict, match="somebody has replaced or deleted its plug"):
        plug.buffer()
    held.dom0.ip("link delete ifb0")
    with pytest.raises(InvalidInput, match="'ifb0' is gone"):
        plug.release()
    plug.close()


# The command


def test_each_call_knows_what_the_one_before_has_done(held: Bed, remusnet: Run) -> None:
    with held.from_guest() as guest, held.at_client() as client:
        guest.send([stamped(FRAME, 1)])
        held.wait_for_held("ifb0", 1)
        assert remusnet("plug", "ifb0", "buffer") == (0, "", "")
        guest.send([stamped(FRAME, 2)])
        held.wait_for_held("ifb0", 2)
        code, out, err = remusnet("plug", "ifb0", "buffer")
        assert (code, out) == (5, "")
        assert err == (
            "remusnet: error: an epoch on ifb0 still waits for its release: a second buffer would "
            "strand its frames; release it first\n"
        )
        assert status(remusnet) == {
            "device": "ifb0",
            "kernel": {"backlog": 2 * SIZE, "packets": 2, "drops": 0, "passed": 0},
            "record": {
                "state": "waiting",
                "limit": None,
                "buffers": 1,
                "releases": 0,
                "stranded": False,
            },
            "driver": None,
        }
        assert remusnet("plug", "ifb0", "release") == (0, "", "")
        assert client.expect(1) == [1]
        assert remusnet("plug", "ifb0", "release-all") == (0, "", "")
        assert client.expect(1) == [2]
        assert status(remusnet)["record"]["state"] == "open"


def test_a_forced_buffer_is_remembered_as_one_that_strands(held: Bed, remusnet: Run) -> None:
    for args in (["buffer"], ["buffer", "--force"], ["limit", "5kB"]):
        assert remusnet("plug", "ifb0", *args) == (0, "", "")
    shown = remusnet("plug", "ifb0", "status")[1]
    assert "waiting, frames stranded until a release-all (by our record" in shown
    assert "limit    5000 B (by our record)" in shown


@pytest.mark.parametrize(
    ("device", "code", "said"),
    [
        ("ifb7", 2, "no such device: 'ifb7'"),
        (VIF, 5, f'{VIF} is noqueue, no plug: "remusnet apply" makes one'),
    ],
)
def test_what_is_no_plug_is_refused(
    held: Bed, remusnet: Run, device: str, code: int, said: str
) -> None:
    found, out, err = remusnet("plug", device, "buffer")
    assert (found, out) == (code, "")
    assert said in err


def test_without_rights_it_says_so_in_one_line(held: Bed, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    done = subprocess.run(
        [sys.executable, "-m", "remusnet", "plug", "ifb0", "buffer", "--run-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        user=65534,
    )
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1
    assert "run it as root" in done.stderr


def test_it_does_not_come_between_a_driver_and_its_plug(
    held: Bed, remusnet: Run, tmp_path: Path
) -> None:
    with Plug("ifb0", run_dir=tmp_path):
        code, _, err = remusnet("plug", "ifb0", "release-all")
        assert code == 5
        assert f"driven already by process {os.getpid()}" in err
        assert status(remusnet)["driver"] == f"process {os.getpid()}"
