"""Which policy a domain gets: the file of a Xen host, in TOML, or every mistake in it at once.

The format is described in docs/reference/domain-policies.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from remusnet.defaults import CLASSIFIER, INTERVAL_NS, RATE_BITS
from remusnet.errors import InvalidInput, RemusnetError
from remusnet.plan.limits import LARGEST_LIMIT, memory_limit, memory_needed, plug_limit
from remusnet.plan.names import check_device_name
from remusnet.plan.plan import CLASSIFIERS, LARGEST_FRAME
from remusnet.policy.presets import DEFAULT_POLICY, HOLD_ALL, PRESETS, is_policy_path
from remusnet.tables.documents import Unfit, key_path, parse, read_word, unknown_keys
from remusnet.tables.mistakes import Mistake, MistakenFile, shown
from remusnet.units import parse_duration, parse_rate, parse_size

MOST_DOMAINS = 1000

_TERMS_KEYS = ("policy", "classifier", "interval", "rate", "limit", "memory", "decouple")
_DOMAIN_KEYS = ("name", "uuid", "vif")
_HIGHEST_VIF = 2**16 - 1
_T = TypeVar("_T")


class DomainFileError(MistakenFile):
    """A file of domains with mistakes."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How a vif is protected.

    ``policy``: the name of a shipped one, or a file's path. ``interval_ns``: between checkpoints;
    ``rate``: bits a second of the link; ``limit``: bytes, None for what follows from these two,
    or from ``memory``: the bytes of memory that each plug may cost. At most one of both is given.
    ``decouple``: whether held frames are copied, so that they keep nothing of the guest's.
    ``interval_given``: whether somebody has asked for that interval.
    """

    policy: str = DEFAULT_POLICY.name
    classifier: str = CLASSIFIER
    interval_ns: int = INTERVAL_NS
    rate: int = RATE_BITS
    limit: int | None = None
    decouple: bool = True
    memory: int | None = None
    interval_given: bool = False

    @property
    def plug_limit(self) -> int:
        """Bytes that the plug takes."""
        if self.limit is not None:
            return self.limit
        if self.memory is not None:
            return memory_limit(self.memory)
        return max(plug_limit(self.rate, self.interval_ns), LARGEST_FRAME)


HOLD_EVERYTHING = Terms(policy=HOLD_ALL.name)
"""For those whose own terms can't be known: never no protection."""


@dataclass(frozen=True, slots=True)
class Domain:
    """The terms of one domain, or of one of its vifs; what is None matches any.

    ``vif``: its number in the domain's configuration, from 0, or its name.
    """

    name: str | None
    uuid: str | None
    vif: str | int | None
    terms: Terms


@dataclass(frozen=True, slots=True)
class DomainPolicies:
    """The first of ``domains`` that matches decides, else ``default``."""

    default: Terms = Terms()
    domains: tuple[Domain, ...] = ()

    @property
    def policies(self) -> tuple[str, ...]:
        """Every policy that somebody gets, once."""
        return tuple(dict.fromkeys(each.policy for each in self.all_terms))

    @property
    def all_terms(self) -> tuple[Terms, ...]:
        """Those of each domain, and the default."""
        return (*(each.terms for each in self.domains), self.default)

    @property
    def asks_for_domain(self) -> bool:
        """Whether anything depends on a domain's name or UUID."""
        return any(each.name is not None or each.uuid is not None for each in self.domains)

    def terms_of(self, name: str, uuid: str, vif: str, number: int) -> Terms:
        """The terms of the vif ``vif``, number ``number``, of the domain ``name``."""
        for each in self.domains:
            if _is_meant((each.name, each.uuid, each.vif), name, uuid, vif, number):
                return each.terms
        return self.default


def _is_meant(
    wanted: tuple[str | None, str | None, str | int | None],
    name: str,
    uuid: str,
    vif: str,
    number: int,
) -> bool:
    """Whether a domain and its vif are those that ``wanted`` (name, UUID, vif) names."""
    return all(
        wish is None or wish in is_
        for wish, is_ in zip(wanted, ((name,), (uuid,), (vif, number)), strict=True)
    )


def load_domains(text: str, origin: str, resolve: Callable[[str], str]) -> DomainPolicies:
    """What ``text`` describes; ``origin`` is its file's name, for messages.

    ``resolve`` makes a path of the file what it means there. Raises DomainFileError with every
    mistake; broken TOML is one mistake.
    """
    table = parse(text)
    if isinstance(table, Mistake):
        raise DomainFileError(origin, (table,))
    mistakes: list[Mistake] = []
    unknown_keys(table, ("default", "domain"), "", mistakes)
    reader = _Reader(resolve, mistakes)
    default = reader.default(table.get("default", {}))
    domains = reader.domains(table.get("domain", []), default)
    if mistakes:
        raise DomainFileError(origin, tuple(mistakes))
    return DomainPolicies(default, tuple(domains))


def names_domains(text: str) -> bool:
    """Whether ``text`` means to be a file of domains: a policy has neither of its two keys so."""
    table = parse(text)
    if isinstance(table, Mistake):
        return False
    return "domain" in table or isinstance(table.get("default"), dict)


