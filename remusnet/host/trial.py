"""A change on trial: it goes back by itself unless the user confirms it in time.

A trial is a file in the run directory, ``try-NUMBER.trial``: what is tried, until when, and the
receipts that there were. The process that renames it has decided: to confirm, or to go back
(``try-NUMBER.back``, until that is done). A process of its own, the guard, waits for that: it has
left the terminal's session, and holds the trial's lock for as long as it lives. Where the lock is
free and the file is there the guard was killed, and the first process that notices goes back: the
next command, or a watcher.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from remusnet.errors import CheckFailed, Conflict, InvalidInput, NotPermitted, RemusnetError, quoted
from remusnet.host.netbuf.places import owned_buffers
from remusnet.kernel.change.apply import apply
from remusnet.kernel.change.remove import remove
from remusnet.kernel.journal import DONE, FAILED, because, record
from remusnet.kernel.lock_files import is_locked
from remusnet.kernel.own_folder import OwnFolder
from remusnet.kernel.prepared import exists
from remusnet.kernel.run_dir import TRIAL_FILES, AtWork, change_lock, folder_error
from remusnet.kernel.state.drivers import boot_id
from remusnet.kernel.state.receipt import UNREADABLE, Phase, Receipt, Receipts, read_receipt
from remusnet.plan.devices import check_device_name
from remusnet.plan.plan import Plan
from remusnet.results.trial import Ending, Outcome

WAITING, BACK = TRIAL_FILES
_LOCK = ".trial-lock"
_FORMAT = 1
_LARGEST = 16 << 20
_LONGEST_WAIT = 60.0


@dataclass(frozen=True, slots=True)
class Trial:
    """``vifs`` are tried with the buffer devices ``buffers``; ``before``: the receipts of those.

    ``number``: in the journal. ``until_ns``: of CLOCK_BOOTTIME in the boot ``boot``.
    """

    number: str
    boot: str
    until_ns: int
    vifs: tuple[str, ...]
    buffers: tuple[str, ...]
    before: tuple[Receipt, ...]

    @property
    def left_s(self) -> float:
        """Seconds until it goes back; 0 behind that."""
        return max(0.0, (self.until_ns - _now_ns()) / 1e9)

    @property
    def name(self) -> str:
        """The name of its files; never that of another trial."""
        return f"try-{self.number}"

    @property
    def old(self) -> str:
        """What was there before, for a person."""
        policies = dict.fromkeys(each.policy_name for each in self.before)
        fresh = set(self.vifs) - {vif for each in self.before for vif in each.vifs}
        words = [f"policy {', '.join(policies)}"] if policies else []
        return " and ".join([*words, *(["unprotected"] if fresh else [])])


def begin(plan: Plan, run_dir: Path, timeout_ns: int) -> tuple[Trial, int]:
    """A trial of ``plan``, which is still to be applied; and the descriptor of its lock, for the
    guard.

    Raises Conflict where one of its vifs is on trial already, or belongs to ``xl``; and as
    `change_lock` does.
    """
    buffers = tuple(each.buffer for each in plan.protections)
    with change_lock(run_dir):
        refuse_tried(plan.vifs, run_dir)
        receipts = Receipts(run_dir).read()[0]
        before = tuple(
            replace(each, phase=Phase.APPLIED)
            for each in receipts.values()
            if each.buffer in buffers or set(each.vifs) & set(plan.vifs)
        )
        trial = Trial(
            os.urandom(8).hex(), boot_id(), _now_ns() + timeout_ns, plan.vifs, buffers, before
        )
        if theirs := _xls({*buffers, *(each.buffer for each in before)}, run_dir):
            raise Conflict(
                f"the netbuf script of xl remus has set up {theirs}, which belongs to xl: its "
                "policy is that of a [[domain]] of the host's file"
            )
        try:
            with OwnFolder(str(run_dir)) as folder:
                descriptor = folder.lock(f"{trial.name}{_LOCK}", time.monotonic() + 1)
                if descriptor is None:
                    raise Conflict(
                        f"a trial with {trial.name} is just coming to its end; try again"
                    )
                try:
                    folder.write(f"{trial.name}{WAITING}", _written(trial))
                except BaseException:
                    os.close(descriptor)
                    raise
        except OSError as error:
            raise folder_error(run_dir, error) from error
    return trial, descriptor


def give_up(trial: Trial, run_dir: Path) -> None:
    """Ends a trial whose change was not done: there is nothing to confirm, nor to go back to."""
    _decide(trial, run_dir)
    _forget(trial, run_dir)


def abandon(vifs: Sequence[str], run_dir: Path) -> None:
    """Forgets what is on trial for ``vifs``, whose protection ends for good."""
    for trial, _ in trials(run_dir):
        if not set(vifs).isdisjoint(trial.vifs):
            give_up(trial, run_dir)


def confirm(vifs: Sequence[str], run_dir: Path) -> tuple[Trial, ...]:
    """Confirms what is on trial for ``vifs`` (none: all that is): it stays.

    Raises CheckFailed where there is nothing to confirm any more, NotPermitted, Conflict.
    """
    confirmed = []
    for trial, state in trials(run_dir):
        if vifs and not set(vifs) & set(trial.vifs):
            continue
        if state == WAITING and trial.left_s and keep(trial, run_dir):
            confirmed.append(trial)
    missing = sorted(set(vifs) - {vif for each in confirmed for vif in each.vifs})
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        what = ", ".join(map(quoted, missing))
        raise CheckFailed(f"{what} {verb} not on trial (any more): gone back, or confirmed before")
    if not confirmed:
        raise CheckFailed("nothing is on trial (any more)")
    return tuple(confirmed)


def keep(trial: Trial, run_dir: Path) -> bool:
    """Confirms one; whether there was still time."""
    if not _decide(trial, run_dir):
        return False
    _forget(trial, run_dir)
    with because("confirm", trial.number):
        record("confirm", trial.vifs, buffers=trial.buffers)
    return True


def claim(trial: Trial, run_dir: Path) -> bool:
    """Decides that it goes back; whether no other process has decided before."""
    try:
        with OwnFolder(str(run_dir)) as folder:
            return folder.rename(f"{trial.name}{WAITING}", f"{trial.name}{BACK}")
    except FileNotFoundError:
        return False
    except OSError as error:
        raise folder_error(run_dir, error) from error


def go_back(trial: Trial, run_dir: Path) -> Outcome:
    """Makes it what it was, once that is decided (`claim`), and forgets the trial.

    Back to no protection it goes only where nothing drives the plug: else it stays, which is said.
    Where another remusnet is at work for a minute the trial is left for the next, and AtWork
    raised.
    """
    with because("go-back", trial.number):
        try:
            problem = _restore(trial, run_dir)
        except AtWork:
            raise
        except RemusnetError as error:
            problem = str(error)
            record("go-back", trial.vifs, result=FAILED, buffers=trial.buffers, text=problem)
        else:
            record("go-back", trial.vifs, result=DONE, buffers=trial.buffers, text=trial.old)
    _forget(trial, run_dir)
    ending = Ending.STAYS if problem else Ending.BACK
    return Outcome(trial.vifs, ending, trial.old, problem)


def has_gone_back(trial: Trial, run_dir: Path) -> bool:
    """Whether the receipts are those of before: for a command that hasn't heard how it ended."""
    now = Receipts(run_dir).read()[0]
    fresh = set(trial.vifs) - {vif for each in trial.before for vif in each.vifs}
    if fresh & {vif for each in now.values() for vif in each.vifs}:
        return False
    return all(
        each.buffer in now and _terms(now[each.buffer]) == _terms(each) for each in trial.before
    )


