"""The parameters of the designs: a default, its unit, and where it is from."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from remusnet.availability.module import DAY, HOUR, MINUTE, YEAR
from remusnet.errors import InvalidInput, quoted, suggestion

_TIME = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?(?:e-?[0-9]{1,3})?)\s*([a-z]+)\s*", re.ASCII)
_SHARE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?)\s*(%?)\s*", re.ASCII)
_NUMBER = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?(?:e-?[0-9]{1,3})?)\s*", re.ASCII)
UNITS: Final = {"ms": 1e-3, "s": 1.0, "min": MINUTE, "h": HOUR, "d": DAY, "y": YEAR}
_LONGEST_S = 1e12


class Unit(StrEnum):
    """What a parameter's number means."""

    TIME = "time"
    SHARE = "share"
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class Parameter:
    """``default``: as a user would type it. ``source``: who says so."""

    name: str
    default: str
    unit: Unit
    meaning: str
    source: str

    def read(self, text: str) -> float:
        """Seconds, a share of 1, or a number of more than 0. Raises InvalidInput."""
        match self.unit:
            case Unit.TIME:
                return parse_time(text, self.name)
            case Unit.SHARE:
                return _share(text, self.name)
            case Unit.NUMBER:
                return _number(text, self.name)

    def shown(self, number: float) -> str:
        """``number`` as a user would type it."""
        match self.unit:
            case Unit.TIME:
                return shown_time(number)
            case Unit.SHARE:
                return f"{100 * number:.4g}%"
            case Unit.NUMBER:
                return f"{number:.4g}"


def parse_time(text: str, name: str = "time") -> float:
    """Seconds of ``"150s"``, ``"4h"``, ``"1.5y"``; more than 0. Raises InvalidInput."""
    found = _TIME.fullmatch(text)
    if found is None or found[2] not in UNITS:
        raise InvalidInput(f"{name}: invalid time: {quoted(text)}; expected for example 1s, 4h, 3d")
    seconds = float(found[1]) * UNITS[found[2]]
    if not 0 < seconds <= _LONGEST_S:
        raise InvalidInput(f"{name}: {quoted(text)}; expected more than 0, at most 30,000 years")
    return seconds


def shown_time(seconds: float) -> str:
    """A time for a person: ``1s``, ``2.75min``, ``3d``."""
    unit = max((each for each in UNITS.values() if each <= seconds), default=1e-3)
    word = next(word for word, each in UNITS.items() if each == unit)
    return f"{seconds / unit:.4g}{word}"


def _share(text: str, name: str) -> float:
    found = _SHARE.fullmatch(text)
    share = math.nan if found is None else float(found[1]) / (100 if found[2] else 1)
    if not 0 <= share < 1:
        raise InvalidInput(f"{name}: invalid share: {quoted(text)}; expected 0 to below 1, or 1%")
    return share


def _number(text: str, name: str) -> float:
    found = _NUMBER.fullmatch(text)
    number = math.nan if found is None else float(found[1])
    if not 0 < number <= _LONGEST_S:
        raise InvalidInput(f"{name}: invalid number: {quoted(text)}; expected more than 0")
    return number


_NKP = "Nguyen, Kim, Park 2014 (TSWJ 165316), table 3"
_THESIS = "Hlaváček 2014, 5.5-5.7"
_ASSUMED = "assumed"


def _time(name: str, default: str, meaning: str, source: str) -> Parameter:
    return Parameter(name, default, Unit.TIME, meaning, source)


def _part(name: str, default: str, meaning: str, source: str) -> Parameter:
    return Parameter(name, default, Unit.SHARE, meaning, source)


PARAMETERS: Final[Mapping[str, Parameter]] = {
    each.name: each
    for each in (
        _time("host.mttf", "1y", "a host's mean time to failure", _NKP),
        _time("host.mttr", "3d", "its mean time to repair", _NKP),
        _time("hypervisor.mttf", "2654h", "a hypervisor's mean time to failure", _NKP),
        _time("hypervisor.mttr", "100min", "its mean time to repair", _NKP),
        _time("hypervisor.boot", "1min", "its start, after the host is back", _NKP),
        _time("guest.mttf", "2893h", "a guest system's mean time to failure", _NKP),
        _time("guest.mttr", "30min", "its mean time to repair", _NKP),
        _time("guest.boot", "30s", "its start, after the hypervisor is back", _NKP),
        _time("section.mttf", "2208h", "mean life of each of the six sections", _THESIS),
        _time("section.mttr", "165s", "mean repair of a section: 30 to 300 s", _THESIS),
        _time("app.start", "10s", "the server program's start", _ASSUMED),
        _time("actor.mttf", "2208h", "an actor's mean time to failure", _THESIS),
        _time("actor.restart", "1s", "its restart; the thesis doesn't say", _ASSUMED),
        _part("actor.sticky", "1%", "restarts that fail again at once", _ASSUMED),
        _time("actor.window", "30s", "after which a restart is forgotten (T7)", _THESIS),
        _time("remus.failover", "1s", "silence until the backup runs", _THESIS),
        _time("remus.epoch", "200ms", "what a failover loses of set-ups: 40 to 200 ms", _THESIS),
        _time("remus.copy", "10min", "copying a guest to a new backup", _ASSUMED),
        _part("remus.splitbrain", "0.1%", "failovers after which both hosts run", _ASSUMED),
        _time("splitbrain.mttr", "30min", "until somebody has ended that", _ASSUMED),
        _time("standby.takeover", "150s", "takeover of the address", "IBM Redbook: 2.5 min"),
        _time("call.mean", "180s", "mean time that a call goes on", _ASSUMED),
    )
}


@dataclass(frozen=True, slots=True)
class Values:
    """A number for each parameter: seconds, or a share."""

    numbers: Mapping[str, float]

    def __getitem__(self, name: str) -> float:
        return self.numbers[name]


def values(settings: Iterable[str] = ()) -> Values:
    """The defaults, with ``settings`` such as ``host.mttr=4h`` in their place.

    Raises InvalidInput for an unknown parameter, or a value that does not fit it.
    """
    numbers = {name: each.read(each.default) for name, each in PARAMETERS.items()}
    numbers.update(settings_of(settings, PARAMETERS))
    return Values(numbers)


def settings_of(settings: Iterable[str], known: Mapping[str, Parameter]) -> dict[str, float]:
    """The numbers of ``settings`` such as ``host.mttr=4h``, by name.

    Raises InvalidInput for a name that is not ``known``, or a value that does not fit it.
    """
    numbers = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        name = name.strip()
        if not equals:
            raise InvalidInput(f"{quoted(setting)}: expected PARAMETER=VALUE, as in host.mttr=4h")
        if name not in known:
            raise InvalidInput(f"unknown parameter {quoted(name)}{suggestion(name, known)}")
        numbers[name] = known[name].read(text)
    return numbers
