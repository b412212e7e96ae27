"""What guests can make this machine's kernel pay for held frames, against the memory that it has.

The plan says nothing of it: a plan doesn't depend on the machine it is made on.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from remusnet.errors import Conflict
from remusnet.kernel.state.receipt import Receipts
from remusnet.plan.limits import RUNT_COST, memory_needed
from remusnet.plan.plan import Plan
from remusnet.results.checks import Check, CheckKind, CheckState
from remusnet.units import format_size

_MEMORY = Path("/proc/meminfo")


def total_memory(path: Path = _MEMORY) -> int | None:
    """Bytes of this machine's memory, as its kernel says (MemTotal); None where it says nothing."""
    try:
        for line in path.read_text(encoding="ascii", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name == "MemTotal":
                return int(value.split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def check_memory(
    plans: Iterable[Plan], run_dir: Path, *, force: bool = False, total: int | None = None
) -> tuple[str, ...]:
    """What to warn of before ``plans`` are applied beside what is in ``run_dir`` already.

    Compares what small frames can cost in all of these plugs with ``total`` bytes of memory, this
    machine's where it is None. Raises Conflict above half of it, unless ``force``.
    """
    total = total_memory() if total is None else total
    if total is None:
        return ()
    wanted = {each.buffer: plan.limit for plan in plans for each in plan.protections}
    others = [
        each.limit for each in Receipts(run_dir).read()[0].values() if each.buffer not in wanted
    ]
    limits = [*wanted.values(), *others]
    needed = sum(map(memory_needed, limits))
    beside = ", with what is protected already," if others else ""
    said = f"small frames{beside} can cost {_share(needed, total)}"
    if 2 * needed > total and not force:
        raise Conflict(
            f"{said}, more than half: --memory or a smaller --limit bounds it, --force goes on"
        )
    if 4 * needed > total:
        runts = sum(memory_needed(each, RUNT_COST) for each in limits)
        return (f"{said} (frames too short for Ethernet: {format_size(runts)})",)
    return ()


def memory_look(what: str, limits: Iterable[int], mend: str, total: int | None = None) -> Check:
    """The check of ``remusnet doctor`` for plugs of these ``limits`` (bytes)."""
    total = total_memory() if total is None else total
    why = "a guest that floods small frames: the kernel pays up to 12.5 times a plug's limit"
    if total is None:
        return Check(
            what, CheckKind.MEMORY, CheckState.UNKNOWN, "no MemTotal in /proc/meminfo", why, mend
        )
    needed = sum(map(memory_needed, limits))
    found = _share(needed, total)
    if 2 * needed > total:
        found += ", more than half: apply wants --force"
    fits = 4 * needed <= total
    state = CheckState.OK if fits else CheckState.MISSING
    return Check(what, CheckKind.MEMORY, state, found, why, "" if fits else mend)


def _share(needed: int, total: int) -> str:
    percent = -(-100 * needed // total)
    return f"{format_size(needed)}, {percent} % of this host's {format_size(total)} of memory"
