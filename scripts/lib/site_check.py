"""Looks at a built site: nothing is fetched from elsewhere, every link and anchor leads somewhere.

Sphinx checks the links that it has made itself, but neither those in HTML nor in its theme.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# A page loads these; what only a click opens may be anywhere.
_LOADED = {
    ("audio", "src"), ("embed", "src"), ("iframe", "src"), ("img", "src"), ("img", "srcset"),
    ("link", "href"), ("object", "data"), ("script", "src"), ("source", "src"), ("video", "src"),
}  # fmt: skip
_ELSEWHERE = re.compile(r"(?:https?:)?//")
_CSS = re.compile(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')\s]+)""")
_SCRIPT = re.compile(r"""(?:fetch|importScripts|import)\(\s*["'`]((?:https?:)?//[^"'`]+)""")


class Page(HTMLParser):
    """What a page loads, what it links to, and the anchors that it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes one element."""
        for name, value in attrs:
            if value is None:
                continue
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value)
            if (tag, name) in _LOADED and ("rel", "canonical") not in attrs:
                self.loaded.append(value)
            elif tag == "a" and name == "href":
                self.links.append(value)


def problems(site: Path) -> Iterator[str]:
    """A line for each thing that is wrong with the site in the folder ``site``."""
    site = site.resolve()
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    if not pages:
        yield f"{site}: no pages"
    for path, page in pages.items():
        where = path.relative_to(site)
        for target in page.loaded:
            if _ELSEWHERE.match(target):
                yield f"{where}: fetches {target}"
        for target in (*page.loaded, *page.links):
            parts = urlsplit(target)
            if parts.scheme or parts.netloc or target.startswith("data:"):
                continue
            file = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
            if not file.is_file():
                yield f"{where}: {target}: no such file"
            elif (
                parts.fragment
                and target in page.links
                and file.suffix == ".html"
                and unquote(parts.fragment) not in pages[file].anchors
            ):
                yield f"{where}: {target}: no such anchor"
    for kind, pattern in (("css", _CSS), ("js", _SCRIPT)):
        for path in sorted(site.rglob(f"*.{kind}")):
            for target in pattern.findall(path.read_text(encoding="utf-8", errors="replace")):
                yield f"{path.relative_to(site)}: fetches {target}"


if __name__ == "__main__":
    found = list(problems(Path(sys.argv[1])))
    for line in found:
        print(line, file=sys.stderr)
    sys.exit(1 if found else 0)