def _terms(receipt: Receipt) -> tuple[object, ...]:
    return receipt.vifs, receipt.policy, receipt.classifier, receipt.limit, receipt.sink


def settle(run_dir: Path) -> tuple[Outcome, ...]:
    """Goes back where a guard was killed, whatever its deadline. For each command, and watchers.

    Raises NotPermitted where only root could, and as `go_back` does.
    """
    found = []
    for trial, state in trials(run_dir):
        descriptor = _unguarded(trial, run_dir)
        if descriptor is None:
            continue
        try:
            # Another process may have decided it meanwhile.
            if claim(trial, run_dir) or (state == BACK and _has(trial, run_dir, BACK)):
                found.append(go_back(trial, run_dir))
            else:
                _forget(trial, run_dir)
        finally:
            os.close(descriptor)
    return tuple(found)


def trials(run_dir: Path) -> Iterator[tuple[Trial, str]]:
    """All trials, each with the state of its file: `WAITING`, or `BACK` once that is decided."""
    try:
        with OwnFolder(str(run_dir)) as folder:
            for name in folder.names():
                for state in (WAITING, BACK):
                    trial = _read(folder, name, state) if name.endswith(state) else None
                    if trial is not None:
                        yield trial, state
    except OSError:
        return  # there is none, or nothing there can be believed


