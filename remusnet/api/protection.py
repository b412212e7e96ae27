"""Protecting vifs: plan, apply, remove, verify, status."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar, overload

from remusnet import defaults
from remusnet.api import words
from remusnet.api.words import PolicyWord
from remusnet.errors import InvalidInput
from remusnet.plan.plan import Plan, build_plan
from remusnet.policy import DEFAULT_POLICY, Policy
from remusnet.results.protection import Applied, Removed, Status, Verified

_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """The options of ``plan`` and ``apply``, read: how vifs are to be protected.

    ``interval_ns``: the checkpoint interval; ``rate``: bits a second of the link; ``limit``: bytes
    of the plug, ``memory``: bytes that it may cost (None: from rate and interval); ``buffer``: one
    buffer device for all vifs.
    """

    policy: Policy
    interval_ns: int
    rate: int
    classifier: str = defaults.CLASSIFIER
    buffer: str | None = None
    limit: int | None = None
    memory: int | None = None
    decouple: bool = True

    @property
    def chosen_classifier(self) -> str:
        """The classifier; in the place of ``auto`` one that the kernel has. Raises as `plan`."""
        if self.classifier != defaults.AUTO:
            return self.classifier
        from remusnet.kernel.probe import available_classifiers
        from remusnet.plan.plan import choose_classifier

        return choose_classifier(self.policy, available_classifiers())

    def plan(self, groups: Sequence[str | tuple[str, ...]]) -> Plan:
        """The plan for ``groups``: those in a tuple are one network card.

        The classifier ``auto`` asks the kernel. Raises InvalidInput, and MissingDependency where
        the kernel has no classifier.
        """
        return build_plan(
            groups,
            self.policy,
            classifier=self.chosen_classifier,
            buffer=self.buffer,
            rate=self.rate,
            interval_ns=self.interval_ns,
            limit=self.limit,
            memory=self.memory,
            decouple=self.decouple,
        )

    def apply(
        self, plan: Plan, run_dir: Path, *, force: bool = False, tried: bool = False
    ) -> Applied:
        """Do ``plan``, which these options have made. Its notes are all that a user should know.

        ``tried``: it is what is on trial. Raises what `apply` raises.
        """
        from remusnet.kernel.change.apply import apply as apply_plan
        from remusnet.kernel.change.apply import check_memory
        from remusnet.kernel.run_dir import may_have_trials
        from remusnet.kernel.wire.netlink import require_rights

        require_rights("change network devices")
        if not tried and may_have_trials(run_dir):
            from remusnet.host.trial import refuse_tried

            refuse_tried(plan.vifs, run_dir)
        crowded = check_memory([plan], run_dir, force=force)
        done = apply_plan(plan, rate=self.rate, interval_ns=self.interval_ns, run_dir=run_dir)
        return replace(done, notes=(*done.notes, *plan.warnings, *crowded))


class Listing(Sequence[_Found], Generic[_Found]):
    """What was found, in order, and ``notes`` on it: one sentence each, for a person."""

    __slots__ = ("_found", "notes")

    def __init__(self, found: Sequence[_Found], notes: Sequence[str] = ()) -> None:
        self._found = tuple(found)
        self.notes = tuple(notes)

    @overload
    def __getitem__(self, at: int) -> _Found: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[_Found, ...]: ...
    def __getitem__(self, at: int | slice) -> _Found | tuple[_Found, ...]:
        return self._found[at]

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[_Found]:
        return iter(self._found)

    def __repr__(self) -> str:
        return f"Listing({self._found!r}, notes={self.notes!r})"


def plan(
    *vifs: str,
    policy: PolicyWord = DEFAULT_POLICY.name,
    classifier: str = defaults.CLASSIFIER,
    buffer: str | None = None,
    interval: str = defaults.INTERVAL,
    rate: str = defaults.RATE,
    limit: str | None = None,
    memory: str | None = None,
    decouple: bool = True,
) -> Plan:
    """The operations that would protect ``vifs``: a dry run, ``remusnet plan``.

    It touches nothing, and needs neither root, nor tc, nor the devices. ``policy`` is a shipped
    policy's name, a policy file, or a `Policy`. ``classifier`` is ``u32``, ``bpf`` or ``flower``.
    Each vif has a buffer device named after it (``ifb-1.0`` for ``vif1.0``), unless ``buffer``
    names one for all of them. The plug's limit is 2 x ``rate`` x ``interval``; ``limit`` gives it,
    or ``memory``, the memory that a plug may cost: then it is that / 12.5. ``decouple``: copy held
    frames, so that they keep no memory of the guest's. Times, rates and sizes are text with a unit.

        >>> plan = remusnet.plan("vif1.0", policy="real-time", rate="100mbit")
        >>> plan.limit
        5000000
        >>> print(plan.operations[0].why)
        The buffer device. One queue, so that the plug can be its root.
        >>> plan.warnings[0].startswith("a guest that floods small frames")
        True

    ``plan.operations`` are in the order in which they are safe, ``plan.undo`` takes them back.
    Raises InvalidInput.
    """
    return _options(policy, classifier, buffer, interval, rate, limit, memory, decouple).plan(
        _named(vifs)
    )


def apply(
    *vifs: str,
    domain: str | None = None,
    connect: str = defaults.LIBVIRT,
    policy: PolicyWord = DEFAULT_POLICY.name,
    classifier: str = defaults.CLASSIFIER,
    buffer: str | None = None,
    interval: str = defaults.INTERVAL,
    rate: str = defaults.RATE,
    limit: str | None = None,
    memory: str | None = None,
    decouple: bool = True,
    force: bool = False,
    run_dir: str | Path | None = None,
) -> Applied:
    """Protect ``vifs``: hold those of their frames that the policy holds. ``remusnet apply``.

    All or nothing: a failure, or a signal, leaves the kernel as it was. Before it returns, apply
    compares the kernel with the plan. The same call once more changes nothing; a new policy or
    limit replaces the old one without a gap. Needs root (CAP_NET_ADMIN).

    Instead of ``vifs``, ``domain`` names a domain that libvirt knows at ``connect``. ``classifier``
    may also be ``auto``: one that is exact, if the kernel has it. ``force``: even where a flood of
    small frames can cost more than half of this host's memory. ``run_dir``: where receipts and
    locks are, by default $REMUSNET_RUN_DIR, or /run/remusnet. All others are those of `plan`.

        >>> done = remusnet.apply("vif1.0", policy="real-time", rate="100mbit")
        >>> done.plan.protections[0].buffer
        'ifb-1.0'
        >>> remusnet.apply("vif1.0", policy="real-time", rate="100mbit").operations
        ()

    ``done.operations`` are the operations that were done, ``done.notes`` are warnings.

    Raises InvalidInput, MissingDependency, NotPermitted, Conflict (another owner's filters or
    qdisc, or another remusnet at work for a minute), or KernelRefused.
    """
    groups = groups_of(vifs, domain, connect)
    if not groups:
        raise InvalidInput("what is to be protected? Give a vif, or a domain")
    options = _options(policy, classifier, buffer, interval, rate, limit, memory, decouple)
    return options.apply(options.plan(groups), _run_dir(run_dir), force=force)


def remove(
    *vifs: str, force: bool = False, drop: bool = False, run_dir: str | Path | None = None
) -> Removed:
    """End the protection of ``vifs``: release held frames, leave no trace. ``remusnet remove``.

    It loses no held frame. ``drop``: it drops them instead, for a guest that has failed over.
    ``force``: do so even while a process drives the plug, or while it is on trial. After a kill, or
    without the receipt, remusnet finds its objects by its marks on them.

        >>> remusnet.remove("vif1.0").vifs
        ('vif1.0',)

    ``fate(vif)`` of the result tells what became of the frames that were held; ``problems`` names
    the files in ``run_dir`` that could not be written.

    Raises Conflict while a process drives the plug, InvalidInput for a vif that is not there and
    was not protected, NotPermitted, or KernelRefused.
    """
    from remusnet.host.trial import abandon, refuse_tried
    from remusnet.kernel.change.remove import remove as remove_vifs

    (abandon if force else refuse_tried)(vifs, _run_dir(run_dir))
    return remove_vifs(_named(vifs), run_dir=_run_dir(run_dir), force=force, drop=drop)


def verify(*vifs: str, run_dir: str | Path | None = None) -> Listing[Verified]:
    """Compare the receipts of ``vifs`` (none: of all) with the kernel. ``remusnet verify``.

    It changes nothing; `apply` repairs, `remove` clears. Each protection in the result ``agrees``,
    or has ``differences``, each with its ``device``, and the ``desired`` and ``current`` state.

        >>> [each.agrees for each in remusnet.verify("vif1.0")]
        [True]

    Raises InvalidInput for a vif that is not there and not protected, NotPermitted, or
    KernelRefused.
    """
    from remusnet.kernel.change.verify import verify as verify_vifs

    return Listing(*verify_vifs(vifs, run_dir=_run_dir(run_dir)))


def status(
    *vifs: str,
    domain: str | None = None,
    connect: str = defaults.LIBVIRT,
    run_dir: str | Path | None = None,
) -> Listing[Status]:
    """The protections of ``vifs`` (none: of all), and how much each holds. ``remusnet status``.

    ``held`` and ``bypassed`` count packets, None where the kernel does not tell; ``backlog`` is in
    bytes, ``waiting`` in packets. The kernel tells neither the plug's limit nor whether the plug is
    open: these come from the receipt and from the last driver's record.

        >>> [(each.protected.buffer, each.held, each.backlog) for each in remusnet.status()]
        [('ifb-1.0', 0, 0)]

    Raises InvalidInput for a vif that is not there, NotPermitted, or KernelRefused; with a
    ``domain`` also MissingDependency, if libvirt is missing.
    """
    from remusnet.kernel.state.status import status as status_of

    chosen = [vif for group in groups_of(vifs, domain, connect) for vif in group]
    return Listing(*status_of(chosen, run_dir=_run_dir(run_dir)))


def groups_of(
    vifs: Sequence[str], domain: str | None, uri: str = defaults.LIBVIRT
) -> tuple[tuple[str, ...], ...]:
    """The vifs that are asked for, those that share a network card of the guest together.

    Raises InvalidInput for both ``vifs`` and a ``domain``, and what
    `remusnet.host.libvirt.domain_vifs` raises.
    """
    if domain is None:
        return tuple((vif,) for vif in vifs)
    if vifs:
        raise InvalidInput("give VIF or --domain, not both")
    from remusnet.host.libvirt import domain_vifs

    return domain_vifs(domain, uri)


def _named(vifs: tuple[str, ...]) -> tuple[str, ...]:
    if not vifs:
        raise InvalidInput("what is meant? Give at least one vif")
    return vifs


def _options(
    policy: PolicyWord,
    classifier: str,
    buffer: str | None,
    interval: str,
    rate: str,
    limit: str | None,
    memory: str | None,
    decouple: bool,
) -> PlanOptions:
    interval_ns = words.duration("interval", interval, "'200ms'")
    if interval_ns == 0:
        raise InvalidInput("interval: invalid time: 0; expected more than 0")
    return PlanOptions(
        policy=words.policy(policy),
        interval_ns=interval_ns,
        rate=words.rate("rate", rate),
        classifier=words.text("classifier", classifier, "'u32'"),
        buffer=buffer,
        limit=None if limit is None else words.size("limit", limit),
        memory=None if memory is None else words.size("memory", memory),
        decouple=decouple,
    )


def _run_dir(given: str | Path | None) -> Path:
    from remusnet.kernel.run_dir import default_run_dir

    return default_run_dir() if given is None else Path(words.path("run_dir", given))