@dataclass(frozen=True, slots=True)
class _Reader:
    resolve: Callable[[str], str]
    mistakes: list[Mistake]

    def default(self, table: object) -> Terms:
        if not isinstance(table, dict):
            self._mistake("default", f"{shown(table)} where settings belong", "[default]")
            return Terms()
        unknown_keys(table, _TERMS_KEYS, "default", self.mistakes)
        return self._terms(table, "default", Terms())

    def domains(self, tables: object, default: Terms) -> list[Domain]:
        if not isinstance(tables, list):
            problem = f"{shown(tables)} where domains belong"
            self._mistake("domain", problem, "[[domain]], in double brackets")
            return []
        if len(tables) > MOST_DOMAINS:
            self._mistake("domain", f"too many domains: {len(tables)}", f"at most {MOST_DOMAINS}")
            return []
        found: list[Domain] = []
        for number, table in enumerate(tables, start=1):
            path = f"domain[{number}]"
            if not isinstance(table, dict):
                self._mistake(path, f"{shown(table)} where a domain belongs", "[[domain]]")
                continue
            unknown_keys(table, (*_DOMAIN_KEYS, *_TERMS_KEYS), path, self.mistakes)
            if not any(key in table for key in _DOMAIN_KEYS):
                self._mistake(path, "names no domain", 'name = "guest", or uuid, or vif')
            domain = Domain(
                self._read(table, "name", path, _name, None),
                self._read(table, "uuid", path, _uuid, None),
                self._read(table, "vif", path, _vif, None),
                self._terms(table, path, default),
            )
            names = (domain.name, domain.uuid, domain.vif)
            same = [
                at
                for at, each in enumerate(found, start=1)
                if names == (each.name, each.uuid, each.vif) != (None, None, None)
            ]
            if same:
                self._mistake(path, f"names the same as domain[{same[0]}]", "each once")
            found.append(domain)
        return found

    def _terms(self, table: Mapping[str, Any], path: str, default: Terms) -> Terms:
        if "limit" in table and "memory" in table:
            problem = "a limit and a memory budget"
            self._mistake(key_path(path, "memory"), problem, "one of them")
        # One of both takes the place of whatever the default has.
        own = "limit" in table or "memory" in table
        return Terms(
            policy=self._read(table, "policy", path, self._policy, default.policy),
            classifier=self._read(table, "classifier", path, _classifier, default.classifier),
            interval_ns=self._read(table, "interval", path, _interval, default.interval_ns),
            rate=self._read(table, "rate", path, _rate, default.rate),
            limit=self._read(table, "limit", path, _limit, None if own else default.limit),
            decouple=self._read(table, "decouple", path, _decouple, default.decouple),
            memory=self._read(table, "memory", path, _memory, None if own else default.memory),
            interval_given=default.interval_given or "interval" in table,
        )

    def _policy(self, value: object) -> str:
        if isinstance(value, str) and is_policy_path(value):
            if not value.isprintable():
                raise Unfit(f"invalid path: {shown(value)}", "a path of printable characters")
            return self.resolve(value)
        try:
            return read_word(value, PRESETS, "policy")
        except Unfit as error:
            raise Unfit(error.problem, f"{error.expected}, or the path of a .toml file") from None

    def _read(
        self,
        table: Mapping[str, Any],
        key: str,
        path: str,
        read: Callable[[object], _T],
        default: _T,
    ) -> _T:
        if key not in table:
            return default
        try:
            return read(table[key])
        except Unfit as error:
            self._mistake(key_path(path, key), error.problem, error.expected)
            return default

    def _mistake(self, path: str, problem: str, expected: str) -> None:
        self.mistakes.append(Mistake(path, problem, expected))


def _name(value: object) -> str | None:
    # No limit of Xen's own is smaller than that of a path in xenstore.
    if isinstance(value, str) and value.isprintable() and 0 < len(value) <= 255:
        return value
    raise Unfit(f"invalid name: {shown(value)}", "the domain's name, as xl list shows it")


def _uuid(value: object) -> str | None:
    expected = 'a UUID, as xl list -v shows it: "f2b1c0de-0000-4000-8000-000000000001"'
    try:
        if isinstance(value, str):
            return str(UUID(value))
    except ValueError:
        pass
    raise Unfit(f"invalid UUID: {shown(value)}", expected)


def _vif(value: object) -> str | int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _HIGHEST_VIF:
        return value
    try:
        if isinstance(value, str):
            return check_device_name(value)
    except InvalidInput:
        pass
    raise Unfit(f"invalid vif: {shown(value)}", "its number in the domain, from 0, or its name")


def _classifier(value: object) -> str:
    return read_word(value, CLASSIFIERS, "classifier")


def _quantity(
    value: object, what: str, expected: str, read: Callable[[str], int], least: int, most: int
) -> int:
    try:
        if isinstance(value, str) and least <= (number := read(value)) <= most:
            return number
    except RemusnetError:
        pass
    raise Unfit(f"invalid {what}: {shown(value)}", expected)


def _interval(value: object) -> int:
    return _quantity(value, "time", 'a time such as "200ms"', parse_duration, 1, 2**63 - 1)


def _rate(value: object) -> int:
    return _quantity(value, "rate", 'a rate such as "1gbit"', parse_rate, 1, 2**63 - 1)


def _limit(value: object) -> int | None:
    expected = f'a size such as "50MB", at least {LARGEST_FRAME} bytes (one GSO frame)'
    return _quantity(value, "size", expected, parse_size, LARGEST_FRAME, LARGEST_LIMIT)


def _memory(value: object) -> int | None:
    least = memory_needed(LARGEST_FRAME)
    expected = f'a size such as "64MB", at least {least} bytes (12.5 times one GSO frame)'
    return _quantity(value, "size", expected, parse_size, least, memory_needed(LARGEST_LIMIT))


def _decouple(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise Unfit(f"invalid decouple: {shown(value)}", "true or false")
