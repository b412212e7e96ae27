"""No module of remusnet needs, at any time, one that needs it: for its types and in functions too.

import-linter holds the rooms apart, and looks past imports for types; this looks at every one.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

ON_PURPOSE = {
    ("remusnet.policy.policy", "remusnet.policy.toml"): (
        "Policy.from_toml, which users know, reads what may extend a preset: presets are policies"
    ),
}
"""Imports that close a circle all the same, and why."""


def modules(root: Path) -> dict[str, Path]:
    """The modules of remusnet/ below ``root``, by their names."""
    found = {}
    for path in (root / "remusnet").rglob("*.py"):
        name = ".".join(path.relative_to(root).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


def imports(root: Path) -> dict[str, set[str]]:
    """Which other modules each one imports, wherever in its text."""
    files = modules(root)
    found: dict[str, set[str]] = {}
    for name, path in files.items():
        wanted = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                wanted |= {each.name for each in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{name}: a relative import"
                wanted |= {f"{node.module}.{each.name}" for each in node.names}
        found[name] = {_module(each, files) for each in wanted} - {"", name}
    return found


def _module(wanted: str, files: Mapping[str, Path]) -> str:
    """The module that ``wanted`` is, or is in; "" for none of ours."""
    while wanted and wanted not in files:
        wanted = wanted.rpartition(".")[0]
    return wanted


def circle(found: Mapping[str, set[str]]) -> list[str]:
    """One circle: modules of which each imports the next, and the last is the first again."""
    try:
        TopologicalSorter(found).prepare()
    except CycleError as error:
        # Its order is from what is needed to who needs it.
        return list(reversed(error.args[1]))
    return []


def test_no_module_needs_one_that_needs_it() -> None:
    found = imports(ROOT)
    for importer, wanted in ON_PURPOSE:
        found[importer].discard(wanted)
    assert circle(found) == []


@pytest.mark.parametrize(("importer", "wanted"), ON_PURPOSE)
def test_what_is_named_as_a_circle_still_is_one(importer: str, wanted: str) -> None:
    found = imports(ROOT)
    assert wanted in found[importer]
    for one, other in ON_PURPOSE:
        if (one, other) != (importer, wanted):
            found[one].discard(other)
    assert {importer, wanted} <= set(circle(found))


@pytest.mark.parametrize(
    "back",
    [
        "from remusnet import a",
        "def late():\n    import remusnet.a",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from remusnet.a import A",
    ],
)
def test_an_import_back_is_found_wherever_it_stands(back: str, tmp_path: Path) -> None:
    folder = tmp_path / "remusnet"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "a.py").write_text("from remusnet.b import B")
    (folder / "b.py").write_text("import json")
    assert circle(imports(tmp_path)) == []
    (folder / "b.py").write_text(back)
    assert set(circle(imports(tmp_path))) == {"remusnet.a", "remusnet.b"}
