from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from remusnet.emulator.run.scenario_run import run_scenario
from remusnet.policy import preset
from remusnet.report.thesis import SHOWN, draw, thesis_page, write_figures
from remusnet.results.comparison import Comparison
from remusnet.scenario.library import names, shipped
from tests.unit.report.test_page import read


def simulated(name: str) -> Comparison:
    scenario = shipped(name)
    return run_scenario(scenario, [preset(policy) for policy in scenario.policies]).comparison


def test_every_figure_of_the_thesis_is_shown() -> None:
    assert [each.scenario for each in SHOWN[:5]] == ["fig8", "fig9", "fig10", "fig11", "fig12"]
    assert {name for name in names() if name.startswith("fig")} == {each.scenario for each in SHOWN}


def test_a_figure_shows_part_of_its_run() -> None:
    for each in SHOWN:
        assert each.window_s[1] * 1e9 <= shipped(each.scenario).duration_ns


def test_a_figure_has_its_closed_forms_and_the_same_bytes_each_time() -> None:
    one, other = (draw(SHOWN[2], simulated("fig10")) for _ in range(2))
    assert (one.svg, one.png) == (other.svg, other.png)
    assert "mean 38 ms" in one.svg
    assert "max 51 ms" in one.svg


def test_the_outage_is_told(tmp_path: Path) -> None:
    drawn = draw(SHOWN[4], simulated("fig12"))
    assert "for 1.02 s" in drawn.svg
    written = list(write_figures(tmp_path / "new", (drawn,)))
    assert [path.name for path in written] == ["fig12.svg", "fig12.png", "index.html"]
    assert (tmp_path / "new" / "fig12.png").read_bytes().startswith(b"\x89PNG")
    html = (tmp_path / "new" / "index.html").read_text()
    said = read(html).text
    assert "Robustness of VoIP Systems" in said
    assert SHOWN[4].says in said
    assert "holds silence (ms) 1000 to 1090" in said
    assert "The guest is a relay" in said
    assert "src=" not in html


def test_a_run_without_packets_cannot_be_drawn() -> None:
    comparison = simulated("fig8")
    streams = tuple(replace(each, series=None) for each in comparison.outcomes[0].streams)
    empty = replace(comparison, outcomes=(replace(comparison.outcomes[0], streams=streams),))
    with pytest.raises(ValueError, match="fig8 kept no packets"):
        draw(SHOWN[0], empty)


def test_a_page_of_nothing_is_a_page() -> None:
    assert "The thesis's figures" in read(thesis_page([])).text
