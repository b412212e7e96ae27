"""apply: makes the kernel what plans say, each of them whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from remusnet.errors import Conflict, InvalidInput, KernelRefused, RemusnetError
from remusnet.kernel.change.execute import Encoder, Executor, Interrupted, Interrupts, interrupts
from remusnet.kernel.change.foresee import Refuse
from remusnet.kernel.change.steps import (
    Look,
    Order,
    Step,
    completed,
    intents,
    look_at,
    look_now,
    step_of,
)
from remusnet.kernel.journal import DONE, FAILED, record
from remusnet.kernel.run_dir import LONGEST_WAIT, Problems, change_lock
from remusnet.kernel.state.drift import drift
from remusnet.kernel.state.drivers import plug_id, record_of, write_record
from remusnet.kernel.state.observe import Seen
from remusnet.kernel.state.receipt import Phase, Receipt, Receipts
from remusnet.kernel.wire.netlink import Netlink, require_rights
from remusnet.plan.devices import RUNT_COST, memory_needed
from remusnet.plan.plan import Plan
from remusnet.results.protection import Applied, Difference
from remusnet.units import format_size

_MEMORY = Path("/proc/meminfo")


def apply(
    plan: Plan,
    *,
    rate: int,
    interval_ns: int,
    run_dir: Path,
    interval_from: str = "",
    netlink: Netlink | None = None,
    longest_wait: float = LONGEST_WAIT,
) -> Applied:
    """Makes the kernel what ``plan`` says, and looks whether it is.

    ``rate`` (bits a second), ``interval_ns`` and ``interval_from`` are for the receipt.
    ``netlink``: a socket to use instead of a new one; ``longest_wait``: seconds to wait for
    another remusnet.

    Whatever goes wrong, a signal too, leaves the kernel and the receipts as they were. Raises
    Conflict, InvalidInput, MissingDependency, NotPermitted, KernelRefused or Interrupted.
    """
    order = Order(plan, rate, interval_ns, interval_from)
    (found,), damaged = apply_each(
        [order], run_dir=run_dir, netlink=netlink, longest_wait=longest_wait
    )
    if isinstance(found, RemusnetError):
        raise found
    return replace(found, notes=(*damaged, *found.notes))


def apply_each(
    orders: Sequence[Order],
    *,
    run_dir: Path,
    netlink: Netlink | None = None,
    longest_wait: float = LONGEST_WAIT,
    refuse: Refuse = lambda _order, _look: None,
    ended: Callable[[], None] = lambda: None,
    alone: bool = False,
) -> tuple[tuple[Applied | RemusnetError, ...], tuple[str, ...]]:
    """Makes the kernel what each of ``orders`` says, each for itself; and notes for the user.

    What one comes to is an `Applied`, or the error that it failed with: that leaves its vifs as
    they were, and stops none of the others. All share one look before and one behind. A signal
    stops them: what is done stays, the rest fails with Interrupted. ``refuse``: what must not be
    done. ``ended`` is called after each that had to change something. ``alone``: as of `look_at`.
    Raises as `apply` does where nothing can be done at all.
    """
    require_rights("change network devices")
    if netlink is None:
        with Netlink() as own:
            return apply_each(
                orders,
                run_dir=run_dir,
                netlink=own,
                longest_wait=longest_wait,
                refuse=refuse,
                ended=ended,
                alone=alone,
            )
    with change_lock(run_dir, longest_wait), interrupts() as noted:
        look = look_at(netlink, run_dir, [each.plan for each in orders], alone=alone)
        store = Receipts(run_dir)
        found: list[Applied | RemusnetError | None] = []
        moves: dict[int, _Move] = {}
        encoder = Encoder({each.name: each.index for each in look.seen.devices.values()})
        for number, order in enumerate(orders):
            try:
                if refusal := refuse(order, look):
                    raise refusal
                step = step_of(order, look)
            except RemusnetError as error:
                found.append(error)
                continue
            found.append(Applied(order.plan, (), step.notes))
            if step.operations:
                executor = Executor(netlink, look.seen, noted.check, encoder)
                moves[number] = _Move(step, executor, store, look.receipts)
            else:
                now = completed(step, look, look.seen)
                stale = (each for each in now if look.receipts.get(each.buffer) != each)
                store.write(stale, Phase.APPLIED)
        _run(tuple(moves.values()), netlink, look, noted, ended, alone=alone)
        for number, move in moves.items():
            found[number] = move.outcome
        return tuple(each for each in found if each is not None), look.damaged


@dataclass(slots=True)
class _Move:
    """A step that is being done by ``executor``; ``before``: the receipts that were there.

    ``error``: why it was taken back, None as long as it was not.
    """

    step: Step
    executor: Executor
    store: Receipts
    before: Mapping[str, Receipt]
    error: RemusnetError | None = None
    problems: tuple[str, ...] = ()

    def fail(self, error: BaseException) -> None:
        """Takes back what is done of it."""
        try:
            _take_back(self.executor, self.store, self.step.receipts, self.before, error)
        except RemusnetError as second:
            self.error = second
        else:
            self.error = error if isinstance(error, RemusnetError) else None
        self._tell(FAILED, str(self.error or type(error).__name__))

    def succeed(self, run_dir: Path, seen: Seen) -> None:
        """Tells that it is done, and keeps the drivers' records true; ``seen``: what was there
        before.
        """
        self.problems = _note_limit(run_dir, seen, self.step.order.plan)
        self._tell(DONE)

    @property
    def outcome(self) -> Applied | RemusnetError:
        """What it came to."""
        notes = (*self.step.notes, *self.problems)
        return self.error or Applied(self.step.order.plan, self.step.operations, notes)

    def _tell(self, result: str, text: str = "") -> None:
        plan = self.step.order.plan
        record(
            "apply",
            plan.vifs,
            result=result,
            buffers=[each.buffer for each in plan.protections],
            policy=plan.classification.policy.name,
            operations=len(self.step.operations) if result == DONE else 0,
            text=text,
        )


def _run(
    moves: Sequence[_Move],
    netlink: Netlink,
    look: Look,
    noted: Interrupts,
    ended: Callable[[], None],
    *,
    alone: bool,
) -> None:
    """Does all of ``moves``, each for itself. An error that is not ours takes back all of them."""
    if not moves:
        return
    store = moves[0].store
    try:
        intended = (each for move in moves for each in intents(move.step, look))
        store.write(intended, Phase.APPLYING)
        stopped: Interrupted | None = None
        for move in moves:
            try:
                if stopped is not None:
                    raise stopped
                move.executor.run(move.step.operations)
                noted.check()
            except RemusnetError as error:
                stopped = error if isinstance(error, Interrupted) else None
                move.fail(error)
            ended()
        done = [each for each in moves if each.error is None]
        now = look_now(netlink, [each.step.order.plan for each in done], alone=alone)
        for move in done:
            if found := _drift(move.step, now):
                more = f" (and {len(found) - 1} more)" if found[1:] else ""
                what = f"the kernel has not become what was planned: {found[0]}{more}"
                move.fail(KernelRefused(what))
        done = [each for each in done if each.error is None]
        store.write(
            (each for move in done for each in completed(move.step, look, now)), Phase.APPLIED
        )
    except BaseException as error:
        for move in reversed(moves):
            if move.error is None:
                move.fail(error)
        if isinstance(error, RemusnetError) and (first := moves[0].error) is not None:
            raise first from error
        raise
    for move in done:
        move.succeed(look.run_dir, look.seen)


def _drift(step: Step, now: Seen) -> list[Difference]:
    found = (each for receipt in step.receipts for each in drift(receipt, now))
    return [each for each in found if each.device not in step.order.absent]


def _note_limit(run_dir: Path, seen: Seen, plan: Plan) -> tuple[str, ...]:
    """Keeps the record of a plug true, where its driver has left one; says what stopped that."""
    problems = Problems()
    for each in plan.protections:
        root = seen.root(each.buffer)
        if root is None:
            continue  # nothing has driven it yet
        record = record_of(run_dir, each.buffer, seen)
        if record.limit not in (None, plan.limit):
            identity = plug_id(seen.devices[each.buffer].index, root.handle)
            write_record(
                run_dir, each.buffer, identity, replace(record, limit=plan.limit), problems
            )
    return problems.lines


def _take_back(
    executor: Executor,
    store: Receipts,
    after: Sequence[Receipt],
    before: Mapping[str, Receipt],
    error: BaseException,
) -> None:
    """Undoes what is done. Raises KernelRefused where that fails too: then the intent stays."""
    problems = executor.undo()
    if problems:
        vifs = " ".join(vif for each in after for vif in each.vifs)
        raise KernelRefused(
            f"{error}; and taking it back failed: {'; '.join(problems)}: "
            f'"remusnet verify" shows what is left, "remusnet remove {vifs}" clears it'
        ) from error
    for each in after:
        old = before.get(each.buffer)
        try:
            if old is None:
                store.delete([each.buffer])
            else:
                store.write([old], old.phase)
        except RemusnetError as second:
            raise InvalidInput(
                f"{error}; the kernel is as before, but its receipt is not ({second}): mend that, "
                f'then "remusnet apply" or "remusnet remove {" ".join(each.vifs)}" sets it right'
            ) from error


def check_memory(
    plans: Iterable[Plan], run_dir: Path, *, force: bool = False, total: int | None = None
) -> tuple[str, ...]:
    """What to warn of before ``plans`` are applied beside what is in ``run_dir`` already.

    A plan doesn't depend on the machine that it is made on, so it says nothing of this. Compares
    what small frames can cost in all of these plugs with ``total`` bytes of memory, this machine's
    where it is None. Raises Conflict above half of it, unless ``force``.
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
    said = f"small frames{beside} can cost {share_of_memory(needed, total)}"
    if 2 * needed > total and not force:
        raise Conflict(
            f"{said}, more than half: --memory or a smaller --limit bounds it, --force goes on"
        )
    if 4 * needed > total:
        runts = sum(memory_needed(each, RUNT_COST) for each in limits)
        return (f"{said} (frames too short for Ethernet: {format_size(runts)})",)
    return ()


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


def share_of_memory(needed: int, total: int) -> str:
    """What plugs need in bytes, of ``total``, for a person."""
    percent = -(-100 * needed // total)
    return f"{format_size(needed)}, {percent} % of this host's {format_size(total)} of memory"
