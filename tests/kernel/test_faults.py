"""apply and remove when the kernel fails, when they are killed, and when others interfere."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from remusnet.errors import RemusnetError
from remusnet.kernel.netlink import Netlink
from tests.kernel.lab.bed import Bed
from tests.kernel.lab.protection import (
    EACH,
    Site,
    dies,
    dying,
    failing,
    killed,
    refusing,
    stopping,
)

pytestmark = pytest.mark.uml(timeout=240)


@pytest.fixture
def site(bed: Bed, tmp_path: Path) -> Site:
    return Site(bed, tmp_path / "run")


class Killer:
    """Kills something after each of the messages that it sends, one run for each."""

    def __init__(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        self._site = site
        self._monkeypatch = monkeypatch

    def __call__(self, run: Callable[[Netlink], object], *, really: bool = False) -> Iterator[int]:
        """After each kill the number of the message (from 1). ``really``: a process of its own."""
        for at in count(1):

            def until_killed(at: int = at) -> None:
                with failing(self._site, at, dying if really else stopping) as netlink:
                    run(netlink)

            if not (dies(until_killed) if really else killed(until_killed, self._monkeypatch)):
                return
            yield at


@pytest.fixture
def kills(site: Site, monkeypatch: pytest.MonkeyPatch) -> Killer:
    return Killer(site, monkeypatch)


@pytest.mark.parametrize(("policy", "classifier"), EACH)
def test_a_failure_of_any_operation_leaves_everything_as_before(
    site: Site, policy: str, classifier: str
) -> None:
    plan = site.plan(policy, classifier)
    before = site.looks()
    for at, operation in enumerate(plan.operations, start=1):
        with (
            failing(site, at, refusing(errno.ENOMEM)) as netlink,
            pytest.raises(RemusnetError, match=r"ENOMEM.*injected") as caught,
        ):
            site.apply(plan, netlink)
        assert operation.kind.replace("-", " ") in str(caught.value)
        assert (site.looks(), site.files()) == (before, set())
    print(f"{policy}, {classifier}: {len(plan.operations)} operations failed once each")


@pytest.mark.parametrize(("policy", "classifier"), EACH)
def test_a_kill_after_any_operation_can_be_repaired(
    site: Site, kills: Killer, policy: str, classifier: str
) -> None:
    plan = site.plan(policy, classifier)
    clean = site.looks()
    at = 0
    for at in kills(lambda netlink: site.apply(plan, netlink)):
        assert not site.agrees()
        if at % 2:
            site.apply(plan)
            assert site.agrees()
        site.remove()
        assert (site.looks(), site.files()) == (clean, set())
    assert at == len(plan.operations)
    print(f"{policy}, {classifier}: killed at {at} points, repaired at each")


@pytest.mark.parametrize(("policy", "classifier"), EACH)
def test_a_kill_within_remove_can_be_repaired(
    site: Site, kills: Killer, policy: str, classifier: str
) -> None:
    plan = site.plan(policy, classifier)
    clean = site.looks()
    site.apply(plan)
    at = 0
    for at in kills(lambda netlink: site.remove(netlink=netlink)):
        assert not site.agrees()
        if at % 2:
            site.remove()
            assert (site.looks(), site.files()) == (clean, set())
        site.apply(plan)
        assert site.agrees()
    assert (site.looks(), site.files()) == (clean, set())
    print(f"{policy}, {classifier}: remove killed at {at} points, repaired at each")


def test_a_process_that_is_really_killed_leaves_the_same(site: Site, kills: Killer) -> None:
    """The tests above only stop short; here the process is gone, its lock with it."""
    plan = site.plan("hold-all")
    seen: list[list[object]] = [[], []]
    for really in (False, True):
        for _ in kills(lambda netlink: site.apply(plan, netlink), really=really):
            seen[really].append((site.looks(), site.files()))
            site.remove()
        site.remove()
    assert seen[False] == seen[True]
    assert len(seen[True]) == len(plan.operations)
