"""The desired state of this host: which of its vifs are to be protected, and how.

A file says it in ``[[vif]]`` tables (docs/reference/domain-policies.md), or a command line does
for all vifs at once. Which vifs that comes to depends on what is there, which is given, not asked
for here: so a watcher can decide about one vif that has just appeared.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from remusnet.errors import Conflict
from remusnet.host.domain_files import load_domain_file
from remusnet.host.netbuf.places import owned_buffers
from remusnet.kernel.change.foresee import Refuse
from remusnet.kernel.change.steps import Look, Order
from remusnet.kernel.state.observe import Seen
from remusnet.plan.devices import EMULATED
from remusnet.plan.domains import VifEntry
from remusnet.plan.plan import Plan, build_plan
from remusnet.plan.terms import Terms
from remusnet.policy import Policy

_XEN_VIFS = "vif[0-9]*.[0-9]*"
_NO_VIFS = frozenset({"ifb", "bridge"})
_LOOPBACK = "lo"
_NUMBERS = re.compile(r"([0-9]+)")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A device that could be protected. ``bridge``: which it is a port of, empty for none;
    ``domains``: the words of `DesiredState.domains` that stand for the domain it belongs to.
    """

    name: str
    bridge: str = ""
    domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """``vifs``, one network card of a guest, are to be protected by ``policy`` on these ``terms``.

    ``path``: the table that says so, as ``vif[2]``; empty for none.
    """

    vifs: tuple[str, ...]
    policy: Policy
    terms: Terms
    path: str


@dataclass(frozen=True, slots=True)
class DesiredState:
    """``entries``, of which the first that matches a vif decides; the rest is left as it is.

    ``policies``: those that they name, by their names there. ``origin``: the file, for messages.
    """

    origin: str
    entries: tuple[VifEntry, ...]
    policies: Mapping[str, Policy]
    # By the name that they ask for, None: of entries without one; each with its place.
    _by_name: Mapping[str | None, list[tuple[int, VifEntry]]] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        by_name: dict[str | None, list[tuple[int, VifEntry]]] = {}
        for number, each in enumerate(self.entries):
            by_name.setdefault(each.name, []).append((number, each))
        object.__setattr__(self, "_by_name", by_name)

    @property
    def domains(self) -> tuple[str, ...]:
        """The words by which entries name domains: only libvirt can resolve them."""
        return tuple(dict.fromkeys(each.domain for each in self.entries if each.domain))

    def entry_of(self, vif: Candidate) -> VifEntry | None:
        """The entry that decides about ``vif``; None where it is nobody's concern."""
        named, others = (self._by_name.get(key, ()) for key in (vif.name, None))
        matching = (
            (number, each)
            for number, each in (*named, *others)
            if each.matches(vif.name, vif.bridge, vif.domains)
        )
        first = min(matching, key=lambda found: found[0], default=None)
        return first[1] if first else None

    def wishes(self, there: Iterable[Candidate]) -> tuple[Wish, ...]:
        """What the entries want protected of the vifs that are ``there``, in their order.

        The two devices of a card (``vif1.0``, ``vif1.0-emu``) are together where one entry decides
        about both, but for one that names a single device.
        """
        groups: dict[tuple[str, str], list[str]] = {}
        entries = {each.path: each for each in self.entries}
        for vif in sorted(there, key=lambda each: _by_number(each.name)):
            entry = self.entry_of(vif)
            if entry is not None and entry.protect:
                alone = entry.name is not None
                card = vif.name if alone else vif.name.removesuffix(EMULATED)
                groups.setdefault((entry.path, card), []).append(vif.name)
        found = [(entries[path], tuple(vifs)) for (path, _), vifs in groups.items()]
        place = {path: number for number, path in enumerate(entries)}
        found.sort(key=lambda each: place[each[0].path])
        return tuple(
            Wish(vifs, self.policies[entry.terms.policy], entry.terms, entry.path)
            for entry, vifs in found
        )

    def absent(self, there: Iterable[Candidate]) -> tuple[VifEntry, ...]:
        """The entries whose vifs are not there yet; those whose vifs all belong to entries before
        them have them.
        """
        by_name = {each.name: each for each in there}
        return tuple(
            each
            for each in self.entries
            if each.protect
            and not any(
                each.matches(vif.name, vif.bridge, vif.domains) for vif in _asked_for(each, by_name)
            )
        )


