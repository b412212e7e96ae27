"""A memory budget on a small host: a guest that floods small frames can't exhaust it.

The kernel of these tests has 256 MB, of which it leaves some 231. pytest and the commands take half
of them; the flood has a kernel to itself, where pytest has imported no other tests.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from remusnet.kernel.wire.messages import PlugAction
from tests.kernel.lab.bed import VIF
from tests.kernel.lab.mmsg import SLOTS, Batch
from tests.kernel.lab.protection import BUFFER, Site
from tests.lib.long import count

BUDGET = 64_000_000
LIMIT = 5_120_000
SMALL = bytes.fromhex("02000000000202000000000188b5") + bytes(46)
SECONDS = count(sample=3, long=60)
_PATIENCE_S = 60


def buffers() -> int:
    """Bytes of memory in the kernel's own objects, as frames are; files that are read are not."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return int(dict(line.split(":") for line in lines)["SUnreclaim"].split()[0]) * 1024


def killed_for_memory() -> int:
    lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    return int(dict(line.split() for line in lines)["oom_kill"])


@pytest.mark.uml(timeout=120 + 3 * SECONDS, alone=True)
def test_a_guest_that_floods_small_frames_costs_no_more_than_the_budget(site: Site) -> None:
    """Nobody releases meanwhile: no commit comes, and the flood goes on."""
    code, out, err = site.program("apply", VIF, "--policy", "hold-all", "--memory", "64MB")
    assert (code, "limit 5.1 MB" in out) == (0, True), err
    site.plug(PlugAction.BUFFER)
    assert len(SMALL) == 60
    batch = Batch([SMALL] * SLOTS)
    kills, before = killed_for_memory(), buffers()
    most = before
    with site.bed.from_guest() as guest:
        begun = time.monotonic()
        # On a busy machine the plug may take longer to fill.
        while (took := time.monotonic() - begun) < SECONDS or (
            took < SECONDS + _PATIENCE_S and not site.bed.qdisc(BUFFER).drops
        ):
            guest.send_batch(batch)
            most = max(most, buffers())
    held = site.bed.qdisc(BUFFER)
    print(f"{held}, {most - before} bytes of memory in {took:.0f} s")
    assert (held.backlog, held.qlen) == (LIMIT // 60 * 60, LIMIT // 60)
    assert held.drops > 0
    # The rest is what the allocator keeps, and frames that are on their way to the plug.
    assert BUDGET / 2 < most - before < BUDGET + 4_000_000
    assert killed_for_memory() == kills
    assert site.program("remove", VIF)[0] == 0


@pytest.mark.uml
def test_what_could_cost_half_of_the_memory_is_refused_unless_forced(site: Site) -> None:
    code, _, err = site.program("apply", VIF)
    assert code == 5
    assert err.startswith("remusnet: error: small frames can cost 625.0 MB, ")
    assert "--force goes on" in err
    assert not site.files()
    code, _, err = site.program("apply", VIF, "--force")
    assert (code, "warning: small frames can cost" in err) == (0, True)
    assert site.program("remove", VIF)[0] == 0
