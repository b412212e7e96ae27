"""Which policy a domain and a vif get: a host's file, in TOML, or every mistake in it at once.

The format is described in docs/reference/domain-policies.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any
from uuid import UUID

from remusnet.errors import InvalidInput
from remusnet.plan.devices import LONGEST_NAME, check_device_name, is_device_name
from remusnet.plan.terms import TERMS_KEYS, TableReader, Terms
from remusnet.tables.documents import Unfit, key_path, parse, unknown_keys
from remusnet.tables.mistakes import Mistake, MistakenFile, shown

MOST_DOMAINS = 1000

PORTS = "vif*"
"""Which ports of a bridge are meant where no pattern says it."""
_DOMAIN_KEYS = ("name", "uuid", "vif")
_VIF_KEYS = ("name", "pattern", "bridge", "domain")
_HIGHEST_VIF = 2**16 - 1
_LONGEST_PATTERN = 60


class DomainFileError(MistakenFile):
    """A file of domains with mistakes."""


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
class VifEntry:
    """The terms of some of a host's vifs: all that is not None has to match.

    ``path``: where it stands in its file, as ``vif[2]``. ``pattern``: of names, as a shell has
    them; ``bridge``: that they are ports of; ``domain``: as libvirt knows it, by name, UUID or
    number. ``protect``: False where such vifs are to be left as they are.
    """

    path: str
    name: str | None
    pattern: str | None
    bridge: str | None
    domain: str | None
    terms: Terms
    protect: bool = True

    def matches(self, vif: str, bridge: str, domains: Collection[str]) -> bool:
        """Whether it is about ``vif``, a port of ``bridge`` (empty: of none), which belongs to a
        domain that ``domains`` are words for.
        """
        pattern = self.pattern
        if pattern is None and self.name is None and self.domain is None:
            pattern = PORTS  # a bridge has an uplink, too
        return (
            self.name in (None, vif)
            and (pattern is None or fnmatchcase(vif, pattern))
            and self.bridge in (None, bridge)
            and (self.domain is None or self.domain in domains)
        )

    @property
    def wants(self) -> str:
        """What it is about, for a person: ``name "vif1.0"``."""
        words = zip(_VIF_KEYS, (self.name, self.pattern, self.bridge, self.domain), strict=True)
        return ", ".join(f"{key} {shown(word)}" for key, word in words if word is not None)


@dataclass(frozen=True, slots=True)
class DomainPolicies:
    """The first of ``domains`` that matches decides, else ``default``: under ``xl remus``.

    ``vifs``: what this host protects without it; the first that matches a vif decides, and where
    none does the vif is nobody's concern.
    """

    default: Terms = field(default_factory=Terms)
    domains: tuple[Domain, ...] = ()
    vifs: tuple[VifEntry, ...] = ()

    @property
    def policies(self) -> tuple[str, ...]:
        """Every policy that a vif gets, once."""
        vifs = (each.terms for each in self.vifs if each.protect)
        return tuple(dict.fromkeys(each.policy for each in (*self.all_terms, *vifs)))

    @property
    def all_terms(self) -> tuple[Terms, ...]:
        """Those of each domain, and the default: all that ``xl remus`` can come to."""
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
    unknown_keys(table, ("default", "domain", "vif"), "", mistakes)
    reader = _Reader(resolve, mistakes)
    default = reader.default(table.get("default", {}))
    domains = tuple(reader.domains(table.get("domain", []), default))
    vifs = tuple(reader.vifs(table.get("vif", []), default))
    if mistakes:
        raise DomainFileError(origin, tuple(mistakes))
    return DomainPolicies(default, domains, vifs)


def names_domains(text: str) -> bool:
    """Whether ``text`` means to be a file of domains: a policy has none of its keys so."""
    table = parse(text)
    if isinstance(table, Mistake):
        return False
    return "domain" in table or "vif" in table or isinstance(table.get("default"), dict)


@dataclass(frozen=True, slots=True)
class _Reader(TableReader):
    def default(self, table: object) -> Terms:
        if not isinstance(table, dict):
            self.mistake("default", f"{shown(table)} where settings belong", "[default]")
            return Terms()
        unknown_keys(table, TERMS_KEYS, "default", self.mistakes)
        return self.terms(table, "default", Terms())

    def domains(self, tables: object, default: Terms) -> Iterator[Domain]:
        seen: dict[object, str] = {}
        for path, table in self._tables(tables, "domain", _DOMAIN_KEYS):
            names = (
                self.read(table, "name", path, _name, None),
                self.read(table, "uuid", path, _uuid, None),
                self.read(table, "vif", path, _vif, None),
            )
            if not any(key in table for key in _DOMAIN_KEYS):
                self.mistake(path, "names no domain", 'name = "guest", or uuid, or vif')
            self._once(names, path, seen)
            yield Domain(*names, self.terms(table, path, default))

    def vifs(self, tables: object, default: Terms) -> Iterator[VifEntry]:
        seen: dict[object, str] = {}
        for path, table in self._tables(tables, "vif", (*_VIF_KEYS, "protect")):
            names = (
                self.read(table, "name", path, _device, None),
                self.read(table, "pattern", path, _pattern, None),
                self.read(table, "bridge", path, _device, None),
                self.read(table, "domain", path, _name, None),
            )
            protect = self.read(table, "protect", path, _flag, True)
            if not any(key in table for key in _VIF_KEYS):
                self.mistake(path, "names no vif", 'name = "vif1.0", or pattern, bridge or domain')
            if "name" in table and "pattern" in table:
                self.mistake(key_path(path, "pattern"), "a name and a pattern", "one of them")
            for key in table if not protect else ():
                if key in TERMS_KEYS:
                    problem = "terms of vifs that are not to be protected"
                    self.mistake(key_path(path, key), problem, "protect = false alone")
            self._once(names, path, seen)
            yield VifEntry(path, *names, self.terms(table, path, default), protect)

    def _tables(
        self, tables: object, key: str, keys: Sequence[str]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """The tables ``[[key]]``, each with its path; mistakes in what they are."""
        if not isinstance(tables, list):
            problem = f"{shown(tables)} where {key}s belong"
            self.mistake(key, problem, f"[[{key}]], in double brackets")
            return
        if len(tables) > MOST_DOMAINS:
            self.mistake(key, f"too many {key}s: {len(tables)}", f"at most {MOST_DOMAINS}")
            return
        for number, table in enumerate(tables, start=1):
            path = f"{key}[{number}]"
            if not isinstance(table, dict):
                self.mistake(path, f"{shown(table)} where a {key} belongs", f"[[{key}]]")
                continue
            unknown_keys(table, (*keys, *TERMS_KEYS), path, self.mistakes)
            yield path, table

    def _once(self, names: tuple[object, ...], path: str, seen: dict[object, str]) -> None:
        """Notes a mistake where another table is about the same."""
        if any(each is not None for each in names):
            first = seen.setdefault(names, path)
            if first != path:
                self.mistake(path, f"names the same as {first}", "each once")


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


def _device(value: object) -> str | None:
    try:
        if isinstance(value, str):
            return check_device_name(value)
    except InvalidInput:
        pass
    expected = f"a device's name: letters, digits, '.', '_' and '-', at most {LONGEST_NAME}"
    raise Unfit(f"invalid name: {shown(value)}", expected)


def _pattern(value: object) -> str | None:
    if isinstance(value, str) and 0 < len(value) <= _LONGEST_PATTERN:
        # What no device can be called matches nothing, and is a typing error.
        if all(letter in "*?[]!" or is_device_name(f"x{letter}") for letter in value):
            return value
    raise Unfit(f"invalid pattern: {shown(value)}", 'a pattern of names, such as "vif*.0"')


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise Unfit(f"invalid flag: {shown(value)}", "true or false")
