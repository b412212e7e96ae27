"""Templates of pages, filled so that nothing from a capture or a file becomes markup."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from remusnet import __version__


def render(template: str, **values: Any) -> str:
    """The page that a file of ``templates/`` makes of ``values``; everything is escaped but Markup.

    Raises jinja2.UndefinedError for a value that the template needs and doesn't get.
    """
    environment = Environment(
        loader=PackageLoader("remusnet.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(version=__version__, **values)


def markup(text: str) -> Markup:
    """``text`` is markup of our own: a figure, in which matplotlib has escaped all text."""
    return Markup(text)
