"""A net in the language of graphviz: a cluster for each module."""

from __future__ import annotations

from collections.abc import Iterator

from remusnet.availability.module import Module
from remusnet.report.net.graph import Edge, Ends, Graph, Node, NodeKind, graph
from remusnet.report.net.outline import outline

_SHAPES = {
    NodeKind.PLACE: "shape=circle",
    NodeKind.PORT: "shape=doublecircle",
    NodeKind.TIMED: "shape=box",
    NodeKind.IMMEDIATE: "shape=box, height=0.1, style=filled, fillcolor=black",
    NodeKind.MODULE: "shape=component",
}
_ENDS = {
    Ends.ARROW: "",
    Ends.BOTH: "dir=both",
    Ends.CIRCLE: "arrowhead=odot",
    Ends.NONE: "dir=none, style=dashed",
}


def net_dot(net: Module) -> str:
    """A digraph; ``dot -Tsvg`` draws it."""
    lines = [f"digraph {_quoted(net.name)} {{", '  node [fontname="sans-serif"];']
    for number, shown in enumerate(outline(net)):
        lines += _cluster(graph(shown), number)
    return "\n".join((*lines, "}", ""))


def _cluster(drawn: Graph, number: int) -> Iterator[str]:
    yield f"  subgraph cluster_{number} {{"
    yield f"    label={_quoted(drawn.name)};"
    for index, node in enumerate(drawn.nodes):
        yield f"    n{number}_{index} [{_node(node)}];"
    for edge in drawn.edges:
        yield f"    n{number}_{edge.source} -> n{number}_{edge.target} [{_edge(edge)}];"
    yield "  }"


def _node(node: Node) -> str:
    tooltip = f"tooltip={_quoted(node.more)}"
    if node.kind == NodeKind.MODULE:
        return f"{_SHAPES[node.kind]}, label={_quoted(f'{node.label}: {node.inside}')}, {tooltip}"
    if node.kind == NodeKind.TIMED:
        return f"{_SHAPES[node.kind]}, label={_quoted(node.label)}, {tooltip}"
    inside, label = _quoted(node.inside), _quoted(node.label)
    return f"{_SHAPES[node.kind]}, label={inside}, xlabel={label}, {tooltip}"


def _edge(edge: Edge) -> str:
    label = f"label={_quoted(edge.label)}" if edge.label else ""
    return ", ".join(each for each in (_ENDS[edge.ends], label) if each)


def _quoted(text: str) -> str:
    """Of dot's escapes only these two matter within quotes: names have no line's end."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
