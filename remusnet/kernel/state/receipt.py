"""Receipts: they keep what apply has done, so that verify and remove know it.

One file for each buffer device, written as an intent before the first operation and completed after
the last one. The kernel's own marks (`remusnet.kernel.state.ownership`) say what is ours without
them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

import remusnet
from remusnet.classify.filters import Classification
from remusnet.errors import InvalidInput, RemusnetError, quoted
from remusnet.kernel.own_folder import NEW, OwnFolder
from remusnet.kernel.run_dir import Problems, folder_error
from remusnet.kernel.state.observe import Seen
from remusnet.plan.devices import check_device_name
from remusnet.plan.plan import CLASSIFIERS, Plan, Protection
from remusnet.policy.presets import PRESETS
from remusnet.policy.toml import load, to_toml

_FORMAT = 1
SUFFIX = ".json"
"""Of the file of a receipt, behind the name of the buffer device."""
_LARGEST = 4 << 20


MARKS = ("index", "handle", "queue", "drops", "held", "taken", "refused", "told")
"""What a receipt notes of the kernel, not of the plan."""


class Phase(StrEnum):
    """How far remusnet has come. Only after a kill is a receipt found that says it is under way."""

    APPLYING = "applying"
    APPLIED = "applied"
    REMOVING = "removing"


class DamagedReceipt(InvalidInput):
    """A receipt that no remusnet finished writing: readers ignore it, and tell the user."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What protects ``vifs`` by the buffer device ``buffer``.

    ``policy``: the whole policy, as TOML. ``limit``: bytes; ``rate``: bits a second;
    ``interval_ns``: the checkpoint interval, ``interval_from``: its source, empty for the user.
    ``shared``: the vifs that had an ingress or clsact qdisc before us, which stays. ``sink``: what
    held frames are mirrored to, empty for none. ``version``: the remusnet that wrote it.
    ``indexes``: the numbers of ``vifs`` then, which tell them from others that have their names by
    now; empty where they are not known.

    ``index``, ``queue``: number and txqueuelen of the buffer device; ``handle``: that of its plug;
    0 where no apply has noted them. ``drops``, ``held``: the plug's drops, and the bytes in it,
    when the filters were made; ``taken``, ``refused``: what filters before them had counted (see
    `remusnet.kernel.state.drift.counts`). ``told``: the plug's drops when it was told its limit.
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
    indexes: tuple[int, ...] = ()
    interval_from: str = ""
    index: int = 0
    handle: int = 0
    queue: int = 0
    drops: int = 0
    held: int = 0
    taken: int = 0
    refused: int = 0
    told: int = 0

    def __post_init__(self) -> None:
        if self.indexes and len(self.indexes) != len(self.vifs):
            raise ValueError("not a number for each vif")

    def index_of(self, vif: str) -> int | None:
        """The number that ``vif`` had, where it is known."""
        return dict(zip(self.vifs, self.indexes, strict=False)).get(vif)

    def without(self, vifs: Collection[str]) -> Receipt:
        """The same for the other vifs."""
        kept = [number for number, vif in enumerate(self.vifs) if vif not in vifs]
        return replace(
            self,
            vifs=tuple(self.vifs[number] for number in kept),
            shared=tuple(vif for vif in self.shared if vif not in vifs),
            indexes=tuple(self.indexes[number] for number in kept) if self.indexes else (),
        )

    def plan(self) -> Plan:
        """The plan that was applied. Raises InvalidInput where this version can't make it."""
        protection = Protection(self.buffer, self.vifs, self.sink)
        return Plan(classification_of(self.policy, self.classifier), (protection,), self.limit)

    def to_json(self) -> dict[str, object]:
        """The content of its file."""
        return {"format": _FORMAT, **{each.name: getattr(self, each.name) for each in fields(self)}}


def receipts_of(
    plan: Plan,
    *,
    rate: int,
    interval_ns: int,
    shared: Mapping[str, bool],
    indexes: Mapping[str, int] | None = None,
    interval_from: str = "",
) -> tuple[Receipt, ...]:
    """The receipts of ``plan`` once it is applied, one for each buffer device.

    ``shared``, ``indexes``: of its vifs, see `Receipt`.
    """
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
            indexes=tuple(indexes[vif] for vif in each.vifs) if indexes else (),
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
    """Whether a program has changed the txqueuelen of the buffer device, which purges its plug."""
    device = seen.devices.get(receipt.buffer)
    return bool(receipt.queue and device and device.queue != receipt.queue)


