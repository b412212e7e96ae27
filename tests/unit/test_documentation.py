"""The documentation: its code is run, what it names is there, and its lines are short."""

from __future__ import annotations

import ast
import builtins
import importlib.util
import re
import shutil
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        ROOT / "tests/data/README.md",
        ROOT / "vagrant/README.md",
    ]
)
HISTORY = ROOT / "CHANGELOG.md"
"""It names what was there then, and its lines are merged as they come."""
WIDEST = 100
_CODE = re.compile(r" *`[^`]+`[.,:;]?")
"""One message, or the form of a document: its spaces are its own."""

each_page = pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page != HISTORY],
    ids=lambda page: str(page.relative_to(ROOT)),
)


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """Lines by number that are neither code (what is typed, what a program prints) nor tables."""
    fenced = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not (fenced or line.startswith(("    ", "|")) or _CODE.fullmatch(line)):
            yield number, line


@each_page
def test_no_line_of_prose_is_wider_than_a_screen(page: Path) -> None:
    assert [number for number, line in prose(page) if len(line) > WIDEST] == []


@each_page
def test_every_module_that_a_page_names_is_there(page: Path) -> None:
    check_names(page.read_text(encoding="utf-8"))


def test_every_module_that_code_names_is_there() -> None:
    for folder in ("remusnet", "tests", "scripts"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            if file != Path(__file__):
                for names in re.findall(r"`+remusnet[./][^`]*`", file.read_text(encoding="utf-8")):
                    check_names(names)


@each_page
def test_every_file_of_python_that_a_page_names_by_its_end_is_there(page: Path) -> None:
    """As in `wire/codec.py`, within a room that is named before."""
    check_ends(page.read_text(encoding="utf-8"))


def test_a_file_of_python_that_is_gone_is_noticed() -> None:
    check_ends("`wire/codec.py` and `checkpoint.py`")
    for gone in ("`wire/of-old.py`", "`wire/gone.py`", "`odec.py`"):
        with pytest.raises(AssertionError):
            check_ends(gone)


def check_ends(text: str) -> None:
    there = python_files()
    for end in re.findall(r"`([\w/-]+\.py)`", text):
        assert any(f"/{path}".endswith(f"/{end}") for path in there), end


@cache
def python_files() -> tuple[str, ...]:
    """All that are ours, from the top folder."""
    ours = ("remusnet", "tests", "scripts", "vagrant", "docs")
    found = (file for folder in ours for file in (ROOT / folder).rglob("*.py"))
    return tuple(str(file.relative_to(ROOT)) for file in found)


def check_names(text: str) -> None:
    for path in re.findall(r"\bremusnet(?:/\w+)+\.py\b", text):
        assert (ROOT / path).is_file(), path
    for name in re.findall(r"\bremusnet(?:\.[A-Za-z_]\w*)+", text):
        if name.rpartition(".")[2] not in ("toml", "fish", "html", "prom"):
            assert _is_there(name), name


def test_every_name_that_a_docstring_quotes_is_of_its_room_or_has_its_whole_path() -> None:
    """`Plan.vifs`, where the same folder has a Plan; else `remusnet.plan.plan.Plan.vifs`."""
    files = {file: ast.parse(file.read_text("utf-8")) for file in (ROOT / "remusnet").rglob("*.py")}
    known = {file.parent: {*dir(builtins), *sys.stdlib_module_names} for file in files}
    for file, tree in files.items():
        known[file.parent] |= {file.stem, *names_in(tree)}
        if file.name == "__init__.py":
            known.get(file.parent.parent, set()).add(file.parent.name)
    unknown = [
        f"{file.relative_to(ROOT)}: {name}"
        for file, tree in files.items()
        for name in quoted_names(tree)
        if name not in known[file.parent] and name != "remusnet"
    ]
    assert unknown == []


def test_a_quoted_name_that_is_gone_is_noticed() -> None:
    tree = ast.parse('"""As `Old.one` and ``text``."""\nimport a.b as c\nx: int = y.z')
    assert list(quoted_names(tree)) == ["Old"]
    assert set(names_in(tree)) == {"c", "x", "int", "y", "z"}


def quoted_names(tree: ast.AST) -> Iterator[str]:
    """The first words of the names in single backquotes in docstrings."""
    for node in ast.walk(tree):
        match node:
            case ast.Expr(ast.Constant(str(text))):
                yield from re.findall(r"(?<!`)`([A-Za-z_]\w*)(?:\.\w+)*`(?!`)", text)


def names_in(tree: ast.AST) -> Iterator[str]:
    """All that a module defines, takes or uses."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name):
                yield name
            case ast.Name(name) | ast.Attribute(attr=name) | ast.arg(name):
                yield name
            case ast.alias(name, asname):
                yield (asname or name).partition(".")[0]


def test_every_room_says_what_it_knows() -> None:
    for file in sorted((ROOT / "remusnet").rglob("__init__.py")):
        assert ast.get_docstring(ast.parse(file.read_text("utf-8"))), file


def test_the_map_of_the_rooms_has_each_room_and_none_that_is_gone() -> None:
    text = (ROOT / "docs/explanation/rooms.md").read_text(encoding="utf-8")
    table = text.partition("## The rooms, from the top")[2].partition("## ")[0]
    named = set(re.findall(r"`(\w+/|\w+\.py)`", table))
    package = ROOT / "remusnet"
    folders = {f"{each.parent.name}/" for each in package.glob("*/__init__.py")}
    modules = {each.name for each in package.glob("*.py") if not each.name.startswith("__")}
    assert named >= folders
    within = {f"{each.parent.name}/" for each in package.glob("*/*/__init__.py")}
    assert named <= folders | within | modules


def test_nothing_speaks_of_an_issue_by_its_number() -> None:
    """Outside the tracker a number says nothing."""
    files = [
        file
        for folder in ("remusnet", "tests", "scripts", "docs", "vagrant", "tc_templates")
        for file in (ROOT / folder).rglob("*")
        if file.suffix in (".py", ".md", ".sh", ".toml", ".j2")
    ]
    for file in (*files, *ROOT.glob("*.md")):
        found = re.search(r"\bissue #?[0-9]", file.read_text(encoding="utf-8"), re.IGNORECASE)
        assert found is None, f"{file}: {found}"


@pytest.mark.parametrize("name", ["remusnet.kernel.gone", "remusnet.errors.Gone", "remusnet.gone"])
def test_a_module_that_is_gone_is_noticed(name: str) -> None:
    assert not _is_there(name)


def _is_there(name: str) -> bool:
    """Whether ``name`` is a module, or an attribute of one (of a class in one)."""
    words = name.split(".")
    for count in range(len(words), 0, -1):
        try:
            found = importlib.util.find_spec(".".join(words[:count]))
        except ModuleNotFoundError:
            continue
        if found is not None:
            thing: object = importlib.import_module(".".join(words[:count]))
            for word in words[count:]:
                if not hasattr(thing, word):
                    return False
                thing = getattr(thing, word)
            return True
    return False


def test_the_lines_of_the_front_doors_page_simulate_and_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first block needs a kernel: tests/kernel/test_front_door.py."""
    page = (ROOT / "docs/reference/python.md").read_text(encoding="utf-8")
    code = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[1]
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 5
    shutil.copy(ROOT / "tests/data/call.pcap", tmp_path)
    monkeypatch.chdir(tmp_path)
    exec(code, {})  # as it stands
    with pytest.raises(AssertionError, match="violations"):
        exec(code.replace("violations == 0", "violations > 0"), {})
