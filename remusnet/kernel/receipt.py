"""Receipts: what was applied, kept so that it can be verified and removed.

One file for each buffer device, written as an intent before the first operation and completed after
the last one. The kernel's own marks (`remusnet.kernel.ownership`) say what is ours without them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

import remusnet
from remusnet.classify.filters import Classification
from remusnet.errors import InvalidInput, NotPermitted, RemusnetError, quoted
from remusnet.kernel.state import Seen
from remusnet.plan.build import CLASSIFIERS
from remusnet.plan.names import check_device_name
from remusnet.plan.plan import Plan, Protection
from remusnet.policy.presets import PRESETS
from remusnet.policy.render import to_toml
from remusnet.policy.toml import load

_FORMAT = 1
_SUFFIX = ".json"
_LARGEST = 4 << 20


MARKS = ("index", "handle", "queue", "drops", "held", "taken", "refused", "told")
"""What a receipt notes of the kernel, not of the plan."""


class Phase(StrEnum):
    """How far remusnet has come. Only after a kill is a receipt found that says it is under way."""

    APPLYING = "applying"
    APPLIED = "applied"
    REMOVING = "removing"


class DamagedReceipt(InvalidInput):
    """A receipt that nobody can have finished writing: it is ignored, and said so."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What protects ``vifs`` by the buffer device ``buffer``.

    ``policy``: the whole policy, as TOML. ``limit``: bytes; ``rate``: bits a second;
    ``interval_ns``: the checkpoint interval, ``interval_from``: who says so, empty for the user.
    ``shared``: the vifs that had an ingress or clsact qdisc before us, which stays. ``sink``: what
    held frames are mirrored to, empty for none. ``version``: the remusnet that wrote it.

    ``index``, ``queue``: number and txqueuelen of the buffer device; ``handle``: that of its plug;
    0 where nobody has noted them. ``drops``, ``held``: the plug's drops, and the bytes in it, when
    the filters were made; ``taken``, ``refused``: what filters before them had counted (see
    `remusnet.kernel.counts`). ``told``: the plug's drops when it was told its limit.
    """

    phase: Phase
    buffer: str
    vifs: tuple[str, ...]
    shared: tuple[str, ...]
    policy_name: str
    policy: str
    classifier: str
    limit: int
    rate: int
    interval_ns: int
    sink: str = ""
    version: str = remusnet.__version__
    interval_from: str = ""
    index: int = 0
    handle: int = 0
    queue: int = 0
    drops: int = 0
    held: int = 0
    taken: int = 0
    refused: int = 0
    told: int = 0

    def plan(self) -> Plan:
        """The plan that was applied. Raises InvalidInput where this version can't make it."""
        protection = Protection(self.buffer, self.vifs, self.sink)
        return Plan(_classification(self.policy, self.classifier), (protection,), self.limit)

    def to_json(self) -> dict[str, object]:
        """The content of its file."""
        return {"format": _FORMAT, **asdict(self)}


def receipts_of(
    plan: Plan,
    *,
    rate: int,
    interval_ns: int,
    shared: Mapping[str, bool],
    interval_from: str = "",
) -> tuple[Receipt, ...]:
    """The receipts of ``plan`` once it is applied, one for each buffer device."""
    policy = plan.classification.policy
    text = to_toml(policy)
    return tuple(
        Receipt(
            phase=Phase.APPLIED,
            buffer=each.buffer,
            vifs=each.vifs,
            shared=tuple(vif for vif in each.vifs if shared.get(vif)),
            policy_name=policy.name,
            policy=text,
            classifier=plan.classification.classifier,
            limit=plan.limit,
            rate=rate,
            interval_ns=interval_ns,
            sink=each.sink,
            interval_from=interval_from,
        )
        for each in plan.protections
    )


