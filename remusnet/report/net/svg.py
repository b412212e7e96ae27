"""A net drawn: circles, boxes and bars as Petri nets have them, one drawing a module."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from remusnet.availability.module import Module
from remusnet.report.net.graph import Edge, Ends, Graph, Node, NodeKind, graph
from remusnet.report.net.outline import outline
from remusnet.report.net.placing import Placed, Point, placed

_RADIUS = 13.0
_BOX = (34.0, 14.0)
_BAR = (34.0, 5.0)
_MODULE = (72.0, 26.0)
_LONGEST_LABEL = 15
_TITLE = 30.0

# In a page these are its own colours; alone, those of paper, or of the dark.
_INK, _PAPER, _SOFT = (
    "var(--ink, #24292f)",
    "var(--paper, #ffffff)",
    "var(--soft, #57606a)",
)
_ALONE = """<style>
svg { color-scheme: light dark; background: var(--paper, #ffffff); }
@media (prefers-color-scheme: dark) {
  svg { --ink: #e6edf3; --paper: #0d1117; --soft: #9aa4af; }
}
</style>"""


def net_svg(net: Module) -> str:
    """A whole SVG document: the modules below each other. Raises MissingDependency as `placed`."""
    drawings = []
    top = width = 0.0
    for shown in outline(net):
        drawn = graph(shown)
        where = placed(drawn)
        title = f'<text x="16" y="20" fill="{_INK}" font-weight="bold">{escape(shown.name)}</text>'
        body = "".join(_body(drawn, where))
        drawings.append(
            f'<g transform="translate(0 {top:.0f})">{title}'
            f'<g transform="translate(0 {_TITLE:.0f})">{body}</g></g>'
        )
        top += where.height + _TITLE
        width = max(width, where.width)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{top:.0f}" '
        f'viewBox="0 0 {width:.0f} {top:.0f}" font-family="sans-serif" font-size="11">'
        f"{_ALONE}{''.join(drawings)}</svg>\n"
    )


def module_svg(drawn: Graph) -> str:
    """One module as an element of a page. Raises MissingDependency as `placed`."""
    where = placed(drawn)
    return (
        f'<svg role="img" aria-label="{escape(f"The net {drawn.name}")}" '
        f'viewBox="0 0 {where.width:.0f} {where.height:.0f}" '
        f'class="net" style="--wide: {where.width:.0f}px" '
        f'font-family="inherit" font-size="11">{"".join(_body(drawn, where))}</svg>'
    )


def _body(drawn: Graph, where: Placed) -> Iterator[str]:
    for edge, way in zip(drawn.edges, where.ways, strict=True):
        yield from _edge(drawn, edge, [where.at[edge.source], *way, where.at[edge.target]])
    for number, node in enumerate(drawn.nodes):
        yield _node(node, where.at[number])


def _node(node: Node, at: Point) -> str:
    x, y = at
    line = f'stroke="{_INK}" fill="{_PAPER}" stroke-width="1.2"'
    inside = ""
    match node.kind:
        case NodeKind.PLACE | NodeKind.PORT:
            ring = ' stroke-dasharray="3 2"' if node.kind == NodeKind.PORT else ""
            shape = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_RADIUS:.0f}" {line}{ring}/>'
            inside, below = node.inside, _RADIUS
        case NodeKind.MODULE:
            shape = _rectangle(at, _MODULE, f"{line} rx='4'")
            inside, below = _short(node.inside, 12), _MODULE[1] / 2
        case NodeKind.TIMED:
            shape, below = _rectangle(at, _BOX, line), _BOX[1] / 2
        case _:
            filled = f'stroke="{_INK}" fill="{_INK}"'
            shape, below = _rectangle(at, _BAR, filled), _BAR[1] / 2
    texts = _text(x, y + 4, inside, _INK) if inside else ""
    texts += _text(x, y + below + 12, _short(node.label, _LONGEST_LABEL), _INK)
    return f"<g><title>{escape(node.more)}</title>{shape}{texts}</g>"


def _rectangle(at: Point, size: Point, style: str) -> str:
    x, y = at[0] - size[0] / 2, at[1] - size[1] / 2
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{size[0]:.0f}" height="{size[1]:.0f}" '
        f"{style}/>".replace("'", '"')
    )


def _text(x: float, y: float, text: str, colour: str) -> str:
    # A rim of paper keeps it legible where a line passes.
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" fill="{colour}" stroke="{_PAPER}" '
        f'stroke-width="3" paint-order="stroke">{escape(text)}</text>'
    )


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}\N{HORIZONTAL ELLIPSIS}"


def _edge(drawn: Graph, edge: Edge, points: Sequence[Point]) -> Iterator[str]:
    first = _trimmed(points[0], points[1], drawn.nodes[edge.source].kind)
    last = _trimmed(points[-1], points[-2], drawn.nodes[edge.target].kind)
    line = [first, *points[1:-1], last]
    dashes = ' stroke-dasharray="2 3"' if edge.ends == Ends.NONE else ""
    path = " L ".join(f"{x:.1f} {y:.1f}" for x, y in line)
    yield f'<path d="M {path}" fill="none" stroke="{_SOFT}"{dashes}/>'
    if edge.ends == Ends.CIRCLE:
        x, y = last
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{_PAPER}" stroke="{_SOFT}"/>'
    if edge.ends in (Ends.ARROW, Ends.BOTH):
        yield _arrow(line[-2], last)
    if edge.ends == Ends.BOTH:
        yield _arrow(line[1], first)
    if edge.label:
        middle = len(line) // 2
        (x, y), (to_x, to_y) = line[middle - 1], line[middle]
        yield _text((x + to_x) / 2, (y + to_y) / 2 + 4, edge.label, _SOFT)


def _trimmed(end: Point, before: Point, kind: NodeKind) -> Point:
    """Where a line from ``before`` meets the node around ``end``."""
    dx, dy = before[0] - end[0], before[1] - end[1]
    length = math.hypot(dx, dy) or 1.0
    if kind in (NodeKind.PLACE, NodeKind.PORT):
        share = (_RADIUS + 1) / length
    else:
        size = {NodeKind.MODULE: _MODULE, NodeKind.TIMED: _BOX}.get(kind, _BAR)
        sides = [s / 2 / abs(d) for s, d in zip(size, (dx, dy), strict=True) if d]
        share = min(sides, default=0.0)
    share = min(share, 0.45)
    return end[0] + dx * share, end[1] + dy * share


def _arrow(before: Point, tip: Point) -> str:
    angle = math.atan2(tip[1] - before[1], tip[0] - before[0])
    angles = (angle - 0.4, angle + 0.4)
    corners = [tip, *((tip[0] - 8 * math.cos(a), tip[1] - 8 * math.sin(a)) for a in angles)]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    return f'<polygon points="{points}" fill="{_SOFT}"/>'
