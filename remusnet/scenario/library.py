"""The scenarios that ship with remusnet."""

from __future__ import annotations

from importlib.resources import files

from remusnet.errors import InvalidInput, quoted, suggestion
from remusnet.scenario.scenario import Scenario
from remusnet.scenario.scenario_file import load

_FOLDER = files("remusnet.scenario") / "shipped"
_SUFFIX = ".toml"


def names() -> tuple[str, ...]:
    """Their names, figures in the order of their numbers, all others after them."""
    found = [each.name.removesuffix(_SUFFIX) for each in _FOLDER.iterdir()]
    return tuple(sorted(found, key=_order))


def _order(name: str) -> tuple[int, int, str]:
    number = name.removeprefix("fig").partition("-")[0]
    return (0, int(number), name) if number.isdigit() else (1, 0, name)


def text(name: str) -> str:
    """The file of the scenario of that name.

    Raises InvalidInput, with a suggestion, where there is none.
    """
    known = names()
    if name not in known:
        raise InvalidInput(
            f"unknown scenario: {quoted(name)}{suggestion(name, known)}; "
            f"known are {', '.join(known)}, or the path of a .toml file"
        )
    return (_FOLDER / f"{name}{_SUFFIX}").read_text("utf-8")


def shipped(name: str) -> Scenario:
    """The scenario of that name; raises as `text` does."""
    return load(text(name), f"{name}{_SUFFIX}")
