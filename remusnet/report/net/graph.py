"""A module as a graph: what each renderer draws."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from remusnet.availability.net import ArcKind, Definition
from remusnet.report.net.outline import Shown
from remusnet.report.net.words import arcs_by_verb, colour_words, kind_words, tokens_words


class NodeKind(StrEnum):
    """What a node stands for."""

    PLACE = "place"
    PORT = "port"
    TIMED = "timed"
    IMMEDIATE = "immediate"
    MODULE = "module"


@dataclass(frozen=True, slots=True)
class Node:
    """``label``: its name; ``inside``: what stands in it; ``more``: what a tooltip says."""

    kind: NodeKind
    label: str
    inside: str = ""
    more: str = ""


class Ends(StrEnum):
    """How an edge ends."""

    ARROW = "arrow"
    BOTH = "both"
    CIRCLE = "circle"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Edge:
    """A line from a node to another one, by their numbers."""

    source: int
    target: int
    ends: Ends
    label: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """``name``: of its module."""

    name: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def graph(shown: Shown) -> Graph:
    """The graph of one module; what it includes is one node each."""
    module = shown.module
    nodes: list[Node] = []
    edges: list[Edge] = []
    numbers: dict[str, int] = {}
    for place in module.places.values():
        numbers[place.name] = len(nodes)
        kind = NodeKind.PORT if place.port else NodeKind.PLACE
        tokens = sum(place.tokens.values())
        inside = str(tokens) if tokens else ""
        nodes.append(Node(kind, place.name, inside, f"{place.name}: {tokens_words(place)}"))
    for definition in module.transitions.values():
        edges += _edges(definition, len(nodes), numbers)
        timed = definition.distribution is not None
        more = f"{definition.name}: {kind_words(definition)}"
        if definition.guard is not None:
            more += f"; when {definition.guard}"
        kind = NodeKind.TIMED if timed else NodeKind.IMMEDIATE
        nodes.append(Node(kind, definition.name, "", more))
    for name, inclusion in module.inclusions.items():
        for port, place in inclusion.bindings.items():
            label = port if port != place.name else ""
            edges.append(Edge(numbers[place.name], len(nodes), Ends.NONE, label))
        nodes.append(
            Node(NodeKind.MODULE, name, shown.inside[name], f"module {shown.inside[name]}")
        )
    return Graph(shown.name, tuple(nodes), tuple(edges))


def _edges(definition: Definition, number: int, places: dict[str, int]) -> list[Edge]:
    found = []
    for verb, arcs in arcs_by_verb(definition).items():
        for arc in arcs:
            place = places[arc.place.name]
            count = str(arc.count) if arc.count != 1 else ""
            label = f"{count}{colour_words(arc)}"
            if arc.kind == ArcKind.INHIBITS:
                found.append(Edge(place, number, Ends.CIRCLE, label))
            elif verb == "needs":
                found.append(Edge(place, number, Ends.BOTH, label))
            elif verb == "puts":
                found.append(Edge(number, place, Ends.ARROW, label))
            else:
                found.append(Edge(place, number, Ends.ARROW, label))
    return found