def noted(
    receipt: Receipt,
    seen: Seen,
    *,
    before: Receipt | None,
    refiltered: tuple[int, int] | None = None,
    told: bool = False,
) -> Receipt:
    """``receipt`` with what was ``seen`` of its buffer device and plug.

    ``before``: the receipt that it takes the place of; ``refiltered``: what the filters before had
    taken and refused, where they are new; ``told``: whether the plug was told its limit just now.
    """
    device, root = seen.devices.get(receipt.buffer), seen.root(receipt.buffer)
    if device is None or root is None:
        return receipt
    now = root.counters
    receipt = replace(receipt, index=device.index, handle=root.handle, queue=device.queue)
    if before is not None:
        receipt = replace(receipt, taken=before.taken, refused=before.refused)
        if before.handle == root.handle:
            receipt = replace(receipt, drops=before.drops, held=before.held, told=before.told)
    if refiltered is not None:
        taken, refused = refiltered
        receipt = replace(receipt, drops=now.drops, held=now.backlog, taken=taken, refused=refused)
    return replace(receipt, told=now.drops) if told else receipt


def has_new_plug(receipt: Receipt, seen: Seen) -> bool:
    """Whether another plug is at the root of the buffer device than was applied."""
    root = seen.root(receipt.buffer)
    return bool(receipt.handle and root and root.handle != receipt.handle)


def has_new_queue(receipt: Receipt, seen: Seen) -> bool:
    """Whether somebody has changed the txqueuelen of the buffer device, which purges its plug."""
    device = seen.devices.get(receipt.buffer)
    return bool(receipt.queue and device and device.queue != receipt.queue)


class Receipts:
    """The receipts in a folder, which appears with the first one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self) -> tuple[dict[str, Receipt], tuple[str, ...]]:
        """All receipts by their buffer device, and one sentence for each damaged one.

        Raises NotPermitted.
        """
        found: dict[str, Receipt] = {}
        damaged: list[str] = []
        try:
            paths = sorted(self.folder.glob(f"*{_SUFFIX}"))
            for path in paths:
                try:
                    receipt = _read(path)
                except DamagedReceipt as error:
                    damaged.append(str(error))
                else:
                    found[receipt.buffer] = receipt
        except PermissionError as error:
            raise _denied(self.folder) from error
        return found, tuple(damaged)

    def write(self, receipts: Iterable[Receipt], phase: Phase) -> None:
        """Writes each as one step: who reads finds the old file or the new one.

        Raises NotPermitted, or InvalidInput where the folder can't be written.
        """
        try:
            self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            for receipt in receipts:
                path = self._path(receipt.buffer)
                content = json.dumps(replace(receipt, phase=phase).to_json(), indent=1) + "\n"
                new = path.with_suffix(".new")
                with new.open("w", encoding="utf-8") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                new.rename(path)
        except PermissionError as error:
            raise _denied(self.folder) from error
        except OSError as error:
            raise InvalidInput(f"{quoted(str(self.folder))}: {error.strerror}") from error

    def delete(self, buffers: Iterable[str]) -> None:
        """Deletes the receipts of ``buffers``, damaged and half-written ones too."""
        for buffer in buffers:
            path = self._path(buffer)
            path.unlink(missing_ok=True)
            path.with_suffix(".new").unlink(missing_ok=True)

    def _path(self, buffer: str) -> Path:
        return self.folder / f"{check_device_name(buffer)}{_SUFFIX}"


def _read(path: Path) -> Receipt:
    try:
        with path.open("rb") as file:
            data = json.loads(file.read(_LARGEST))
        if data.pop("format") != _FORMAT:
            raise ValueError("written by another version of remusnet")
        data |= {name: tuple(map(check_device_name, data[name])) for name in ("vifs", "shared")}
        receipt = Receipt(**(data | {"phase": Phase(data["phase"])}))
        if receipt.sink:
            check_device_name(receipt.sink)
        if path.name != f"{check_device_name(receipt.buffer)}{_SUFFIX}":
            raise ValueError("not of the buffer device that it is named after")
        receipt.plan()
    except PermissionError:
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RemusnetError) as error:
        raise DamagedReceipt(f"damaged receipt {quoted(str(path))}: {error}") from error
    return receipt


@lru_cache
def _classification(text: str, classifier: str) -> Classification:
    """``text`` compiled, once for all the receipts that say the same."""
    shipped = {to_toml(policy): policy for policy in PRESETS.values()}
    # A file can't say all that the shipped policies do.
    policy = shipped[text] if text in shipped else load(text, "receipt")
    return CLASSIFIERS[classifier](policy)


def _denied(folder: Path) -> NotPermitted:
    return NotPermitted(f"may not use {quoted(str(folder))}: run it as root, or give --run-dir")
