"""Where the nodes of a graph stand: layer by layer, as Sugiyama's method has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from remusnet.extras import lacking
from remusnet.report.net.graph import Graph

Point = tuple[float, float]

_SPACING = 92.0
_MARGIN = 40.0
_WIDEST = 1000.0


@dataclass(frozen=True, slots=True)
class Placed:
    """``at``: the middle of each node; ``ways``: the points that each edge passes between."""

    at: Mapping[int, Point]
    ways: Sequence[Sequence[Point]]
    width: float
    height: float


def placed(graph: Graph) -> Placed:
    """``graph`` in the plane. Raises MissingDependency without fast-sugiyama."""
    try:
        from fast_sugiyama import from_edges
    except ImportError:
        raise lacking("drawing a net needs fast-sugiyama", "report") from None
    at: dict[int, Point] = {}
    between: dict[tuple[int, int], list[Point]] = {}
    pairs = sorted({(each.source, each.target) for each in graph.edges})
    shelf = _Shelf()
    for nodes, width, height, steps in from_edges(pairs, vertex_spacing=_SPACING).to_list():
        left, top = shelf.put(width, height)
        # The first layer has the highest y there, and stands at the top here.
        points = {int(n): (left + x, top + height - y) for n, (x, y) in nodes}
        count = len(graph.nodes)
        at.update({n: point for n, point in points.items() if n < count})
        between.update(_ways(points, [(int(a), int(b)) for a, b in steps or ()], count))
    for number in range(len(graph.nodes)):
        if number not in at:  # nothing leads there
            at[number] = shelf.put(0.0, 0.0)
    ways = [between.get((each.source, each.target), []) for each in graph.edges]
    return Placed(at, ways, shelf.width + _MARGIN, shelf.height + _MARGIN)


def _ways(
    points: Mapping[int, Point], steps: Sequence[tuple[int, int]], count: int
) -> dict[tuple[int, int], list[Point]]:
    """The points between two nodes: those with numbers from ``count`` on are no nodes."""
    after: dict[int, int] = {a: b for a, b in steps if a >= count}
    found = {}
    for first, second in steps:
        if first >= count:
            continue
        between, end = [], second
        while end >= count:
            between.append(points[end])
            end = after[end]
        found[first, end] = between
    return found


class _Shelf:
    """Parts side by side, in rows."""

    def __init__(self) -> None:
        self.width = self.height = 0.0
        self._x, self._y = _MARGIN, _MARGIN

    def put(self, width: float, height: float) -> Point:
        """The upper left corner of a part so large."""
        if self._x > _MARGIN and self._x + width > _WIDEST:
            self._x, self._y = _MARGIN, self.height + _SPACING * 0.8
        corner = self._x, self._y
        self._x += width + _SPACING
        self.width = max(self.width, corner[0] + width)
        self.height = max(self.height, corner[1] + height)
        return corner
