"""A host's desired state: what a look at many vifs costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest

from remusnet.api import host
from remusnet.host.desired import all_xen_vifs, candidates, orders
from remusnet.kernel.change import steps, verify
from remusnet.kernel.change.steps import completed, look_at, step_of
from remusnet.kernel.state import status
from remusnet.kernel.state.observe import Seen
from remusnet.kernel.state.receipt import Phase, Receipts
from remusnet.plan.terms import Terms
from remusnet.policy.presets import TCP_ONLY
from tests.lib.paper_kernel import PaperKernel

DESIRED = all_xen_vifs(TCP_ONLY, Terms())


class Counted(dict[str, Any]):
    """Knows how often somebody has gone through all of it."""

    passes = 0

    def __iter__(self) -> Iterator[str]:
        self.passes += 1
        return super().__iter__()

    def values(self) -> Any:
        self.passes += 1
        return super().values()

    def items(self) -> Any:
        self.passes += 1
        return super().items()


class Nobody:
    """No netlink: what is seen is given."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


class Host:
    """So many protected vifs on a kernel on paper, and how often its tables are gone through."""

    def __init__(self, number: int, run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.run_dir = run_dir
        self._devices = Counted()
        self._kernel = PaperKernel(tuple(f"vif{at}.0" for at in range(1, number + 1)))
        self._look()
        read = Receipts.read

        def counted(store: Receipts) -> tuple[dict[str, Any], tuple[str, ...]]:
            found, damaged = read(store)
            self.receipts = Counted(found)
            return self.receipts, damaged

        monkeypatch.setattr(Receipts, "read", counted)
        for module in (host, steps, status, verify):
            monkeypatch.setattr(module, "observe", self._observe)
        monkeypatch.setattr(host, "Netlink", Nobody)
        monkeypatch.setattr(status, "roots", lambda _netlink: self.seen.roots)
        self.passes_of_steps = self._apply()

    def passes(self) -> int:
        """Those through the devices and through the receipts since the last look."""
        return self._devices.passes + self.receipts.passes

    def command(self, name: str) -> int:
        """The passes of a command."""
        self._look()
        if name == "diff":
            found = host.difference(DESIRED, self.run_dir)
            assert not any(each.operations for each in found.foreseen)
        elif name == "verify":
            assert all(not each.differences for each in verify.verify(run_dir=self.run_dir)[0])
        else:
            assert status.status(run_dir=self.run_dir, netlink=Nobody())[0]  # type: ignore[arg-type]
        return self.passes()

    def _look(self) -> None:
        seen = self._kernel.seen()
        self._devices = Counted(seen.devices)
        self.seen: Seen = replace(seen, devices=self._devices)
        self.receipts = Counted()

    def _observe(self, _netlink: object, _vifs: Sequence[str] | None = None) -> Seen:
        return self.seen

    def _apply(self) -> int:
        wanted = tuple(orders(DESIRED.wishes(candidates(self.seen, {}))))
        look = look_at(None, self.run_dir, [each.plan for each in wanted])  # type: ignore[arg-type]
        done = [step_of(each, look) for each in wanted]
        passes = self.passes()
        for step in done:
            for operation in step.operations:
                self._kernel.do(operation)
        now = self._kernel.seen()
        receipts = (each for step in done for each in completed(step, look, now))
        Receipts(self.run_dir).write(receipts, Phase.APPLIED)
        return passes


@pytest.mark.parametrize("name", ["diff", "verify", "status"])
def test_a_command_goes_as_often_through_all_devices_and_receipts_for_many_vifs_as_for_few(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table of them made for each vif takes four times as long for twice the vifs."""
    seen = []
    for number in (3, 12):
        with monkeypatch.context() as patched:
            there = Host(number, tmp_path / f"run{number}", patched)
            seen.append((there.passes_of_steps, there.command(name)))
    assert seen[0] == seen[1]
