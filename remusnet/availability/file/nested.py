"""Names with dots, which TOML reads as tables in each other."""

from __future__ import annotations

from collections.abc import Mapping


def flattened(table: Mapping[str, object], *, leaf: str = "") -> dict[str, object]:
    """Nested tables by dotted names; a table that has the key ``leaf`` is a value itself."""
    found: dict[str, object] = {}
    waiting: list[tuple[str, object]] = list(table.items())
    while waiting:
        name, value = waiting.pop(0)
        if isinstance(value, dict) and value and not (leaf and leaf in value):
            waiting += [(f"{name}.{key}", each) for key, each in value.items()]
        else:
            found[name] = value
    return found
