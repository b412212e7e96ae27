"""Times, rates and sizes as people type them, and as remusnet prints them.

Inside, a time is an integer of nanoseconds, a rate an integer of bits a second and a size an
integer of bytes. Text is parsed exactly, in decimal arithmetic: ``0.1ms`` is 100,000 ns.
"""

from __future__ import annotations

import re
from decimal import Decimal

from remusnet.errors import InvalidInput, quoted

_NUMBER_UNIT = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*", re.ASCII)

_TIME_UNITS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "min": 60_000_000_000,
}
# tc's own words for rates; it counts in powers of ten for bits.
_RATE_UNITS = {"bit": 1, "kbit": 10**3, "mbit": 10**6, "gbit": 10**9, "tbit": 10**12}
_SIZE_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}
_LARGEST = 2**63 - 1


def _parse(text: str, units: dict[str, int], what: str, example: str) -> int:
    found = _NUMBER_UNIT.fullmatch(text)
    factor = units.get(found[2].lower()) if found else None
    if found is None or factor is None:
        raise InvalidInput(f"invalid {what}: {quoted(text)}; expected for example {example}")
    exact = Decimal(found[1]) * factor
    if exact != exact.to_integral_value():
        raise InvalidInput(f"invalid {what}: {quoted(text)} is finer than remusnet counts")
    if exact > _LARGEST:
        raise InvalidInput(f"invalid {what}: {quoted(text)} is too large")
    return int(exact)


def parse_duration(text: str) -> int:
    """Nanoseconds of ``"400ms"``, ``"1.5s"``, ``"20us"``; the unit is mandatory (0 needs none).

    Raises InvalidInput for anything else, negative times included.
    """
    if text.strip() == "0":
        return 0
    return _parse(text, _TIME_UNITS, "time", "400ms, 1.5s or 250us")


def parse_rate(text: str) -> int:
    """Bits a second of ``"1gbit"``, ``"100mbit"`` (tc's units, powers of ten); at least 1.

    Raises InvalidInput for anything else.
    """
    rate = _parse(text, _RATE_UNITS, "rate", "1gbit or 100mbit")
    if rate == 0:
        raise InvalidInput(f"invalid rate: {quoted(text)}; expected more than 0")
    return rate


def parse_size(text: str) -> int:
    """Bytes of ``"10000000"``, ``"10MB"`` (10**6) or ``"256KiB"`` (2**10).

    Raises InvalidInput for anything else.
    """
    return _parse(text, _SIZE_UNITS, "size", "10000000, 10MB or 256KiB")


def format_duration(ns: int) -> str:
    """The shortest exact form that `parse_duration` reads back: ``400ms``, ``1.5s``, ``250us``."""
    for unit in ("s", "ms", "us"):
        factor = _TIME_UNITS[unit]
        if ns >= factor and ns % (factor // 1000) == 0:
            return f"{Decimal(ns) / factor:f}{unit}"
    return f"{ns}ns" if ns else "0ms"


def format_rate(bits_per_second: int) -> str:
    """The shortest exact form in tc's units: ``1gbit``, ``100mbit``, ``1500kbit``."""
    for unit in ("tbit", "gbit", "mbit", "kbit"):
        factor = _RATE_UNITS[unit]
        if bits_per_second >= factor and bits_per_second % factor == 0:
            return f"{bits_per_second // factor}{unit}"
    return f"{bits_per_second}bit"


def format_size(count: int) -> str:
    """Bytes for a person, rounded: ``50.0 MB``, ``262 kB``, ``96 B``."""
    if count >= 10**9:
        return f"{count / 10**9:.1f} GB"
    if count >= 10**6:
        return f"{count / 10**6:.1f} MB"
    if count >= 10**4:
        return f"{count / 10**3:.0f} kB"
    return f"{count} B"