def _asked_for(entry: VifEntry, by_name: Mapping[str, Candidate]) -> Iterable[Candidate]:
    if entry.name is None:
        return by_name.values()
    return (by_name[entry.name],) if entry.name in by_name else ()


def load_desired(path: str) -> DesiredState:
    """The desired state in the file at ``path``.

    Raises DomainFileError with every mistake, those of the policy files that it names too; and
    MistakenFile for a file that can't be read.
    """
    file = load_domain_file(path)
    return DesiredState(path, file.domains.vifs, file.policies)


def all_xen_vifs(policy: Policy, terms: Terms) -> DesiredState:
    """One policy for every vif that has a name of Xen's."""
    terms = replace(terms, policy=policy.name)
    entry = VifEntry("", None, _XEN_VIFS, None, None, terms)
    return DesiredState("", (entry,), {policy.name: policy})


def candidates(seen: Seen, domains: Mapping[str, Collection[str]]) -> tuple[Candidate, ...]:
    """The devices that were ``seen``, without bridges and buffer devices; each with its bridge.

    ``domains``: the vifs of those that run, by the word that stands for each.
    """
    words: dict[str, list[str]] = {}
    for word, vifs in domains.items():
        for vif in vifs:
            words.setdefault(vif, []).append(word)
    return tuple(
        Candidate(each.name, seen.names.get(each.master, ""), tuple(words.get(each.name, ())))
        for each in seen.devices.values()
        if each.kind not in _NO_VIFS and each.name != _LOOPBACK
    )


def plans(wishes: Sequence[Wish]) -> Iterator[Plan]:
    """The plan of each of ``wishes``; what they share is compiled once. Raises InvalidInput."""
    alike: dict[tuple[int, Terms], list[int]] = {}
    for number, wish in enumerate(wishes):
        alike.setdefault((id(wish.policy), wish.terms), []).append(number)
    made: dict[int, Plan] = {}
    for (_, terms), numbers in alike.items():
        together = build_plan(
            [wishes[number].vifs for number in numbers],
            wishes[numbers[0]].policy,
            classifier=terms.classifier,
            rate=terms.rate,
            interval_ns=terms.interval_ns,
            limit=terms.limit,
            memory=terms.memory,
            decouple=terms.decouple,
        )
        for number, protection in zip(numbers, together.protections, strict=True):
            made[number] = replace(together, protections=(protection,))
    yield from (made[number] for number in range(len(wishes)))


def orders(wishes: Sequence[Wish]) -> Iterator[Order]:
    """The same, to be done. Raises InvalidInput."""
    for wish, plan in zip(wishes, plans(wishes), strict=True):
        yield Order(plan, wish.terms.rate, wish.terms.interval_ns)


def but_xls(run_dir: Path) -> Refuse:
    """Refuses what must not be done: what the netbuf script has set up belongs to ``xl``."""
    owned = owned_buffers(str(run_dir))

    def refuse(order: Order, look: Look) -> Conflict | None:
        vifs = order.plan.vifs
        buffers = {each.buffer for each in order.plan.protections}
        for buffer in sorted(owned & look.seen.devices.keys()):
            receipt = look.receipts.get(buffer)
            theirs = receipt.vifs if receipt is not None else ()
            if buffer in buffers or not set(vifs).isdisjoint(theirs):
                return Conflict(
                    f"{', '.join(vifs)}: the netbuf script of xl remus has set up {buffer}, which "
                    "belongs to xl: its policy is that of a [[domain]] of the host's file"
                )
        return None

    return refuse


def _by_number(name: str) -> list[tuple[int, str]]:
    """``vif10.0`` after ``vif9.0``."""
    return [(int(word), "") if word.isdigit() else (0, word) for word in _NUMBERS.split(name)]
