"""A net to be read, module by module."""

from __future__ import annotations

from collections.abc import Iterator

from remusnet.availability.module import Module
from remusnet.availability.net import Definition
from remusnet.report.net.outline import Shown, outline
from remusnet.report.net.words import arc_words, arcs_by_verb, kind_words, tokens_words


def net_text(net: Module) -> str:
    """Each module: its places, what it includes, its transitions."""
    return "\n".join(line for shown in outline(net) for line in _module(shown))


def _module(shown: Shown) -> Iterator[str]:
    module = shown.module
    if not shown.at:
        yield f"net {shown.name}"
    else:
        times = "" if shown.times == 1 else f", and {shown.times - 1} times more"
        yield ""
        yield f"module {shown.name} (as {shown.at}{times})"
    width = max((len(name) for name in (*module.places, *module.inclusions)), default=0)
    for place in module.places.values():
        yield f"  {place.name:{width}}  {tokens_words(place)}"
    for name, inclusion in module.inclusions.items():
        ports = ", ".join(f"{port} = {place.name}" for port, place in inclusion.bindings.items())
        yield f"  {name:{width}}  module {shown.inside[name]}{f' ({ports})' if ports else ''}"
    for definition in module.transitions.values():
        yield f"  {definition.name}: {kind_words(definition)}"
        yield f"      {_arcs(definition)}"


def _arcs(definition: Definition) -> str:
    parts = [
        f"{verb} {', '.join(map(arc_words, arcs))}"
        for verb, arcs in arcs_by_verb(definition).items()
        if arcs
    ]
    if definition.guard is not None:
        parts.append(f"when {definition.guard}")
    return "; ".join(parts)
