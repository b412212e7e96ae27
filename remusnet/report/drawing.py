"""How figures look, and how they become files: the same bytes for the same figure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO, StringIO
from typing import TYPE_CHECKING, Any

from remusnet.extras import lacking

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from remusnet.metrics.arrivals import Float64s

# Okabe and Ito's colours, which colour-blind readers can tell apart.
BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#e69f00",
)
INK, FAINT, BAND = "#24292f", "#d0d7de", "#eaeef2"
AXIS, PAPER = "#8c959f", "#ffffff"
HELD, BYPASSED, LOST, OUTAGE = ORANGE, BLUE, "#a40e26", "#ffdcd7"
IN_PAGE = {
    INK: "--ink",
    FAINT: "--line",
    BAND: "--band",
    AXIS: "--axis",
    LOST: "--lost",
    OUTAGE: "--outage",
    BLUE: "--blue",
    ORANGE: "--orange",
    GREEN: "--green",
    PURPLE: "--purple",
    SKY: "--sky",
    YELLOW: "--yellow",
}
"""What a page's style calls the colours of figures: it has others of each for the dark."""

_OF_POLICY = {"tcp-only": BLUE, "real-time": GREEN, "hold-all": ORANGE, "stock-remus": PURPLE}
_OTHERS = (SKY, YELLOW, INK, BLUE, GREEN, ORANGE)

_STYLE: dict[Any, Any] = {  # matplotlib's stubs list each key, and would want them all literal
    # Text stays text: it can be searched and copied, and the page's own font draws it.
    "svg.fonttype": "none",
    # Without a salt matplotlib's identifiers are random.
    "svg.hashsalt": "remusnet",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "text.color": INK,
    # A name with two dollars in it is no formula.
    "text.parse_math": False,
    "axes.labelcolor": INK,
    "axes.edgecolor": AXIS,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "savefig.dpi": 110,
    "path.simplify": False,
}
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


@contextmanager
def style() -> Iterator[None]:
    """Figures made and written inside look alike, whatever the user's own matplotlibrc says.

    Raises MissingDependency without matplotlib.
    """
    try:
        import matplotlib
    except ImportError:
        raise lacking("figures need matplotlib", "report") from None
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def figure(rows: int, height: float, **subplots: Any) -> tuple[Figure, list[Axes]]:
    """A figure of ``rows`` axes above each other, each ``height`` inches; within `style`."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(9.2, rows * height + 0.8), layout="constrained")
    axes = made.subplots(rows, 1, squeeze=False, **subplots)
    return made, list(axes[:, 0])


def colours(policies: list[str]) -> dict[str, str]:
    """A colour for each policy; the shipped ones have the same in every figure."""
    others = iter(_OTHERS * len(policies))
    return {policy: _OF_POLICY.get(policy) or next(others) for policy in policies}


def broken(time: Float64s, value: Float64s, at: float) -> tuple[Float64s, Float64s]:
    """A series, ``time`` ascending, with a hole at ``at``: no line leads across it."""
    import numpy as np

    index = int(np.searchsorted(time, at))
    return np.insert(time, index, at), np.insert(value, index, np.nan)


def to_svg(figure: Figure) -> str:
    """A whole SVG document, without date or version; within `style`."""
    text = StringIO()
    figure.savefig(text, format="svg", metadata=_NO_METADATA)
    return text.getvalue()


def to_png(figure: Figure) -> bytes:
    """A PNG, without date or version; within `style`."""
    data = BytesIO()
    figure.savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()


def _in_page(colour: str) -> str:
    """What a page paints for a figure's colour; its own ground shows through."""
    return "none" if colour == PAPER else f"var({IN_PAGE[colour]})"


def inline(svg: str, name: str, title: str) -> str:
    """An SVG document as an element of a page, in the page's colours.

    Its identifiers get ``name`` in front: those of several figures are alike. ``title`` (plain
    text without markup) is what a screen reader says.
    """
    element = svg[svg.index("<svg") :]
    element = re.sub(r'\bid="', f'id="{name}-', element)
    element = re.sub(r'(href="|url\()#', rf"\1#{name}-", element)
    element = re.sub(
        r"\b(fill|stroke): (#[0-9a-f]{6})\b",
        lambda found: f"{found[1]}: {_in_page(found[2])}",
        element,
    )
    # In a page the size is the column's: the viewBox has the proportions.
    element = re.sub(r'(<svg\b[^>]*?) width="[^"]*"', r"\1", element, count=1)
    element = re.sub(r'(<svg\b[^>]*?) height="[^"]*"', r"\1", element, count=1)
    return element.replace("<svg", f'<svg role="img" aria-label="{title}"', 1)
