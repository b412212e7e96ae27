"""Reports as they lie in a window or on paper: by geometry, and by the colours that are painted."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from remusnet.cli.main import main
from remusnet.emulator.run.scenario_run import run_scenario
from remusnet.policy import preset
from remusnet.report.folder import MARKER
from remusnet.report.thesis import SHOWN, draw, write_figures
from remusnet.scenario.library import shipped
from tests.lib.browser import Browser
from tests.lib.designs import compared

ROOT = Path(__file__).parents[2]
RECORDING = ROOT / "tests" / "data" / "call.pcap"
OWN_REMUS = ROOT / "docs" / "examples" / "availability" / "our-remus.toml"
THESIS_CALL = ROOT / "docs" / "examples" / "scenarios" / "thesis-call.toml"
WIDTHS = (1280, 500, 390)
PAPER = 688
"""CSS pixels between the margins of A4: (210 - 2 x 14) mm at 96 pixels an inch."""

# One worker for all: a browser takes as much memory as all the rest.
pytestmark = [
    pytest.mark.browser,
    pytest.mark.needs("chromium"),
    pytest.mark.xdist_group("browser"),
]

# A scenario with all that a page can have: long addresses, hazards, a failover, both kinds of SIP.
SCENARIO = """
name = "everything"
description = "Calls over IPv6, SIP over UDP and TCP, and a failover."
assumptions = ["All of it is made up."]
duration = "6s"
policies = ["tcp-only", "real-time", "hold-all", "stock-remus"]
[checkpoint]
period = "400ms"
pause = "50ms"
[[calls]]
count = 2
ip = "ipv6"
[[sip]]
transport = "udp"
[[sip]]
[[tcp]]
[failure]
at = "3s"
detection = "1s"
"""
LONG = "rtp[policy=tcp-only,ssrc=0x600d0001,flow='udp 192.0.2.10:20000 > *'].jitter.mean < 6ms"


def simulated(folder: Path, *arguments: str) -> Path:
    with pytest.raises(SystemExit):
        main(["simulate", *arguments, "--report", str(folder)])
    return folder / "index.html"


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    asked = ("--assert", LONG, "--assert", "rtp.jitter.mean < 6ms")
    folder = tmp_path_factory.mktemp("recording") / "report"
    return simulated(folder, str(RECORDING), "--interval", "345ms", *asked)


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenario")
    file = folder / "everything.toml"
    file.write_text(SCENARIO)
    return simulated(folder / "report", str(file), "--assert", "commit.violations == 0")


@pytest.fixture(scope="module")
def thesis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("thesis")
    drawn = []
    for shown in SHOWN:
        if shown.scenario in ("fig10", "fig12"):
            found = shipped(shown.scenario)
            policies = [preset(policy) for policy in found.policies]
            drawn.append(draw(shown, run_scenario(found, policies).comparison))
    *_, page = write_figures(folder, tuple(drawn))
    return page


@pytest.fixture(scope="module")
def availability(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("availability") / "report"
    asked = ("--assert", "nines >= 3", "--assert", "downtime[service=new-calls] < 1h")
    with pytest.raises(SystemExit):
        main(["availability", "run", str(OWN_REMUS), *asked, "--report", str(folder)])
    return folder / "index.html"


@pytest.fixture(scope="module")
def designs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compared(tmp_path_factory).report / "index.html"


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuned") / "report"
    asked = ("--require", "mos.min >= 3.5", "--require", "tcp.hold.p99 < 300ms")
    with pytest.raises(SystemExit):
        main(
            [
                *("tune", str(THESIS_CALL), "--guest", "busy-pbx", *asked, "--jobs", "1"),
                *("--interval", "100ms,140ms,200ms", "--report", str(folder)),
            ]
        )
    return folder / "index.html"


@pytest.fixture(params=["recording", "scenario", "thesis", "availability", "designs", "tuned"])
def page(request: pytest.FixtureRequest) -> Path:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Path)
    return found


# For each cell, the words that are broken, or wider than it. A word may be broken behind a hyphen.
BROKEN_WORDS = """
[...document.querySelectorAll('th, td')].flatMap(cell => {
  const found = [];
  const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
  const style = getComputedStyle(cell);
  const room = cell.clientWidth - parseFloat(style.paddingLeft);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    for (const match of node.data.matchAll(/[^\\s-]+/g)) {
      const range = document.createRange();
      range.setStart(node, match.index);
      range.setEnd(node, match.index + match[0].length);
      const boxes = range.getClientRects();
      if (boxes.length > 1 || (boxes.length && boxes[0].width > room + 0.5))
        found.push(match[0]);
    }
  }
  return found;
})
"""
# How far each element with text of its own reaches beyond the window, unless in a box that scrolls.
BEYOND = """
[...document.querySelectorAll('body *')].filter(each =>
  !each.closest('.scroll') && each.getBoundingClientRect().right > innerWidth + 0.5
).map(each => each.tagName + ' ' + each.textContent.slice(0, 40))
"""


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_window_and_no_word_in_a_table_is_broken(
    chromium: Browser, page: Path, width: int
) -> None:
    chromium.show(page, width)
    assert chromium.value("document.documentElement.scrollWidth") == width
    assert chromium.value(BEYOND) == []
    assert chromium.value(BROKEN_WORDS) == []


def test_what_is_wider_than_a_telephone_can_be_scrolled_and_read(
    chromium: Browser, recording: Path
) -> None:
    chromium.show(recording, 390)
    boxes = chromium.value(
        "[...document.querySelectorAll('.scroll')].map(each =>"
        " [getComputedStyle(each).overflowX, each.tabIndex, each.getAttribute('aria-label')])"
    )
    assert len(boxes) == 5
    assert all(overflow == "auto" and place == 0 and name for overflow, place, name in boxes)
    # Text of figures shrinks with them: 640 pixels leave 10 points of 883 pixels 7 points.
    widths = chromium.value("[...document.querySelectorAll('figure svg')].map(e => e.clientWidth)")
    assert min(widths) >= 600


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_from_its_ground(chromium: Browser, page: Path, dark: bool) -> None:
    """At least 4.5 to 1, WCAG 2's contrast for text; in the page's figures too."""
    chromium.show(page, 1280, dark=dark)
    found = chromium.value(CONTRASTS)
    assert len(found) > 20
    assert [each for each in found if each[0] < 4.5] == []
    assert (brightness(chromium) < 0.1) == dark


@pytest.mark.parametrize("dark", [False, True])
def test_figures_have_the_page_s_colours(chromium: Browser, recording: Path, dark: bool) -> None:
    """Their own are for white. A line stands out by 3 to 1 (WCAG 2, graphics), a light one less."""
    chromium.show(recording, 1280, dark=dark)
    painted = chromium.value(
        "[...document.querySelectorAll('figure svg [style]')].flatMap(e => {"
        " const s = getComputedStyle(e); return [s.stroke, s.fill]; })"
    )
    colours = {each for each in painted if each.startswith("rgb")}
    assert ("rgb(255, 255, 255)" in colours) is False
    dull = "rgb(36, 41, 47)"  # the ink of paper
    assert (dull in colours) is not dark


def brightness(chromium: Browser) -> float:
    return float(chromium.value(f"({LUMINANCE})(getComputedStyle(document.body).backgroundColor)"))


LUMINANCE = """
colour => {
  const [r, g, b] = colour.match(/[0-9.]+/g).map(Number).map(each => each / 255).map(each =>
    each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
"""
# (contrast, text) of each element that has text of its own.
CONTRASTS = (
    """
(() => {
  const luminance = """
    + LUMINANCE
    + """;
  const ground = each => {
    for (let at = each; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!colour.startsWith('rgba(0, 0, 0, 0')) return colour;
    }
  };
  return [...document.querySelectorAll('body *')].filter(each =>
    [...each.childNodes].some(node => node.nodeType == 3 && node.data.trim()) &&
    each.getClientRects().length
  ).map(each => {
    const style = getComputedStyle(each);
    const ink = luminance(each.closest('svg') ? style.fill : style.color);
    const paper = luminance(ground(each));
    const [low, high] = [Math.min(ink, paper), Math.max(ink, paper)];
    return [(high + 0.05) / (low + 0.05), each.textContent.slice(0, 40)];
  });
})()
"""
)


def test_contents_lead_to_every_heading(chromium: Browser, page: Path) -> None:
    chromium.show(page, 1280)
    links = chromium.value("[...document.querySelectorAll('nav a')].map(a => a.hash.slice(1))")
    headings = chromium.value("[...document.querySelectorAll('h2')].map(each => each.id)")
    assert links == headings
    assert len(set(links)) == len(links) > 1
    texts = chromium.value(
        "[...document.querySelectorAll('nav a')].map(a =>"
        " a.textContent == document.querySelector(a.hash).textContent)"
    )
    assert all(texts)


def test_links_lead_to_files_that_lie_beside_the_page(chromium: Browser, page: Path) -> None:
    chromium.show(page, 1280)
    links: list[Any] = chromium.value(
        "[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))"
    )
    beside = [unquote(link) for link in links if not link.startswith("#")]
    assert len(beside) >= 2
    for link in beside:
        assert link.startswith("./")
        assert (page.parent / link).is_file(), link
    # The marker says to remusnet that the folder is its own.
    others = {file.name for file in page.parent.iterdir()} - {"index.html", MARKER}
    assert others == {Path(link).name for link in beside}


def test_on_paper_tables_fit_and_no_word_is_broken(chromium: Browser, page: Path) -> None:
    chromium.show(page, PAPER, paper=True)
    # Nothing scrolls on paper, so boxes count too.
    assert chromium.value("document.documentElement.scrollWidth") == PAPER
    assert chromium.value(BROKEN_WORDS) == []
    assert chromium.value("getComputedStyle(document.querySelector('nav')).display") == "none"


@pytest.mark.needs("pdftotext")
@pytest.mark.parametrize(
    ("name", "figures"),
    [
        (
            "recording",
            {
                "When frames left": "time (ms), from",
                "Jitter over time": "time (s)",
                "How long RTP packets took": "share of packets (%)",
            },
        ),
        (
            "scenario",
            {
                "When frames left": "time (ms), from",
                "Jitter over time": "time (s)",
                "How long RTP packets took": "delay until arrival",
            },
        ),
        ("thesis", {"Fig. 10: everything": "closed form:", "Fig. 12: the primary": "no packet"}),
        (
            "availability",
            {
                "How available": "on a logarithmic scale",
                "What it is down for": "share of the downtime",
                "Which parameter buys": "registration: ",
            },
        ),
    ],
)
def test_on_paper_a_heading_is_on_the_page_of_its_figure(
    chromium: Browser,
    name: str,
    figures: dict[str, str],
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    chromium.show(request.getfixturevalue(name), 1280)
    printed = tmp_path / "page.pdf"
    printed.write_bytes(chromium.printed())
    command = ["pdftotext", "-layout", str(printed), "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    sheets = done.stdout.split("\f")[:-1]
    for heading, label in figures.items():
        (place,) = [n for n, sheet in enumerate(sheets) if re.search(rf"^ *{heading}", sheet, re.M)]
        after = sheets[place][sheets[place].index(heading) :]
        assert label in after, f"{heading} stands alone on page {place + 1}"
    # Seventeen were needed where addresses stood a letter a line. A net has a drawing a module.
    assert len(sheets) <= (14 if name == "availability" else 6)


def test_a_picture_can_be_taken(chromium: Browser, recording: Path) -> None:
    """Of the whole page: the helper that these tests stand on sees what a person would."""
    chromium.show(recording, 390)
    assert chromium.picture().startswith(b"\x89PNG")
