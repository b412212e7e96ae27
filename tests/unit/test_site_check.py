"""The check of the documentation's site: it notices what is fetched, and what leads nowhere."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from scripts.lib.site_check import problems

ROOT = Path(__file__).parents[2]


def site(folder: Path, body: str) -> list[str]:
    (folder / "sub").mkdir()
    (folder / "sub/other.html").write_text('<h2 id="there">x</h2>')
    (folder / "picture.png").touch()
    (folder / "index.html").write_text(body)
    return list(problems(folder))


def test_a_site_that_stands_alone_is_right(tmp_path: Path) -> None:
    body = """
        <link rel="stylesheet" href="picture.png"><img src="picture.png" alt="">
        <a href="sub/other.html#there">x</a> <a href="#here" id="here">y</a>
        <a href="https://example.org/">only a click goes there</a>
    """
    assert site(tmp_path, body) == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('<script src="https://example.org/x.js"></script>', "fetches https://example.org/x.js"),
        ('<link rel="preload" href="//example.org/font">', "fetches //example.org/font"),
        ('<img src="https://example.org/x.png">', "fetches https://example.org/x.png"),
        ('<a href="gone.html">x</a>', "gone.html: no such file"),
        ('<a href="sub/other.html#gone">x</a>', "sub/other.html#gone: no such anchor"),
        ('<a href="#gone">x</a>', "#gone: no such anchor"),
        ('<img src="gone.png">', "gone.png: no such file"),
    ],
)
def test_what_is_fetched_or_leads_nowhere_is_named(tmp_path: Path, body: str, said: str) -> None:
    assert site(tmp_path, body) == [f"index.html: {said}"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.css", "@import url('https://example.org/font.css');"),
        ("x.css", "a { background: url(//example.org/x.png) }"),
        ("x.js", 'fetch("https://example.org/search")'),
    ],
)
def test_styles_and_scripts_are_looked_through(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    (found,) = site(tmp_path, "")
    assert found.startswith(f"{name}: fetches ")


@pytest.mark.parametrize("words", [["--serve"], ["--out"]])
def test_the_script_refuses_what_it_does_not_know(words: list[str]) -> None:
    done = subprocess.run(
        [ROOT / "scripts/docs", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "see --help" in done.stderr


def test_no_pages_are_no_site(tmp_path: Path) -> None:
    (found,) = problems(tmp_path)
    assert found.endswith("no pages")