def refuse_tried(vifs: Sequence[str], run_dir: Path) -> None:
    """Raises Conflict where one of ``vifs`` is on trial: what is done to it would not last."""
    for trial, _ in trials(run_dir):
        both = [vif for vif in vifs if vif in trial.vifs]
        if both:
            raise Conflict(
                f"{', '.join(both)} is on trial, and goes back in {trial.left_s:.0f} s: "
                f'"remusnet confirm {both[0]}" keeps it; or wait'
            )


def _restore(trial: Trial, run_dir: Path) -> str:
    """Why it stays; empty where it has gone back."""
    if trial.boot != boot_id():
        return ""  # the kernel has forgotten it by itself
    if theirs := _xls(trial.buffers, run_dir):
        return f"xl remus has set up {theirs} meanwhile"
    old = {vif for each in trial.before for vif in each.vifs}
    protected = {vif for each in Receipts(run_dir).read()[0].values() for vif in each.vifs}
    fresh = [vif for vif in trial.vifs if vif not in old and vif in protected]
    if fresh:
        remove(fresh, run_dir=run_dir, longest_wait=_LONGEST_WAIT)
    for each in trial.before:
        apply(
            each.plan(),
            rate=each.rate,
            interval_ns=each.interval_ns,
            interval_from=each.interval_from,
            run_dir=run_dir,
            longest_wait=_LONGEST_WAIT,
        )
    return ""


def _xls(buffers: Iterable[str], run_dir: Path) -> str:
    """Those of ``buffers`` that the netbuf script has set up, by name; empty for none."""
    return ", ".join(sorted(filter(exists, owned_buffers(str(run_dir)).intersection(buffers))))


def _decide(trial: Trial, run_dir: Path) -> bool:
    """Takes the trial's file away; whether it was there: then no other process has decided."""
    gone = f"{trial.name}{WAITING}.confirmed"
    try:
        with OwnFolder(str(run_dir)) as folder:
            decided = folder.rename(f"{trial.name}{WAITING}", gone)
            folder.delete(gone)
    except OSError as error:
        raise folder_error(run_dir, error) from error
    return decided


def is_waiting(trial: Trial, run_dir: Path) -> bool:
    """Whether no process has decided about it yet."""
    return _has(trial, run_dir, WAITING)


def _has(trial: Trial, run_dir: Path, state: str) -> bool:
    try:
        with OwnFolder(str(run_dir)) as folder:
            return folder.has(f"{trial.name}{state}")
    except OSError:
        return False


def _forget(trial: Trial, run_dir: Path) -> None:
    try:
        with OwnFolder(str(run_dir)) as folder:
            folder.delete(f"{trial.name}{BACK}")
            folder.delete(f"{trial.name}{_LOCK}")
    except OSError:
        return


def _unguarded(trial: Trial, run_dir: Path) -> int | None:
    """The lock's descriptor where no guard has it. Raises NotPermitted where only root can tell."""
    try:
        with OwnFolder(str(run_dir)) as folder:
            return folder.lock(f"{trial.name}{_LOCK}", 0)
    except PermissionError:
        if is_locked(f"{run_dir}/{trial.name}{_LOCK}"):
            return None
        raise NotPermitted(
            f"the trial of {', '.join(trial.vifs)} has lost its guard: run remusnet as root, "
            "and it goes back"
        ) from None
    except OSError as error:
        raise folder_error(run_dir, error) from error


def _written(trial: Trial) -> bytes:
    return json.dumps(
        {
            "format": _FORMAT,
            "number": trial.number,
            "boot": trial.boot,
            "until_ns": trial.until_ns,
            "vifs": trial.vifs,
            "buffers": trial.buffers,
            "before": [each.to_json() for each in trial.before],
        }
    ).encode()


def _read(folder: OwnFolder, name: str, state: str) -> Trial | None:
    """None for what no trial has written."""
    try:
        data = json.loads(folder.read(name, _LARGEST))
        if data["format"] != _FORMAT:
            return None
        trial = Trial(
            str(data["number"]),
            str(data["boot"]),
            int(data["until_ns"]),
            tuple(map(check_device_name, data["vifs"])),
            tuple(map(check_device_name, data["buffers"])),
            tuple(map(read_receipt, data["before"])),
        )
    except (OSError, InvalidInput, *UNREADABLE):
        return None
    return trial if name == f"{trial.name}{state}" else None


def _now_ns() -> int:
    """A suspended host's time counts too."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
