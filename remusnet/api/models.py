"""Availability models by name or path."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from remusnet.tables.documents import is_path, read_text

if TYPE_CHECKING:
    from remusnet.availability.model import Blueprint


def named(word: str, settings: Iterable[str] = ()) -> Blueprint:
    """What makes the model that ``word`` names: one that ships, or a file (.toml, or a path).

    ``settings``: values of parameters, such as ``host.mttr=4h``. Raises InvalidInput for an
    unknown name, a file that can't be read, mistakes in it, and settings that are none.
    """
    from remusnet.availability.file.model_file import load
    from remusnet.availability.models.library import blueprint

    if not is_path(word):
        return blueprint(word, settings)
    return load(read_text(word), word, settings)
