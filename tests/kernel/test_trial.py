"""remusnet try: whatever ends the command, its terminal or its guard, the old state comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pytest

from remusnet.api.protection import PlanOptions
from remusnet.api.trying import Trying, start
from remusnet.errors import CheckFailed, Conflict
from remusnet.host.netbuf.places import OWNER_SUFFIX
from remusnet.host.trial import begin, claim, confirm, settle, trials
from remusnet.kernel.run_dir import driver_lock
from remusnet.policy import PRESETS
from remusnet.results.trial import Ending
from tests.kernel.lab.bed import VIF
from tests.kernel.lab.protection import BUFFER, INTERVAL_NS, RATE, Site
from tests.kernel.lab.wait import wait_until

pytestmark = pytest.mark.uml(timeout=240)

SHORT_NS = 2_000_000_000
LONG_NS = 600_000_000_000
# Small frames can cost 12.5 times the limit: no more than half of this kernel's memory.
LIMIT = 5_000_000
LIMITED = ("--limit", "5MB")
TRIED = ("try", VIF, "--policy", "hold-all", *LIMITED)


def options(policy: str = "hold-all") -> PlanOptions:
    return PlanOptions(PRESETS[policy], INTERVAL_NS, RATE, limit=LIMIT)


@contextmanager
def tried(site: Site, timeout_ns: int, policy: str = "hold-all") -> Iterator[Trying]:
    """As the command does it, in this process; whatever it leaves is killed."""
    chosen = options(policy)
    with site.bed.dom0.entered():
        begun = start(chosen, chosen.plan([VIF]), site.run_dir, timeout_ns)
        assert isinstance(begun, Trying)
        try:
            yield begun
        finally:
            try:
                os.kill(begun.guard.number, signal.SIGKILL)
                os.waitpid(begun.guard.number, 0)
            except (ProcessLookupError, ChildProcessError):
                pass
            os.close(begun.guard.pipe)


def policy_now(site: Site) -> str | None:
    found = site.verify()
    if not found:
        return None
    (only,) = found
    assert only.protected.terms is not None
    return only.protected.terms.policy


def files(site: Site) -> set[str]:
    return site.files() - {f"{BUFFER}.json"}


def program(site: Site, *words: str) -> list[str]:
    """The command line of remusnet in Dom0."""
    inside = ["ip", "netns", "exec", site.bed.dom0.name]
    return [*inside, sys.executable, "-m", "remusnet", *words, "--run-dir", str(site.run_dir)]


@pytest.fixture
def protected(site: Site) -> Iterator[Site]:
    """Held by ``tcp-only`` before, and at the end of the test."""
    site.apply(site.plan())
    looks = site.looks()
    yield site
    assert policy_now(site) == "tcp-only"
    assert site.agrees()
    assert site.looks()["devices"] == looks["devices"]
    assert files(site) == set()
    site.remove()


def test_without_a_word_it_goes_back_at_the_deadline(protected: Site) -> None:
    done = subprocess.run(
        program(protected, *TRIED, "--timeout", "1s"),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout.startswith(
        f"{VIF}: on trial (policy hold-all); goes back to policy tcp-only"
    )
    assert done.stderr.splitlines()[-1] == (f"remusnet: error: {VIF}: gone back to policy tcp-only")


def test_a_confirmation_from_elsewhere_keeps_it(site: Site) -> None:
    site.apply(site.plan())
    with tried(site, LONG_NS) as begun:
        assert policy_now(site) == "hold-all"
        code, out, _ = site.program("confirm", VIF)
        assert (code, out) == (0, f"{VIF}: confirmed\n")
        assert begun.ended().ending is Ending.CONFIRMED
    with pytest.raises(CheckFailed, match="not on trial"):
        confirm([VIF], site.run_dir)
    assert (policy_now(site), files(site)) == ("hold-all", set())
    site.remove()


def test_enter_keeps_it_and_yes_does_not_ask(site: Site) -> None:
    site.apply(site.plan())
    words = program(site, *TRIED)
    with pexpect.spawn(words[0], words[1:], encoding="utf-8", timeout=60) as terminal:
        terminal.expect("Enter keeps it")
        terminal.sendline()
        terminal.expect(f"{VIF}: confirmed")
        terminal.wait()
        assert terminal.exitstatus == 0
    assert policy_now(site) == "hold-all"
    assert site.program("try", VIF, *LIMITED, "--yes")[0] == 0
    assert policy_now(site) == "tcp-only"
    site.remove()


def test_a_terminal_that_is_closed_lets_it_go_back_at_the_deadline(protected: Site) -> None:
    words = program(protected, *TRIED, "--timeout", "4s")
    terminal = pexpect.spawn(words[0], words[1:], encoding="utf-8", timeout=60)
    terminal.expect("Enter keeps it")
    terminal.close(force=True)  # SIGHUP to all of its session
    assert policy_now(protected) == "hold-all"
    wait_until(lambda: policy_now(protected) == "tcp-only", "gone back", 20)
    wait_until(lambda: not files(protected), "the trial forgotten")


def test_after_a_kill_of_the_whole_session_it_goes_back_at_the_deadline(protected: Site) -> None:
    """As when sshd ends what a lost connection has left."""
    words = program(protected, *TRIED, "--timeout", "4s")
    with subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True) as command:
        assert command.stdout is not None
        assert command.stdout.readline().startswith(b"vif1.0: on trial")
        os.killpg(command.pid, signal.SIGKILL)
    assert policy_now(protected) == "hold-all"
    wait_until(lambda: policy_now(protected) == "tcp-only", "gone back", 20)
    wait_until(lambda: not files(protected), "the trial forgotten")


def test_where_the_guard_is_killed_the_command_goes_back_at_once(protected: Site) -> None:
    with tried(protected, LONG_NS) as begun:
        os.kill(begun.guard.number, signal.SIGKILL)
        assert begun.ended().ending is Ending.BACK


def test_where_both_are_killed_the_next_command_goes_back(protected: Site) -> None:
    with tried(protected, LONG_NS) as begun:
        os.kill(begun.guard.number, signal.SIGKILL)
        os.waitpid(begun.guard.number, 0)
        code, out, err = protected.program("status")
    assert code == 0
    assert err.startswith(f"remusnet: warning: {VIF}: gone back to policy tcp-only (its guard")
    assert "policy     tcp-only" in out


def test_where_both_are_killed_a_confirmation_in_time_still_counts(site: Site) -> None:
    site.apply(site.plan())
    with tried(site, LONG_NS) as begun:
        os.kill(begun.guard.number, signal.SIGKILL)
        os.waitpid(begun.guard.number, 0)
        assert site.program("confirm")[0] == 0
        assert site.program("status")[2] == ""
    assert policy_now(site) == "hold-all"
    site.remove()


def test_a_guard_that_is_killed_while_it_goes_back_is_followed_by_the_next(protected: Site) -> None:
    """It has decided, and done nothing yet, or half of it."""
    plan = options().plan([VIF])
    with protected.bed.dom0.entered():
        trial, lock = begin(plan, protected.run_dir, LONG_NS)
        protected.apply(plan)
        assert claim(trial, protected.run_dir)
        assert settle(protected.run_dir) == ()  # while somebody has its lock
        os.close(lock)
        with pytest.raises(CheckFailed, match="nothing is on trial"):
            confirm((), protected.run_dir)
        (outcome,) = settle(protected.run_dir)
    assert outcome.ending is Ending.BACK


def test_meanwhile_nobody_else_changes_it(protected: Site) -> None:
    with tried(protected, LONG_NS) as begun:
        for words in (("apply", VIF, *LIMITED), ("remove", VIF), TRIED):
            code, _, err = protected.program(*words)
            assert (code, "is on trial, and goes back in" in err) == (5, True)
        begun.guard.go_back_now()
        assert begun.ended().ending is Ending.BACK


def test_back_to_unprotected_it_goes_unless_something_drives_the_plug(site: Site) -> None:
    with tried(site, SHORT_NS) as begun:
        assert begun.ended().ending is Ending.BACK
        assert (policy_now(site), site.files()) == (None, set())
    with driver_lock(site.run_dir, BUFFER), tried(site, SHORT_NS) as begun:
        outcome = begun.ended()
        assert outcome.ending is Ending.STAYS
        assert f"the plug of {BUFFER} is driven" in outcome.problem
        assert policy_now(site) == "hold-all"
        assert list(trials(site.run_dir)) == []
    site.remove()


def test_what_the_netbuf_script_has_set_up_is_not_tried(site: Site) -> None:
    site.apply(site.plan())
    owner: Path = site.run_dir / f"{BUFFER}{OWNER_SUFFIX}"
    owner.write_text("/libxl/1/remus/netbuf/0\n")
    with pytest.raises(Conflict, match="which belongs to xl"), tried(site, LONG_NS):
        pass
    assert policy_now(site) == "tcp-only"
    owner.unlink()
    site.remove()


def test_a_change_that_fails_leaves_no_trial(site: Site) -> None:
    site.bed.dom0.tc(f"qdisc add dev {VIF} ingress")
    site.bed.dom0.tc(f"filter add dev {VIF} ingress pref 7 protocol ip matchall action ok")
    begun = time.monotonic()
    with pytest.raises(Conflict, match="not remusnet's"), tried(site, LONG_NS):
        pass
    assert time.monotonic() - begun < 60  # it does not wait for the deadline
    assert site.files() == set()
    site.bed.dom0.tc(f"qdisc delete dev {VIF} ingress")
