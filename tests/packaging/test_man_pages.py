"""The man pages, as man and mandoc see them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from remusnet.cli.main import cli

ROOT = Path(__file__).parents[2]
WRITER = ROOT / "scripts" / "lib" / "man_pages.py"

pytestmark = [
    pytest.mark.packaging,
    pytest.mark.needs("groff", "man", "mandoc"),
    pytest.mark.xdist_group("man pages"),
]


def said(*words: str | Path, **environment: str) -> str:
    """What a formatter prints, on both its outputs; it must succeed."""
    done = subprocess.run(
        words,
        env={**os.environ, "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("man")
    said(sys.executable, WRITER, folder, SOURCE_DATE_EPOCH="1764374400")
    return {file.stem: file for file in sorted(folder.glob("*.1"))}


def commands(
    command: click.Command = cli, path: tuple[str, ...] = ("remusnet",)
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from commands(child, (*path, name))


def test_every_command_has_a_page_and_nothing_else_has_one(pages: dict[str, Path]) -> None:
    assert set(pages) == {"-".join(path) for path, each in commands() if not each.hidden}
    assert len(pages) > 30


def test_no_formatter_has_anything_to_say_of_them(pages: dict[str, Path]) -> None:
    assert said("mandoc", "-T", "lint", "-W", "warning", *pages.values()) == ""
    # What "man --warnings" starts, once for all; the pages themselves go nowhere.
    warnings = subprocess.run(
        ["groff", "-man", "-ww", "-Kutf8", "-Tutf8", "-z", *pages.values()],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (warnings.returncode, warnings.stderr) == (0, "")


def test_a_mistake_would_be_said(tmp_path: Path) -> None:
    """The formatters look, and the test above hears them."""
    page = tmp_path / "x.1"
    page.write_text('.TH X 1 2026-01-01 "x" "x"\n.SH NAME\nx \\- y\n.nosuch z\n.SH EMPTY\n')
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "nosuch" in done.stdout + done.stderr


@pytest.mark.parametrize("formatter", [("mandoc", "-T", "utf8"), ("man", "-l", "-Tutf8")])
def test_a_page_says_what_help_says(pages: dict[str, Path], formatter: tuple[str, ...]) -> None:
    shown = said(*formatter, pages["remusnet-apply"], MANWIDTH="200")
    plain = re.sub(r".\x08|\x1b\[[0-9;]*m", "", shown)
    flat = " ".join(plain.split())
    assert "remusnet-apply - Protect a vif: hold what its guest sends" in flat
    assert "remusnet apply [OPTIONS] [VIF...]" in flat
    assert "All or nothing: whatever fails, a signal too, leaves the kernel as it was." in flat
    assert "--decouple / --no-decouple Copy what is held" in flat
    assert "5 What would have to change belongs to another program or user." in flat
    assert re.search(r"EXAMPLES\n\s+remusnet apply vif1\.0\n", plain)
    assert "remusnet-verify(1)" in flat


def test_every_option_of_every_command_is_on_its_page(pages: dict[str, Path]) -> None:
    for path, command in commands():
        text = pages["-".join(path)].read_text(encoding="utf-8")
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                for name in parameter.opts:
                    assert name.replace("-", r"\-") in text, (path, name)


def test_the_same_source_date_makes_the_same_bytes(pages: dict[str, Path], tmp_path: Path) -> None:
    said(sys.executable, WRITER, tmp_path, SOURCE_DATE_EPOCH="1764374400")
    assert pages
    for name, file in pages.items():
        assert (tmp_path / f"{name}.1").read_bytes() == file.read_bytes()


def test_a_line_that_groff_would_obey_is_printed(tmp_path: Path) -> None:
    code = f"""
import sys; sys.path.insert(0, {str(WRITER.parent)!r})
import click, man_pages
command = click.Command("x", help="One.\\n\\n.so /etc/passwd\\n'br \\\\n[x] -- `a` ~ ^")
print(chr(10).join(man_pages._lines(click.Context(command, info_name="x"))))
"""
    page = tmp_path / "x.1"
    page.write_text(said(sys.executable, "-c", code), encoding="utf-8")
    assert r".so /etc/passwd 'br \n[x] -- `a` ~ ^" in " ".join(
        said("mandoc", "-T", "utf8", page).split()
    )
