"""Reports as a browser shows them: by their text, without a screen and without a network."""

from __future__ import annotations

import html
import re
import subprocess
from pathlib import Path

import pytest

from remusnet.cli.main import main

ROOT = Path(__file__).parents[2]
RECORDING = ROOT / "tests" / "data" / "call.pcap"

# One worker for all: a browser takes as much memory as all the rest.
pytestmark = [
    pytest.mark.browser,
    pytest.mark.needs("chromium"),
    pytest.mark.xdist_group("browser"),
]


def shown(page: Path, profile: Path) -> str:
    """What a browser makes of ``page``: its elements, with markup."""
    command = [
        "chromium",
        *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
        "--disable-background-networking",
        # In a container /dev/shm may be tiny.
        "--disable-dev-shm-usage",
        f"--user-data-dir={profile}",
        "--dump-dom",
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def words(document: str) -> str:
    """The text of a document, without styles, spaces made one."""
    document = re.sub(r"<style.*?</style>", " ", document, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", document)).split())


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    arguments = [
        *("simulate", "--capture", str(RECORDING), "--interval", "345ms", "--report", str(folder)),
        *("--assert", "commit.violations == 0", "--assert", "rtp.jitter.mean < 6ms"),
    ]
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 1
    return folder / "index.html"


@pytest.fixture(scope="module")
def document(report: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return shown(report, tmp_path_factory.mktemp("profile"))


def test_a_browser_shows_all_of_the_page(document: str) -> None:
    said = words(document)
    for expected in (
        "call.pcap",
        "1 of 2 assertions failed",
        "a checkpoint every 400ms",
        "holds commit.violations == 0",
        "failed rtp.jitter.mean < 6ms 37.7516 ms is the worst of 8, 2 failed (policy hold-all",
        "packets a burst, median / max 1 / 1 1 / 3 1 / 3 20 / 20 20 / 20",
        "When frames left",
        "held until the commit",
        "hold-all: mean 37.75 ms, max 51.04 ms",
        "share of packets (%)",
        "udp 192.0.2.10:20000 > 192.0.2.20:30000 0x600d0001",
        "Open loop",
    ):
        assert expected in said, expected


def test_a_browser_draws_all_figures(document: str) -> None:
    """It has parsed them as drawings: a broken one would end early, or be text."""
    assert re.findall(r'<svg role="img" aria-label="([^"]+)"', document) == [
        "When frames left",
        "Jitter over time",
        "How long RTP packets took",
    ]
    assert document.count("</svg>") == 3
    assert document.rstrip().endswith("</html>")


def test_a_browser_has_nothing_to_load(report: Path, document: str) -> None:
    assert "Content-Security-Policy" in document
    assert not re.search(r"\bsrc=", document)
    # What lies beside it is fetched when somebody asks for it.
    assert not re.search(r'\bhref="(?!#|\./)', document)
    assert [file.name for file in report.parent.glob("*.svg")] == []