class Receipts:
    """The receipts in a folder, which appears with the first one.

    ``problems``: an ending's; then what can't be read, written or deleted is noted there, and
    nothing is raised.
    """

    def __init__(self, folder: Path, problems: Problems | None = None) -> None:
        self.folder = folder
        self._problems = problems

    def read(self) -> tuple[dict[str, Receipt], tuple[str, ...]]:
        """All receipts by their buffer device, and one sentence for each damaged one.

        Raises NotPermitted, or Conflict where others can change the folder.
        """
        found: dict[str, Receipt] = {}
        damaged: list[str] = []
        known, versions = _known.get(self.folder, {}), {}
        try:
            with OwnFolder(str(self.folder)) as opened:
                for name in opened.names():
                    if not name.endswith(SUFFIX):
                        continue
                    try:
                        receipt, version = _read(opened, name, known)
                    except DamagedReceipt as error:
                        damaged.append(str(error))
                    else:
                        found[receipt.buffer] = receipt
                        if version is not None:
                            versions[version] = receipt
        except FileNotFoundError:
            return {}, ()
        except OSError as error:
            self._fail("could not read receipts", error)
        _known[self.folder] = versions
        return found, tuple(damaged)

    def write(self, receipts: Iterable[Receipt], phase: Phase) -> None:
        """Writes each as one step: a reader finds the old file or the new one.

        Raises NotPermitted, Conflict, or InvalidInput where the folder can't be written.
        """
        contents = {
            self._name(each.buffer): _as_lines(replace(each, phase=phase).to_json())
            for each in receipts
        }
        if not contents:
            return
        try:
            with OwnFolder(str(self.folder), make=True) as opened:
                for name, content in contents.items():
                    opened.write(name, content.encode())
        except OSError as error:
            self._fail("could not write the receipt", error)

    def delete(self, buffers: Iterable[str]) -> None:
        """Deletes the receipts of ``buffers``, damaged and half-written ones too.

        Raises as `write` does.
        """
        names = [self._name(each) for each in buffers]
        # As older versions have called a half-written one.
        names += [name.removesuffix(SUFFIX) + NEW for name in names]
        try:
            with OwnFolder(str(self.folder)) as opened:
                for name in names:
                    opened.delete(name)
        except FileNotFoundError:
            return
        except OSError as error:
            self._fail("could not delete the receipt", error)

    def _name(self, buffer: str) -> str:
        return f"{check_device_name(buffer)}{SUFFIX}"

    def _fail(self, what: str, error: OSError) -> None:
        if self._problems is None:
            raise folder_error(self.folder, error) from error
        self._problems.note(what, self.folder, error)


def _as_lines(content: Mapping[str, object]) -> str:
    """JSON with a line for each key. json's own indent writes in Python, not in C."""
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in content.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


_Version = tuple[int, ...]
_known: dict[Path, dict[_Version, Receipt]] = {}
"""Of each folder, those of the last read by the versions of their files: a watcher of 500 vifs
reads one receipt when one has changed.
"""


def _read(
    folder: OwnFolder, name: str, known: Mapping[_Version, Receipt]
) -> tuple[Receipt, _Version | None]:
    """A receipt, and the version of its file where it has one."""
    try:
        version = folder.version(name)
        receipt = None if version is None else known.get(version)
        if receipt is None:
            receipt = read_receipt(json.loads(folder.read(name, _LARGEST)))
        if name != f"{receipt.buffer}{SUFFIX}":
            raise ValueError("not of the buffer device that it is named after")
    except PermissionError:
        raise
    except (OSError, *UNREADABLE) as error:
        path = quoted(f"{folder.path}/{name}")
        why = error.strerror if isinstance(error, OSError) else error
        raise DamagedReceipt(f"damaged receipt {path}: {why}") from error
    return receipt, version


UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, RemusnetError)
"""What `read_receipt` raises for what is none."""


def read_receipt(data: dict[str, Any]) -> Receipt:
    """The receipt that `Receipt.to_json` has made ``data`` of. Raises one of `UNREADABLE`."""
    data = dict(data)
    if data.pop("format") != _FORMAT:
        raise ValueError("written by another version of remusnet")
    data |= {name: tuple(map(check_device_name, data[name])) for name in ("vifs", "shared")}
    data["indexes"] = tuple(map(_index, data.get("indexes", ())))
    receipt = Receipt(**(data | {"phase": Phase(data["phase"])}))
    check_device_name(receipt.buffer)
    if receipt.sink:
        check_device_name(receipt.sink)
    receipt.plan()
    return receipt


def _index(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"no number of a device: {value!r}")
    return value


@lru_cache
def classification_of(text: str, classifier: str) -> Classification:
    """The policy ``text`` compiled, once for all the receipts that say the same."""
    shipped = {to_toml(policy): policy for policy in PRESETS.values()}
    # A file can't say all that the shipped policies do.
    policy = shipped[text] if text in shipped else load(text, "receipt")
    return CLASSIFIERS[classifier](policy)
