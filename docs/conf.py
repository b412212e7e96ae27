"""How Sphinx makes the site of these pages: scripts/docs starts it.

The pages are Markdown as GitHub shows it; MyST reads the same dialect. The navigation is the list
in docs/README.md, so that a page is entered in one place.
"""

from __future__ import annotations

import re

import remusnet

project = "remusnet"
version = release = remusnet.__version__
copyright = "the remusnet authors; MIT"  # noqa: A001 - Sphinx's name for it
root_doc = "docs/README"
# From the top of the checkout: what a page links to beside docs/ is a page too.
include_patterns = [
    "docs/*.md",
    "docs/**/*.md",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "tests/data/README.md",
    "vagrant/README.md",
]
extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_heading_anchors = 4
default_role = "code"  # the docstrings' single backticks name things of Python
add_module_names = False
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 90

html_theme = "furo"  # fetches nothing: neither fonts nor scripts
html_title = "remusnet"
html_copy_source = False
html_show_sourcelink = False
pygments_style, pygments_dark_style = "friendly", "monokai"
highlight_language = "none"  # indented blocks are commands and what they print

_ENTRY = re.compile(r"\[[^\]]+\]\(([^)#\s]+)\.md\)")
_SECTION = re.compile(r"^## ([A-Z][A-Za-z-]+): .*$", re.MULTILINE)


def navigation(text: str) -> str:
    """The ``toctree`` of each section of docs/README.md: a heading with a colon, and a list."""
    trees = []
    _, *sections = _SECTION.split(text)
    for caption, listed in zip(sections[::2], sections[1::2], strict=True):
        pages = "\n".join(_ENTRY.findall(listed))
        trees.append(f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{pages}\n```\n")
    return "\n".join(trees)


def _read(_app: object, name: str, source: list[str]) -> None:
    if name == root_doc:
        source[0] += "\n" + navigation(source[0])


def setup(app: object) -> None:
    """Sphinx calls it."""
    app.connect("source-read", _read)
