"""How a vif is protected: what files of a host say of it, in any of their tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from remusnet.defaults import CLASSIFIER, INTERVAL_NS, RATE_BITS
from remusnet.errors import RemusnetError
from remusnet.plan.devices import LARGEST_LIMIT, memory_limit, memory_needed, plug_limit
from remusnet.plan.plan import CLASSIFIERS, LARGEST_FRAME
from remusnet.policy.presets import DEFAULT_POLICY, HOLD_ALL, PRESETS
from remusnet.tables.documents import Unfit, is_path, key_path, read_word
from remusnet.tables.mistakes import Mistake, shown
from remusnet.units import parse_duration, parse_rate, parse_size

TERMS_KEYS = ("policy", "classifier", "interval", "rate", "limit", "memory", "decouple")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Terms:
    """How a vif is protected.

    ``policy``: the name of a shipped one, or a file's path. ``interval_ns``: between checkpoints;
    ``rate``: bits a second of the link; ``limit``: bytes, None for what follows from these two, or
    from ``memory``: the bytes of memory that each plug may cost. At most one of both is given.
    ``decouple``: whether held frames are copied, so that they keep nothing of the guest's.
    ``interval_given``: whether the user has asked for that interval.
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
class TableReader:
    """Reads tables of a host's file; every mistake goes to ``mistakes``.

    ``resolve`` makes a path of the file what it means there.
    """

    resolve: Callable[[str], str]
    mistakes: list[Mistake]

    def terms(self, table: Mapping[str, Any], path: str, default: Terms) -> Terms:
        """The terms in ``table``, which is at ``path``; what it does not say is ``default``'s."""
        if "limit" in table and "memory" in table:
            problem = "a limit and a memory budget"
            self.mistake(key_path(path, "memory"), problem, "one of them")
        # One of both takes the place of whatever the default has.
        own = "limit" in table or "memory" in table
        return Terms(
            policy=self.read(table, "policy", path, self._policy, default.policy),
            classifier=self.read(table, "classifier", path, _classifier, default.classifier),
            interval_ns=self.read(table, "interval", path, _interval, default.interval_ns),
            rate=self.read(table, "rate", path, _rate, default.rate),
            limit=self.read(table, "limit", path, _limit, None if own else default.limit),
            decouple=self.read(table, "decouple", path, _decouple, default.decouple),
            memory=self.read(table, "memory", path, _memory, None if own else default.memory),
            interval_given=default.interval_given or "interval" in table,
        )

    def read(
        self,
        table: Mapping[str, Any],
        key: str,
        path: str,
        read: Callable[[object], _T],
        default: _T,
    ) -> _T:
        """The value of ``key``; ``default`` where it is not there, or is a mistake."""
        if key not in table:
            return default
        try:
            return read(table[key])
        except Unfit as error:
            self.mistake(key_path(path, key), error.problem, error.expected)
            return default

    def mistake(self, path: str, problem: str, expected: str) -> None:
        """Notes one."""
        self.mistakes.append(Mistake(path, problem, expected))

    def _policy(self, value: object) -> str:
        if isinstance(value, str) and is_path(value):
            if not value.isprintable():
                raise Unfit(f"invalid path: {shown(value)}", "a path of printable characters")
            return self.resolve(value)
        try:
            return read_word(value, PRESETS, "policy")
        except Unfit as error:
            raise Unfit(error.problem, f"{error.expected}, or the path of a .toml file") from None


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
